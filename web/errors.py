"""Errors of the house as RFC 9457 problem documents."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from domain.ack import AckRefusal
from domain.commands import CommandRefusal
from domain.errors import (
    AccessRefused,
    AckRefused,
    CommandRefused,
    ConfigurationError,
    DecisionRefused,
    FieldsError,
    InvalidInput,
    MintkeeperError,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from domain.passes import AccessRefusal

log = logging.getLogger("mintkeeper.web")

_templates = Jinja2Templates(directory=Path(__file__).parent / "templates")

_CLIENTS = ("/api/track/", "/track/")

_ACK_STATUS = {
    AckRefusal.MALFORMED: 400,
    AckRefusal.EXPIRED: 410,
    AckRefusal.ALREADY_ACKNOWLEDGED: 409,
    AckRefusal.OVER: 409,
    AckRefusal.INTERNAL: 503,
}
_COMMAND_STATUS = {CommandRefusal.MALFORMED: 400, CommandRefusal.REPLAYED: 409}
_ACCESS_STATUS = {
    AccessRefusal.OTHER_SUBJECT: 403,
    AccessRefusal.WRONG_CODE: 403,
    AccessRefusal.NOT_ENTITLED: 403,
    AccessRefusal.CROSS_SITE: 403,
    AccessRefusal.TOO_MANY_TRIES: 429,
}
_STATUS = ((NotFound, 404), (InvalidInput, 400), (Refused, 409), (Unavailable, 503), (OutcomeUnknown, 504))


def status_of(error: Exception) -> int:
    """The HTTP status that says the same; a token or command that is not to be believed is forbidden."""
    if isinstance(error, AckRefused):
        return _ACK_STATUS.get(AckRefusal(error.reason), 403)
    if isinstance(error, CommandRefused):
        return _COMMAND_STATUS.get(CommandRefusal(error.reason), 403)
    if isinstance(error, AccessRefused):
        return _ACCESS_STATUS.get(AccessRefusal(error.reason), 401)
    return next((number for kind, number in _STATUS if isinstance(error, kind)), 500)


async def answer_error(request: Request, error: Exception) -> Response:
    """What became of a request that failed: a page for people, a problem document for everybody else."""
    if not wants_page(request):
        return await problem(request, error)
    refused = isinstance(error, AccessRefused) and error.reason == AccessRefusal.NOT_SIGNED_IN
    if refused and request.method == "GET":
        path = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="/")
        return RedirectResponse(f"/sign-in?next={path}", status_code=303)
    return error_page(request, status_of(error), _detail(request, error), signed_out=refused)


async def http_error(request: Request, error: Exception) -> Response:
    """The same for paths that do not exist and methods that are not allowed."""
    error = cast(HTTPException, error)
    words = "there is no such page" if error.status_code == 404 else str(error.detail)
    if wants_page(request):
        return error_page(request, error.status_code, words)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_input")
    return _document(error.status_code, code, words, headers=error.headers)


async def invalid(request: Request, error: Exception) -> Response:
    """The same for a path or query that can't be; what was sent stays out of the answer."""
    fields = {
        ".".join(map(str, one["loc"][1:])) or "body": one["msg"]
        for one in cast(RequestValidationError, error).errors()
    }
    words = "; ".join(f"{name}: {what}" for name, what in fields.items())
    if wants_page(request):
        return error_page(request, 422, words)
    return _document(422, "invalid_input", words, fields=fields)


def wants_page(request: Request) -> bool:
    """A browser that opens a page, not a program."""
    machine = request.url.path.startswith(("/api/", "/slack/", "/telegram/", "/sendgrid/", "/openapi.json"))
    return not machine and "text/html" in request.headers.get("accept", "")


def error_page(request: Request, status_code: int, message: str, *, signed_out: bool = False) -> Response:
    """What is wrong, in one line, and the way back."""
    values = {"message": message, "signed_out": signed_out, "status_code": status_code}
    return _templates.TemplateResponse(request, "error.html", values, status_code=status_code)


async def problem(request: Request, error: Exception) -> JSONResponse:
    """One document per error; `code` is the same word as in the CLI."""
    status = status_of(error)
    code = error.code if isinstance(error, MintkeeperError) else "internal"
    told: dict[str, Any] = {}
    if isinstance(error, AccessRefused | AckRefused | CommandRefused | DecisionRefused):
        told |= {"reason": error.reason}
    if isinstance(error, FieldsError) and error.fields:
        told |= {"fields": error.fields}
    if isinstance(error, AckRefused) and error.recorded:
        told |= {"recorded": error.recorded}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return _document(status, code, _detail(request, error), headers=headers, **told)


def _document(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **told: Any
) -> JSONResponse:
    document = {
        "type": "about:blank",
        "status": status,
        "title": code,
        "code": code,
        "detail": detail,
        **told,
    }
    return JSONResponse(document, status_code=status, headers=headers, media_type="application/problem+json")


def _detail(request: Request, error: Exception) -> str:
    """What is wrong; clients don't read which host, directory or setting it is, but operators in the log."""
    if not (request.url.path.startswith(_CLIENTS) and isinstance(error, Unavailable | ConfigurationError)):
        return str(error)
    log.error("a client could not be served: %s", error)
    return "this can't be done at the moment: try again later, or tell the desk"
