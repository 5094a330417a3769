"""A document that is handed in by a form of a page; the desk's and the client's share it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from domain.attachments import Announcement
from domain.errors import InvalidInput, MintkeeperError
from starter import uploads
from storage import CHUNK
from web.documents import storage_of
from web.people import check_size, field
from web.state import State, Wired

_AROUND: Final = 256 * 1024
"""Bytes that a form may have beside the document in it."""


async def bounded(request: Request, state: Wired) -> AsyncIterator[None]:
    """Refuse a form that is too large before anything of it is read; raises InvalidInput.

    Afterwards what was kept of it on the way is removed.
    """
    most = state.settings.upload_max_bytes
    request.state.most_bytes = most + _AROUND
    check_size(request, most + _AROUND, "document")
    try:
        yield
    finally:
        await request.close()


async def store_form(state: State, request_id: str, author: str, form: FormData) -> str:
    """Store the file in the field `document`; a form that is sent twice is one document.

    Answers the name under which it is kept; raises what announcing and receiving do.
    """
    given = form.get("document")
    if not isinstance(given, UploadFile) or not given.filename:
        raise InvalidInput("choose a document first", "document")
    announced = Announcement.checked(
        given.filename, None, given.size or 0, None, state.settings.upload_max_bytes
    )
    key = field(form, "key")
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
