"""Reading what a stranger sends: no more of it than is allowed, whatever length is claimed."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse


class TooLarge(Exception):
    """The body has more bytes than are allowed."""


async def limited_body(request: Request, most: int) -> bytes:
    """The whole body, at most `most` bytes; raises TooLarge."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLarge
    return bytes(body)


def refusal(status: int, code: str, detail: str) -> JSONResponse:
    """A provider's call that changes nothing, as a problem document."""
    document = {"type": "about:blank", "status": status, "title": code, "code": code, "detail": detail}
    return JSONResponse(document, status_code=status, media_type="application/problem+json")
