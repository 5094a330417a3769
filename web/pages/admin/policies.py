"""Escalation policies: what is published and current, what each would do; publish, switch, delete."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from commands.documents import PUBLISHED_FACTS
from commands.forecasting import forecast
from commands.simulating import moment
from commands.timeline import draw, style_sha256
from db import reads
from db.reads.catalogue import PublishedPolicy, policies, published_policy
from db.reads.circumstances import circumstances
from db.session import Transaction
from db.writes.publication import publish_policy, switch_policy
from db.writes.withdrawal import delete_policy
from domain.errors import FieldsError, InvalidInput, MintkeeperError, NotFound
from domain.escalation import EscalationPolicy
from domain.plain_yaml import read_yaml
from domain.policy_checks import problems
from domain.sessions import Person
from domain.simulation import Simulation
from web.filters import typed_moment
from web.pages.admin.guard import CODE, AtDesk, by, path, second_factor
from web.people import field, form_of, text_of
from web.rendering import attempt, page, redirect
from web.state import State, Wired

router = APIRouter(prefix="/policies")
MOST_BYTES = 60_000
"""Of a policy's text; one with twenty stages has some 5,000."""


@router.get("")
async def list_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """What is published, with what is wrong with each today."""
    async with state.database.transaction() as tx:
        found = await policies(tx, person.tenant, deleted=True)
        today = await circumstances(tx, person.tenant)
        bodies = [await reads.policy(tx, one.id) for one in found]
    rows = [
        (one, body, [] if one.deleted_at or body is None else problems(body, today))
        for one, body in zip(found, bodies, strict=True)
    ]
    return page(request, state, person, "admin/policies.html", rows=rows)


@router.get("/new")
async def new_page(request: Request, state: Wired, person: AtDesk, like: str = "") -> HTMLResponse:
    """A text to publish, beginning with that of a published policy under a new id."""
    text = ""
    if like:
        async with state.database.transaction() as tx:
            _, policy = await _own(tx, person, like)
        text = _body(policy.model_copy(update={"id": _next_id(policy.id)}))
    return _draft(request, state, person, text)


@router.post("/new")
async def publish(request: Request, state: Wired, person: AtDesk) -> Response:
    """Check a policy or, by the other button, publish it; what is wrong is told in full."""
    form = await form_of(request)
    text, found, simulation = "", [], None
    try:
        text = await text_of(form, MOST_BYTES)
        policy = parse_policy(text, person.tenant)
        async with state.database.transaction() as tx:
            found = problems(policy, await circumstances(tx, person.tenant))
            simulation = await _if_possible(tx, policy)
        if field(form, "do") == "publish" and not found:
            await second_factor(request, state, person, form)
            who = by(person)
            async with state.database.transaction() as tx:
                await publish_policy(tx, policy=policy, actor=who.actor, at=who.at)
            told = f"policy {policy.id} is published; new requests get it once you switch to it"
            return redirect(state, path("policies", policy.id), told)
    except MintkeeperError as error:
        return _draft(request, state, person, text, error=error, simulation=simulation)
    return _draft(request, state, person, text, problems=found, simulation=simulation, checked=True)


@router.get("/{policy_id}")
async def policy_page(
    request: Request,
    state: Wired,
    person: AtDesk,
    policy_id: str,
    start: str = "",
    topic: str = "",
    requester: str = "",
) -> HTMLResponse:
    """A policy as stages, and what it does if nobody acts from a moment on: as a table and as a picture."""
    told, simulation = "", None
    async with state.database.transaction() as tx:
        published, policy = await _own(tx, person, policy_id)
        found = problems(policy, await circumstances(tx, person.tenant))
        topics = [one.code for one in await reads.topics(tx, person.tenant) if one.active]
        users = [one.name for one in await reads.users(tx, person.tenant) if one.active]
        try:
            simulation = await _simulated(tx, person, policy, start, topic, requester)
        except FieldsError as error:
            told = error.message
    return page(
        request,
        state,
        person,
        "admin/policy.html",
        status_code=400 if told else 200,
        published=published,
        policy=policy,
        body=_body(policy),
        problems=[] if published.deleted_at else found,
        simulation=simulation,
        told=told,
        topics=topics,
        users=users,
        asked={"start": start, "topic": topic, "requester": requester},
        needs_code=person.has_totp,
    )


@router.get("/{policy_id}/picture.svg")
async def picture(
    state: Wired, person: AtDesk, policy_id: str, start: str = "", topic: str = "", requester: str = ""
) -> Response:
    """The same as a picture, whose style is part of it and allowed by its hash."""
    async with state.database.transaction() as tx:
        _, policy = await _own(tx, person, policy_id)
        found = await _simulated(tx, person, policy, start, topic, requester)
    allowed = f"default-src 'none'; style-src 'sha256-{style_sha256()}'; frame-ancestors 'none'"
    return Response(draw(found), media_type="image/svg+xml", headers={"Content-Security-Policy": allowed})


