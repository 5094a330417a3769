"""Documents of a request: handed in by a form of its page, handed out to be saved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from db.writes import attachments
from domain.attachments import Announcement
from domain.errors import InvalidInput, MintkeeperError, NotFound
from starter import uploads
from storage import CHUNK
from web.acting import load_visible, visible
from web.documents import hand_out, storage_of
from web.pages.request_actions import undone
from web.people import SignedIn, field, form_of, require
from web.rendering import redirect
from web.request_deeds import Deed
from web.state import Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_AROUND: Final = 256 * 1024
"""Bytes that a form may have beside the document in it."""


async def _bounded(request: Request, state: Wired) -> AsyncIterator[None]:
    """Refuse a form that is too large before anything of it is read; raises InvalidInput.

    A server reads no more of a body than its length says; browsers always say it. Its temporary file is
    gone afterwards, whatever comes between.
    """
    told = request.headers.get("content-length", "")
    if not told.isdecimal():
        raise InvalidInput("the form has no length: send it with a browser", "document")
    if int(told) > state.settings.upload_max_bytes + _AROUND:
        most = state.settings.upload_max_bytes
        raise InvalidInput(f"the document is too large: at most {most} bytes are allowed", "document")
    try:
        yield
    finally:
        await request.close()


@router.post("/requests/{name}/documents", dependencies=[Depends(_bounded)])
async def hand_in(request: Request, state: Wired, person: SignedIn, name: str) -> Response:
    """Take a document in: announced, then stored, exactly as over the API."""
    require(person, "requester", "approver", "admin")
    deed = Deed(request, state, person, await load_visible(state, person, name), await form_of(request))
    try:
        filename = await _store(deed)
    except MintkeeperError as error:
        return await undone(deed, "documents", error)
    return redirect(state, f"/requests/{deed.record.request.id}", f"{filename} was handed in.")


@router.get("/requests/{name}/documents/{document_id}", response_model=None)
async def document(state: Wired, person: SignedIn, name: str, document_id: str) -> Response:
    """A stored document, to be saved: never shown, and run by nothing."""
    async with state.database.transaction() as tx:
        record = await visible(tx, person, name)
        found = await attachments.find(tx, document_id)
    if found.request_id != record.request.id:
        raise NotFound(f"there is no document {document_id}")
    answer = await hand_out(state, found)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


async def _store(deed: Deed) -> str:
    """The name under which it is kept; raises what announcing and receiving do."""
    state, request_id, author = deed.state, deed.record.request.id, deed.person.name
    given = deed.form.get("document")
    if not isinstance(given, UploadFile) or not given.filename:
        raise InvalidInput("choose a document first", "document")
    announced = Announcement.checked(
        given.filename, None, given.size or 0, None, state.settings.upload_max_bytes
    )
    key = field(deed.form, "key")
    new = uploads.attachment_id_for_key(request_id, author, key) if key else uploads.new_attachment_id()
    pending = await uploads.announce(state.database, request_id, author, announced, new)
    if pending.is_stored:
        return pending.filename
    try:
        stored = await uploads.receive(state.database, storage_of(state), new, _chunks(given))
    except MintkeeperError:
        await uploads.withdraw(state.database, new)
        raise
    return stored.filename


async def _chunks(given: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await given.read(CHUNK):
        yield chunk
