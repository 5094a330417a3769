"""Temporal schedules of the periodic tasks: when each ran last and with what outcome; by hand."""

from __future__ import annotations

import os

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db import reads
from db.writes import operating
from domain.errors import NotFound, Refused, Unavailable
from domain.sessions import Person
from domain.text import check_text
from starter import schedule_runs
from starter.schedule_runs import ScheduleLine
from starter.temporal import reachable
from web.pages.admin.guard import AtDesk, by, path
from web.people import field, form_of
from web.rendering import attempt, page
from web.state import State, Wired

router = APIRouter(prefix="/schedules")

_DONE = {"pause": "paused", "resume": "resumed", "run": "started"}


@router.get("")
async def list_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """Every schedule; why there is nothing to see while Temporal can't be reached."""
    told = ""
    found: list[ScheduleLine] = []
    try:
        found = await lines(state)
    except Unavailable as error:
        told = error.message
    return page(
        request,
        state,
        person,
        "admin/schedules.html",
        schedules=[(one, _url(state, one)) for one in found],
        told=told,
        only_tenant=await _is_only_tenant(state),
    )


@router.post("/{schedule_id}/{verb}")
async def act(request: Request, state: Wired, person: AtDesk, schedule_id: str, verb: str) -> Response:
    """Pause a schedule, let it run again, or start a run at once."""
    if verb not in _DONE:
        raise NotFound("a schedule can be paused, resumed or run")
    form = await form_of(request)
    reason = field(form, "reason").strip()
    return await attempt(state, path("schedules"), _act(state, person, schedule_id, verb, reason))


async def lines(state: State) -> list[ScheduleLine]:
    """The schedules as Temporal knows them; raises Unavailable."""
    async with reachable(await state.temporal()) as client:
        return await schedule_runs.lines(client)


async def _act(state: State, person: Person, schedule_id: str, verb: str, reason: str) -> str:
    if not await _is_only_tenant(state):
        raise Refused("schedules serve every tenant here: an operator does this, by 'mintkeeper schedules'")
    note = f"{check_text(reason, 'reason')} ({person.name})" if reason else f"by {person.name}"
    async with reachable(await state.temporal()) as client:
        if verb == "pause":
            await schedule_runs.pause(client, schedule_id, note)
        elif verb == "resume":
            await schedule_runs.resume(client, schedule_id, note)
        else:
            await schedule_runs.run_now(client, schedule_id)
    async with state.database.transaction() as tx:
        await operating.note_schedule(tx, schedule_id, _DONE[verb], reason, by(person))
    return f"{schedule_id} is {_DONE[verb]}"


async def _is_only_tenant(state: State) -> bool:
    """What all tenants share is none of one tenant's admins' to stop."""
    async with state.database.transaction() as tx:
        return len([one for one in await reads.tenants(tx) if one.active]) <= 1


def _url(state: State, line: ScheduleLine) -> str:
    base = state.settings.temporal_ui_url.rstrip("/")
    namespace = os.environ.get("TEMPORAL_NAMESPACE", "default")
    return f"{base}/namespaces/{namespace}/schedules/{line.id}" if base and not line.missing else ""
