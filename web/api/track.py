"""What the client of a request can do under its track number, without an account.

A one-time code, sent to the requester, opens a session of half an hour: a pass in the header
`Authorization`, bound to this one request. An unknown track number gets the answers of a known one, so
nobody can find out which exist.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from commands.documents import plain
from commands.talk_documents import attachment_document, message_document
from db.reads.conversation import CLIENT
from db.session import Transaction
from db.writes import conversation
from domain.amounts import format_amount
from domain.codes import LIFETIME
from domain.errors import NotFound
from domain.mint_request import utc_text
from domain.records import RequestRecord
from starter import uploads
from starter.ids import new_message_id
from web import tracking
from web.documents import Announced, bearer, hand_out, json_body, take_in
from web.state import State, Wired
from web.tracking import SENT

router = APIRouter(prefix="/api/track/{track_number}", tags=["track"])

_ANSWERS: dict[int | str, dict[str, Any]] = {400: {}, 401: {}, 403: {}, 404: {}, 409: {}, 503: {}}

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


class TypedCode(BaseModel):
    """The body of a log-in."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=100)]


class Said(BaseModel):
    """The body of a message."""

    model_config = ConfigDict(extra="forbid")

    text: str


@router.post("/code", status_code=202)
async def ask_for_code(state: Wired, track_number: str) -> dict[str, Any]:
    """Send the client a code; the answer is the same whether there is such a request or not."""
    await tracking.send_code(state, track_number)
    return {"sent": SENT, "seconds": LIFETIME.seconds}


@router.post("/session", status_code=201, responses=_ANSWERS)
async def open_session(request: Request, state: Wired, track_number: str) -> dict[str, str]:
    """Exchange the code for a pass of half an hour."""
    typed = await json_body(request, TypedCode)
    token, until = await tracking.open_session(state, track_number, typed.code)
    return {"token": token, "expires_at": utc_text(until)}


@router.get("", responses=_ANSWERS)
async def show(request: Request, state: Wired, track_number: str) -> dict[str, Any]:
    """How the request stands, what was said and handed in, and what its client was told."""
    async with state.database.transaction() as tx:
        seen = await tracking.shown(tx, await _admitted(tx, request, state, track_number))
    return {
        **_request_for_client(seen.record),
        "messages": [message_document(one) for one in seen.messages],
        "attachments": [attachment_document(one) for one in seen.documents],
        "notifications": [
            plain(one.model_dump(include={"id", "event", "kind", "body", "created_at"})) for one in seen.told
        ],
    }


@router.post("/messages", status_code=201, responses=_ANSWERS)
async def write(request: Request, state: Wired, track_number: str, key: Key = None) -> dict[str, Any]:
    """Say something; the same `Idempotency-Key` again is the same message."""
    async with state.database.transaction() as tx:
        record = await _admitted(tx, request, state, track_number)
    said = await json_body(request, Said)
    author = record.request.requester
    message_id = conversation.message_id_for_key(record.request.id, author, key) if key else new_message_id()
    return message_document(await tracking.say(state, record, said.text, message_id))


@router.post("/attachments", status_code=201, responses=_ANSWERS)
async def announce(request: Request, state: Wired, track_number: str, key: Key = None) -> dict[str, Any]:
    """Announce a document; its bytes are then put to the path in `upload`."""
    async with state.database.transaction() as tx:
        record = await _admitted(tx, request, state, track_number)
    announced = (await json_body(request, Announced)).checked(state)
    author, request_id = record.request.requester, record.request.id
    attachment_id = (
        uploads.attachment_id_for_key(request_id, author, key) if key else uploads.new_attachment_id()
    )
    pending = await uploads.announce(state.database, request_id, author, announced, attachment_id)
    path = f"/api/track/{record.request.track_number}/attachments/{pending.id}"
    return {**attachment_document(pending), "upload": path}


@router.put("/attachments/{attachment_id}", responses=_ANSWERS)
async def put(request: Request, state: Wired, track_number: str, attachment_id: str) -> dict[str, Any]:
    """The bytes of a document that this client has announced: exactly those, or nothing is stored."""
    async with state.database.transaction() as tx:
        record = await _admitted(tx, request, state, track_number)
        pending = await tracking.document_of(tx, record, attachment_id)
    if pending.author_kind != CLIENT:
        raise NotFound(f"there is no document {attachment_id}")
    return await take_in(request, state, pending.id)


@router.get("/attachments/{attachment_id}", response_model=None, responses=_ANSWERS)
async def download(
    request: Request, state: Wired, track_number: str, attachment_id: str
) -> StreamingResponse:
    """A stored document of this request."""
    async with state.database.transaction() as tx:
        record = await _admitted(tx, request, state, track_number)
        found = await tracking.document_of(tx, record, attachment_id)
    return await hand_out(state, found)


async def _admitted(tx: Transaction, request: Request, state: State, track_number: str) -> RequestRecord:
    """The request, for the bearer of a pass to it; raises AccessRefused, for an unknown number too."""
    return await tracking.admitted(tx, state, track_number, bearer(request))


def _request_for_client(record: RequestRecord) -> dict[str, Any]:
    """What a client may know: not who decides, nor how far the escalation is."""
    request = record.request
    return {
        "track_number": request.track_number,
        "status": record.status.value,
        "asset": str(request.asset),
        "amount": format_amount(request.amount),
        "destination": request.destination,
        "requester": request.requester,
        "memo": request.memo,
        "created_at": plain(record.created_at),
        "expires_at": plain(record.expires_at),
        "ended_at": plain(record.ended_at),
        "reason": record.reason,
    }
