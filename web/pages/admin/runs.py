"""Escalation runs that are not over: what each waits for, to stop and to let go on, with a reason."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from db.reads.escalations import RunView, run_view, run_views
from domain.commands import Command, CommandAction, sign_command
from domain.errors import InvalidInput, NotFound, Unavailable
from domain.sessions import Person
from domain.text import check_text
from starter.escalations import examine_command, send_command
from starter.ids import new_command_id
from starter.temporal import reachable
from web.pages.admin.guard import AtDesk, path
from web.people import field, form_of
from web.rendering import attempt, page
from web.state import State, Wired

router = APIRouter(prefix="/runs")

_ACTIONS = {"cancel": CommandAction.CANCEL_ESCALATION, "resume": CommandAction.RESUME_ESCALATION}


@router.get("")
async def list_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """The runs that are not over, the newest first."""
    async with state.database.transaction() as tx:
        found = await run_views(tx, person.tenant)
    return page(request, state, person, "admin/runs.html", runs=found)


@router.get("/{run_id}")
async def run_page(request: Request, state: Wired, person: AtDesk, run_id: str) -> HTMLResponse:
    """A run, with what may be done about it."""
    found = await _own(state, person, run_id)
    return page(request, state, person, "admin/run.html", run=found)


@router.post("/{run_id}/{verb}")
async def command(request: Request, state: Wired, person: AtDesk, run_id: str, verb: str) -> Response:
    """Stop a run's stages, or let them go on; a mint request itself goes on, and still expires."""
    if verb not in _ACTIONS:
        raise NotFound("a run can be cancelled or resumed")
    form = await form_of(request)
    run = await _own(state, person, run_id)

    async def work() -> str:
        reason = field(form, "reason").strip()
        if not reason:
            raise InvalidInput("a reason is needed: auditors will ask", "reason")
        return await send(state, person, run.id, _ACTIONS[verb], check_text(reason, "reason"))

    return await attempt(state, path("runs", run.id), work())


async def send(state: State, person: Person, run_id: str, action: CommandAction, reason: str) -> str:
    """Sign a command for somebody who has signed in and send it to the run; answers what was done.

    Raises CommandRefused, Refused, NotOpen, NotFound, OutcomeUnknown, Unavailable.
    """
    if not state.authority.has_keys:
        raise Unavailable("commands by browser are not set up: MINTKEEPER_AUTHORITY_KEY is not set")
    try:
        wanted = Command(
            tenant=person.tenant,
            actor=person.name,
            action=action,
            target=run_id,
            body={"reason": reason},
            id=new_command_id(),
            issued_at=datetime.now(UTC),
            amr=person.amr,
        )
    except ValidationError as error:
        raise NotFound("there is no such run") from error
    signed = sign_command(wanted, state.authority.keys[0])
    document = signed.model_dump_json(by_alias=True).encode()
    envelope, told, _ = await examine_command(
        state.database, document, action=action, run_id=run_id, authority=state.authority.public_keys
    )
    async with reachable(await state.temporal()) as client:
        outcome = await send_command(client, run_id, envelope, told.id)
    return outcome.message


async def _own(state: State, person: Person, run_id: str) -> RunView:
    """A run of the person's tenant; raises NotFound."""
    async with state.database.transaction() as tx:
        found = await run_view(tx, run_id)
    if found is None or found.tenant != person.tenant:
        raise NotFound(f"there is no escalation run {run_id[:80]}")
    return found
