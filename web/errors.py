"""Errors of the house as RFC 9457 problem documents."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from domain.ack import AckRefusal
from domain.commands import CommandRefusal
from domain.errors import (
    AckRefused,
    CommandRefused,
    InvalidInput,
    MintkeeperError,
    NotFound,
    Refused,
    Unavailable,
)

_ACK_STATUS = {
    AckRefusal.MALFORMED: 400,
    AckRefusal.EXPIRED: 410,
    AckRefusal.ALREADY_ACKNOWLEDGED: 409,
    AckRefusal.OVER: 409,
    AckRefusal.INTERNAL: 503,
}
_COMMAND_STATUS = {CommandRefusal.MALFORMED: 400, CommandRefusal.REPLAYED: 409}
_STATUS = ((NotFound, 404), (InvalidInput, 400), (Refused, 409), (Unavailable, 503))


def status_of(error: Exception) -> int:
    """The HTTP status that says the same; a token or command that is not to be believed is forbidden."""
    if isinstance(error, AckRefused):
        return _ACK_STATUS.get(AckRefusal(error.reason), 403)
    if isinstance(error, CommandRefused):
        return _COMMAND_STATUS.get(CommandRefusal(error.reason), 403)
    return next((number for kind, number in _STATUS if isinstance(error, kind)), 500)


async def problem(_: Request, error: Exception) -> JSONResponse:
    """One document per error; `code` is the same word as in the CLI."""
    status = status_of(error)
    code = error.code if isinstance(error, MintkeeperError) else "internal"
    document = {"type": "about:blank", "status": status, "title": code, "code": code, "detail": str(error)}
    if isinstance(error, AckRefused | CommandRefused):
        document |= {"reason": error.reason}
    if isinstance(error, AckRefused) and error.recorded:
        document |= {"recorded": error.recorded}
    return JSONResponse(document, status_code=status, media_type="application/problem+json")