@router.post("/{policy_id}/switch")
async def switch(request: Request, state: Wired, person: AtDesk, policy_id: str) -> Response:
    """Give new requests this policy; open ones keep theirs."""
    form = await form_of(request)

    async def work() -> str:
        await second_factor(request, state, person, form)
        async with state.database.transaction() as tx:
            await switch_policy(tx, policy_id=policy_id, **by(person).words())
        return f"new requests get policy {policy_id}"

    return await attempt(state, path("policies", policy_id), work())


@router.post("/{policy_id}/delete")
async def delete(request: Request, state: Wired, person: AtDesk, policy_id: str) -> Response:
    """Withdraw a policy for ever; refused while something follows it, by name."""
    form = await form_of(request)

    async def work() -> str:
        await second_factor(request, state, person, form)
        async with state.database.transaction() as tx:
            await delete_policy(tx, policy_id=policy_id, **by(person).words())
        return f"policy {policy_id} is deleted"

    return await attempt(state, path("policies", policy_id), work())


def parse_policy(text: str, tenant: str) -> EscalationPolicy:
    """The policy in JSON or YAML, of this tenant; what was read of one that is published is fine, too.

    Raises InvalidInput.
    """
    if not text.strip():
        raise InvalidInput("write a policy, or choose a file", "text")
    try:
        document = json.loads(text)
    except ValueError:
        document = read_yaml(text, "the policy")
    if not isinstance(document, dict):
        raise InvalidInput("a policy is an object with id, name, stages and autoCloseMinutes", "text")
    document = {name: value for name, value in document.items() if name not in PUBLISHED_FACTS}
    policy = EscalationPolicy.parse(json.dumps({"tenant": tenant, **document}))
    if policy.tenant != tenant:
        raise InvalidInput(f"the policy is of tenant {policy.tenant}, and you are admin of {tenant}", "text")
    return policy


async def _own(tx: Transaction, person: Person, policy_id: str) -> tuple[PublishedPolicy, EscalationPolicy]:
    """A policy of the person's tenant, deleted or not; raises NotFound."""
    published, policy = await published_policy(tx, policy_id), await reads.policy(tx, policy_id)
    if published is None or policy is None or published.tenant != person.tenant:
        raise NotFound(f"there is no policy {policy_id[:80]}")
    return published, policy


async def _simulated(
    tx: Transaction, person: Person, policy: EscalationPolicy, start: str, topic: str, requester: str
) -> Simulation:
    return await forecast(
        tx,
        policy,
        started_at=_start(person, start),
        topic=topic or None,
        requester=requester or None,
    )


def _start(person: Person, text: str) -> datetime:
    """A moment with a zone or, as a browser's field gives it, on the person's own clock; else now."""
    try:
        typed = typed_moment(text, person, "start")
    except InvalidInput:
        # a plus sign that has been in an address is read, and what can't be is named, as for the command
        return moment(text)
    return moment(typed.isoformat() if typed else None)


async def _if_possible(tx: Transaction, policy: EscalationPolicy) -> Simulation | None:
    """What a draft would do from now on; None where somebody or some channel is missing for that."""
    try:
        return await forecast(tx, policy, started_at=datetime.now(UTC).replace(microsecond=0))
    except MintkeeperError:
        return None


def _draft(
    request: Request,
    state: State,
    person: Person,
    text: str,
    *,
    problems: list[str] | None = None,
    error: MintkeeperError | None = None,
    simulation: Simulation | None = None,
    checked: bool = False,
) -> HTMLResponse:
    code_error = error.fields.get(CODE, "") if isinstance(error, FieldsError) else ""
    values: dict[str, Any] = {"text": text, "problems": problems or [], "simulation": simulation}
    return page(
        request,
        state,
        person,
        "admin/policy_new.html",
        status_code=400 if error or problems else 200,
        **values,
        told=error.message if error and not code_error else "",
        checked=checked,
        needs_code=person.has_totp,
        code_error=code_error,
    )


def _body(policy: EscalationPolicy) -> str:
    return json.dumps(policy.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False)


def _next_id(policy_id: str) -> str:
    """`mint-default-2` after `mint-default-1`."""
    stem, _, number = policy_id.rpartition("-")
    if stem and number.isascii() and number.isdecimal() and len(number) < 9:
        return f"{stem}-{int(number) + 1}"
    return f"{policy_id[:60]}-2"
