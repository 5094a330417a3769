"""What there is, and what is wrong with it: each with the page that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db import reads
from db.reads.admin import AccountLine, account_lines, dead_deliveries
from db.reads.catalogue import policies
from db.reads.circumstances import circumstances
from db.reads.entries import every_entry
from db.reads.escalations import run_views
from db.session import Transaction
from domain.entry import Kind
from domain.errors import MintkeeperError
from domain.policy_checks import problems
from domain.sessions import Person
from starter.schedule_runs import ScheduleLine
from web.pages.admin import schedules
from web.pages.admin.guard import AtDesk, path
from web.pages.admin.words import KINDS
from web.rendering import page
from web.state import State, Wired

router = APIRouter()

_FINE = frozenset({"completed", "running", "none yet"})


@dataclass(frozen=True)
class Trouble:
    """Something that somebody should look at, and where."""

    text: str
    link: str
    word: str
    """What the link is called."""


@router.get("")
async def overview(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """Counts of everything, and every trouble there is."""
    async with state.database.transaction() as tx:
        found = await every_entry(tx, person.tenant)
        accounts = await account_lines(tx, person.tenant, datetime.now(UTC))
        published = await policies(tx, person.tenant)
        runs = await run_views(tx, person.tenant)
        troubles = [*await _of_policy(tx, person), *_of_people(accounts), *await _of_messages(tx, person)]
    troubles += await _of_schedules(state)
    cards = [(KINDS[kind], path("dictionaries", kind), len(found[kind])) for kind in Kind]
    return page(
        request,
        state,
        person,
        "admin/overview.html",
        troubles=troubles,
        cards=[card for card in cards if card[0].one not in ("Status", "Tenant")],
        policies=len(published),
        runs=len(runs),
        signs_in=len([one for one in accounts if one.active and (one.has_password or one.has_oidc)]),
    )


async def _of_policy(tx: Transaction, person: Person) -> list[Trouble]:
    current = await reads.current_policy(tx, person.tenant)
    if not await reads.rules(tx, person.tenant):
        nobody = Trouble("No approval rule: every mint is denied.", path("rules"), "Approval rules")
    else:
        nobody = None
    if current is None:
        none = "No policy is switched on: nobody can ask for a mint."
        return [one for one in (nobody, Trouble(none, path("policies"), "Policies")) if one]
    today = await circumstances(tx, person.tenant)
    told = [
        Trouble(text, path("policies", current.id), "Current policy") for text in problems(current, today)
    ]
    return [one for one in (nobody, *told) if one]


def _of_people(accounts: list[AccountLine]) -> Iterator[Trouble]:
    for one in accounts:
        if not one.active:
            continue
        link = path("accounts", one.name)
        if "approver" in one.roles and not one.has_email:
            entry = path("dictionaries", Kind.USER, "entries", one.name)
            yield Trouble(
                f"Approver {one.name} has no e-mail: no message or code gets there.", entry, one.name
            )
        if "approver" in one.roles and not (one.keys or one.has_password or one.has_oidc):
            yield Trouble(
                f"Approver {one.name} can neither sign in nor sign: nobody decides so.", link, one.name
            )
        if {"admin", "approver"} <= set(one.roles):
            yield Trouble(f"{one.name} is admin and approver: two duties in one hand.", link, one.name)


async def _of_messages(tx: Transaction, person: Person) -> list[Trouble]:
    dead = await dead_deliveries(tx, person.tenant)
    many = f"{dead} messages were" if dead > 1 else "1 message was"
    return [Trouble(f"{many} given up.", path("deliveries"), "Deliveries")] if dead else []


async def _of_schedules(state: State) -> list[Trouble]:
    link = path("schedules")
    try:
        found = await schedules.lines(state)
    except MintkeeperError as error:
        return [Trouble(f"The schedules are not known: {error.message}", link, "Schedules")]
    return [Trouble(told, link, "Schedules") for one in found if (told := _of_schedule(one))]


def _of_schedule(one: ScheduleLine) -> str:
    if one.missing:
        return f"Schedule {one.id} is missing: run 'mintkeeper schedules apply'."
    if one.paused:
        return f"Schedule {one.id} is paused: {one.note}"
    if one.outcome.state not in _FINE:
        return f"Schedule {one.id}: its last run is {one.outcome.state}. {one.outcome.text}"
    return ""
