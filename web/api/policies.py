"""Escalation policies: to read and, with a signed command, to publish, switch and delete."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from commands.documents import policy_document
from commands.forecasting import forecast
from commands.simulating import moment
from commands.timeline import draw, style_sha256
from db import reads
from db.reads.catalogue import policies, published_policy
from db.session import Transaction
from db.writes.commands import accept_command
from db.writes.publication import publish_policy, switch_policy
from db.writes.withdrawal import delete_policy
from domain.commands import ADMINS, Command, CommandAction, CommandRefusal
from domain.errors import CommandRefused, NotFound
from domain.escalation import EscalationPolicy
from domain.simulation import Simulation
from web.people import OwnTenant, SignedIn
from web.signed import SignedBody
from web.state import State, Wired

router = APIRouter(prefix="/api/policies", tags=["policies"])

_REFUSALS: dict[int | str, dict[str, Any]] = {400: {}, 403: {}, 404: {}, 409: {}}


_SVG = "image/svg+xml"


class _Asked(BaseModel):
    """For which request, and from when on: the first topic and requester of the tenant, now."""

    start: str | None = None
    topic: str | None = None
    requester: str | None = None
    sla_scale: int = Field(default=1, ge=1, le=86_400)


@router.get("")
async def list_policies(state: Wired, tenant: OwnTenant, deleted: bool = False) -> dict[str, Any]:
    """Published policies, the oldest first; `deleted`: also those that are deleted."""
    async with state.database.transaction() as tx:
        found = await policies(tx, tenant, deleted=deleted)
    return {"policies": [policy.model_dump(mode="json") for policy in found]}


@router.get("/{policy_id}", responses={404: {}})
async def show_policy(state: Wired, person: SignedIn, policy_id: str) -> dict[str, Any]:
    """A policy as it was published, as `mintkeeper policy show --json` gives it."""
    async with state.database.transaction() as tx:
        return await _document(tx, policy_id, person.tenant)


@router.get("/{policy_id}/simulation", response_model=None, responses={400: {}, 404: {}})
async def simulation(
    request: Request, state: Wired, person: SignedIn, policy_id: str, asked: Annotated[_Asked, Query()]
) -> dict[str, Any] | Response:
    """What the policy does if nobody acts; the picture for whoever accepts SVG before JSON."""
    found = await _simulate(state, person.tenant, policy_id, asked)
    accepted = request.headers.get("accept", "")
    return _picture(found) if _SVG in accepted and "application/json" not in accepted else found.document()


@router.get("/{policy_id}/simulation.svg", response_class=Response, responses={400: {}, 404: {}})
async def simulation_picture(
    state: Wired, person: SignedIn, policy_id: str, asked: Annotated[_Asked, Query()]
) -> Response:
    """The same as a picture."""
    return _picture(await _simulate(state, person.tenant, policy_id, asked))


@router.post("", status_code=201, responses=_REFUSALS)
async def publish(state: Wired, signed: SignedBody) -> dict[str, Any]:
    """Publish the policy in the body of a signed command `policy.publish`; its target is the policy's id."""
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        command = await accept_command(
            tx, signed, action=CommandAction.PUBLISH_POLICY, target=None, roles=ADMINS, now=now
        )
        policy = _policy_of(command)
        await publish_policy(tx, policy=policy, actor=command.actor, at=now)
        return await _document(tx, policy.id, command.tenant)


@router.post("/{policy_id}/switch", responses=_REFUSALS)
async def switch(state: Wired, policy_id: str, signed: SignedBody) -> dict[str, Any]:
    """Give new requests this policy, by a signed command `policy.switch`; open ones keep theirs."""
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        command = await accept_command(
            tx, signed, action=CommandAction.SWITCH_POLICY, target=policy_id, roles=ADMINS, now=now
        )
        await switch_policy(tx, tenant=command.tenant, policy_id=policy_id, actor=command.actor, at=now)
        return await _document(tx, policy_id, command.tenant)


@router.delete("/{policy_id}", responses=_REFUSALS)
async def delete(state: Wired, policy_id: str, signed: SignedBody) -> dict[str, Any]:
    """Delete a policy that nothing uses, by a signed command `policy.delete`."""
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        command = await accept_command(
            tx, signed, action=CommandAction.DELETE_POLICY, target=policy_id, roles=ADMINS, now=now
        )
        await delete_policy(tx, tenant=command.tenant, policy_id=policy_id, actor=command.actor, at=now)
        return await _document(tx, policy_id, command.tenant)


def _policy_of(command: Command) -> EscalationPolicy:
    """The policy in a command's body; raises InvalidInput, CommandRefused when the command names another."""
    policy = EscalationPolicy.parse(json.dumps(command.body))
    if policy.id != command.target:
        raise CommandRefused(
            f"the command is about {command.target}, the policy in its body is {policy.id}",
            CommandRefusal.WRONG_TARGET,
        )
    if policy.tenant != command.tenant:
        raise CommandRefused(f"the policy is of tenant {policy.tenant}", CommandRefusal.WRONG_TENANT)
    return policy


async def _simulate(state: State, tenant: str, policy_id: str, asked: _Asked) -> Simulation:
    started_at = moment(asked.start)
    async with state.database.transaction() as tx:
        policy = await reads.policy(tx, policy_id)
        if policy is None or policy.tenant != tenant:
            raise NotFound(f"there is no policy {policy_id!r}")
        return await forecast(
            tx,
            policy,
            started_at=started_at,
            topic=asked.topic,
            requester=asked.requester,
            scale=asked.sla_scale,
        )


def _picture(found: Simulation) -> Response:
    # its style is part of it, and allowed by its hash
    allowed = f"default-src 'none'; style-src 'sha256-{style_sha256()}'; frame-ancestors 'none'"
    return Response(draw(found), media_type=_SVG, headers={"Content-Security-Policy": allowed})


async def _document(tx: Transaction, policy_id: str, tenant: str) -> dict[str, Any]:
    published, policy = await published_policy(tx, policy_id), await reads.policy(tx, policy_id)
    if published is None or policy is None or policy.tenant != tenant:
        raise NotFound(f"there is no policy {policy_id!r}")
    return policy_document(published, policy)
