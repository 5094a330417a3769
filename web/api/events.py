"""`GET /api/events`: what happens to the requests that somebody may see, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from db.reads.live import Happened
from domain.sessions import Person
from web.live import Listener, Missed
from web.people import SignedIn, still_there
from web.state import State, Wired

CHECK_SECONDS: Final = 10.0
"""So often it is asked whether the session lasts; who was signed out sees nothing new for longer."""

HEARTBEAT_SECONDS: Final = 15
RETRY_MILLISECONDS: Final = 1000

# a stream without an end is no document that a schema could describe
router = APIRouter(include_in_schema=False)

Seq = Annotated[int | None, Query(ge=0, le=2**63 - 1)]


@router.get("/api/events")
async def events(
    request: Request,
    state: Wired,
    person: SignedIn,
    behind: Seq = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventSourceResponse:
    """Events `request` with `{"id", "kind", "seq"}`, from behind a number, else from now on.

    `hello` says how far one is when it begins, `missed` that something was left out, `over` that the session
    has ended. A browser that reconnects says itself what it has got last.
    """
    state.live.check_room(person)
    # what the browser says is newer than the address it was given
    said = last_event_id or ""
    known = int(said) if said.isdecimal() and len(said) < 20 else behind
    return EventSourceResponse(_told(request, state, person, known), ping=HEARTBEAT_SECONDS)


async def _told(
    request: Request, state: State, person: Person, behind: int | None
) -> AsyncIterator[ServerSentEvent]:
    async with state.live.listen(person, behind) as listener:
        began = listener.seq if behind is None else min(behind, listener.seq)
        yield ServerSentEvent("", event="hello", id=str(began), retry=RETRY_MILLISECONDS)
        checked = time.monotonic()
        while True:
            if time.monotonic() - checked >= CHECK_SECONDS:
                if not await _lasts(request, state, listener):
                    yield ServerSentEvent("", event="over")
                    return
                checked = time.monotonic()
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    found = await listener.waiting.get()
            except TimeoutError:
                continue
            if found is None:
                return
            yield _event(found)


async def _lasts(request: Request, state: State, listener: Listener) -> bool:
    """Tell whether the session lasts; roles that were changed count from now on."""
    person = await still_there(request, state)
    if person is not None:
        listener.person = person
    return person is not None


def _event(found: Happened | Missed) -> ServerSentEvent:
    if isinstance(found, Missed):
        return ServerSentEvent("", event="missed", id=str(found.seq))
    told = {"id": found.request_id, "kind": found.kind, "seq": found.seq}
    return ServerSentEvent(json.dumps(told), event="request", id=str(found.seq))
