"""Errors of the house as RFC 9457 problem documents."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from domain.errors import InvalidInput, MintkeeperError, NotFound, Refused, Unavailable

_STATUS = ((NotFound, 404), (InvalidInput, 400), (Refused, 409), (Unavailable, 503))


async def problem(_: Request, error: Exception) -> JSONResponse:
    """One document per error; `code` is the same word as in the CLI."""
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    code = error.code if isinstance(error, MintkeeperError) else "internal"
    document = {"type": "about:blank", "status": status, "title": code, "code": code, "detail": str(error)}
    return JSONResponse(document, status_code=status, media_type="application/problem+json")
