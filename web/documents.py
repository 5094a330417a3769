"""Documents over HTTP: announced, sent, handed out; the same for clients and for the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from commands.talk_documents import attachment_document
from db.reads.conversation import AttachmentView
from domain.attachments import Announcement
from domain.errors import InvalidInput
from starter import uploads
from storage import Storage, open_storage
from web.bodies import TooLarge, limited_body
from web.state import State

LONGEST_BODY = 32_768
"""Bytes of a JSON body: a message has up to 2,000 characters, of up to 12 bytes where JSON escapes them."""


Model = TypeVar("Model", bound=BaseModel)


class Announced(BaseModel):
    """The body of an announcement."""

    model_config = ConfigDict(extra="forbid")

    filename: Annotated[str, Field(max_length=1000)]
    content_type: Annotated[str, Field(max_length=200)] | None = None
    size: int
    sha256: Annotated[str, Field(max_length=64)] | None = None

    def checked(self, state: State) -> Announcement:
        """What may be handed in; raises InvalidInput."""
        return Announcement.checked(
            self.filename, self.content_type, self.size, self.sha256, state.settings.upload_max_bytes
        )


async def json_body(request: Request, model: type[Model]) -> Model:
    """The JSON body of a request, of bounded size; raises InvalidInput."""
    try:
        content = await limited_body(request, LONGEST_BODY)
    except TooLarge:
        raise InvalidInput(f"the body has more than {LONGEST_BODY} bytes", "body") from None
    return read_body(content, model)


def read_body(content: bytes, model: type[Model]) -> Model:
    """A JSON body that was read; raises InvalidInput."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise as_input(error) from None


def as_input(error: ValidationError) -> InvalidInput:
    """The first thing that is wrong with a body; its values stay out of the text."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return InvalidInput(f"{where}: {first['msg']}", where)


def storage_of(state: State) -> Storage:
    """The storage; raises ConfigurationError."""
    return open_storage(state.settings.storage_url)


def bearer(request: Request) -> str:
    """The pass that a request carries; empty: none. No cookie is ever looked at."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def take_in(request: Request, state: State, attachment_id: str) -> dict[str, Any]:
    """Store the body as the bytes of an upload; raises what `uploads.receive` does."""
    try:
        stored = await uploads.receive(state.database, storage_of(state), attachment_id, request.stream())
    except ClientDisconnect:
        raise InvalidInput("the connection was cut before all bytes had come", "body") from None
    return attachment_document(stored)


async def hand_out(state: State, attachment: AttachmentView) -> StreamingResponse:
    """The bytes, to be saved and never to be shown in the page; raises NotFound, Unavailable."""
    parts = uploads.send_out(storage_of(state), attachment)
    # an error before the first byte is still an answer of its own
    first = await anext(parts)
    headers = {
        "Content-Disposition": disposition(attachment.filename),
        "Content-Length": str(attachment.size),
        "ETag": f'"{attachment.sha256}"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_all(first, parts), media_type=attachment.content_type, headers=headers)


def disposition(filename: str) -> str:
    """`attachment` with the name in both spellings of RFC 6266."""
    plain = "".join(
        char if char.isascii() and (char.isalnum() or char in " ._-()") else "_" for char in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


async def _all(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part
