"""Escalation runs over HTTP: to read and, with a signed command, to cancel or resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from commands.runs import run_document
from db.reads.escalations import run_view, run_views
from db.session import Transaction
from domain.commands import CommandAction
from domain.errors import NotFound
from domain.sessions import Person
from starter.escalations import examine_command, send_command
from starter.temporal import connect, reachable
from web.acting import visible
from web.people import OwnTenant, SignedIn
from web.signed import SignedBody
from web.state import State, Wired

router = APIRouter(tags=["escalations"])

_REFUSALS: dict[int | str, dict[str, Any]] = {400: {}, 403: {}, 404: {}, 409: {}, 503: {}}


@router.get("/api/escalations")
async def list_runs(state: Wired, person: SignedIn, tenant: OwnTenant, every: bool = False) -> dict[str, Any]:
    """The tenant's runs that are not over (or every one), the newest first, at most 200.

    A mere requester sees those of their own requests.
    """
    requester = None if person.sees_all else person.name
    async with state.database.transaction() as tx:
        found = await run_views(tx, tenant, every=every, requester=requester)
    return {"escalations": [run.model_dump(mode="json") for run in found]}


@router.get("/api/escalations/{run_id}", responses={404: {}})
async def show_run(state: Wired, person: SignedIn, run_id: str) -> dict[str, Any]:
    """A run with its stages, every attempt to tell somebody, and who acknowledged."""
    async with state.database.transaction() as tx:
        return await run_document(tx, await _visible(tx, person, run_id))


@router.post("/escalations/{run_id}/cancel", responses=_REFUSALS)
async def cancel(state: Wired, run_id: str, signed: SignedBody) -> dict[str, Any]:
    """Stop a run's stages by a signed command `escalation.cancel` with a reason in its body."""
    return await _command(state, CommandAction.CANCEL_ESCALATION, run_id, signed)


@router.post("/escalations/{run_id}/resume", responses=_REFUSALS)
async def resume(state: Wired, run_id: str, signed: SignedBody) -> dict[str, Any]:
    """Let a run's stages go on: takes an acknowledgement back, or the cancel of a mint request's own run."""
    return await _command(state, CommandAction.RESUME_ESCALATION, run_id, signed)


async def _visible(tx: Transaction, person: Person, run_id: str) -> str:
    """The id of a run of a request that the person may see; raises NotFound."""
    try:
        if run_id.upper().startswith("MK-"):
            return (await visible(tx, person, run_id)).request.id
        run = await run_view(tx, run_id)
        await visible(tx, person, run.request_id if run is not None else "")
    except NotFound:
        raise NotFound(f"there is no escalation run {run_id}") from None
    return run_id


async def _command(state: State, action: CommandAction, run_id: str, signed: bytes) -> dict[str, Any]:
    envelope, command, _ = await examine_command(state.database, signed, action=action, run_id=run_id)
    async with reachable(await connect()) as client:
        outcome = await send_command(client, run_id, envelope, command.id)
    return {"id": run_id, "message": outcome.message, "by": command.actor}
