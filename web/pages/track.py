"""The page of a client: their request under its track number, after a one-time code; no account.

The pass of the session is in a cookie of its own, which is sent to these pages only and is good for one
request. What is not the bearer's to see shows the form for a code, as an unknown number does.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from db.writes import conversation
from domain.errors import AccessRefused, FieldsError, InvalidInput, MintkeeperError, NotFound, Refused
from domain.passes import AccessRefusal
from domain.records import RequestRecord
from starter.ids import new_message_id
from web import tracking
from web.acting import load_visible
from web.documents import hand_out
from web.errors import status_of
from web.filters import sentence
from web.handing_in import bounded, store_form
from web.people import CSRF_FIELD, check_same_site, field, form_of, still_there
from web.rendering import page
from web.state import State, Wired
from web.track_view import view_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

COOKIE: Final = "mintkeeper_track"

_NEWS: Final = {
    "code": "If there is such a request, its client has a code now. It is good for ten minutes.",
    "message": "Your message was sent.",
    "document": "Your document was handed in.",
    "out": "You are signed out.",
}


@router.get("/track")
async def ask_for_number(request: Request, state: Wired, number: str = "", out: str = "") -> Response:
    """Type the track number."""
    wanted = number.strip().upper()
    if tracking.is_track_number(wanted):
        return RedirectResponse(f"/track/{wanted}", status_code=303)
    wrong = "a track number looks like MK-ABCDEFGHIJ: it is in the first message about your request"
    news = {"text": wrong, "bad": True} if wanted else {"text": _NEWS["out"], "bad": False} if out else None
    values = {"news": news, "number": number[:20], "home": "/track"}
    return page(request, state, None, "track_number.html", status_code=400 if wanted else 200, **values)


@router.get("/track/{number}")
async def show(request: Request, state: Wired, number: str, done: str = "") -> Response:
    """How the request stands, for who has a session; else the form for a code."""
    news = {"text": _NEWS[done], "bad": False} if done in _NEWS else None
    try:
        return await _request_page(request, state, number, news=news)
    except (AccessRefused, NotFound) as error:
        mine = await _own(request, state, number)
        if mine is not None:
            return RedirectResponse(f"/requests/{mine.request.id}", status_code=303)
        over = isinstance(error, AccessRefused) and error.reason == AccessRefusal.EXPIRED
        told = {"text": "Your half hour is over: ask for a new code.", "bad": True} if over else None
        return _code_page(request, state, number, news=news or told)


@router.post("/track/{number}/code")
async def ask_for_code(request: Request, state: Wired, number: str) -> Response:
    """Send a code; the same answer for every number."""
    check_same_site(request)
    await tracking.send_code(state, number)
    return _to(number, "code")


@router.post("/track/{number}/session")
async def sign_in(request: Request, state: Wired, number: str) -> Response:
    """Exchange the code for a session of half an hour."""
    check_same_site(request)
    form = await form_of(request)
    try:
        token, _ = await tracking.open_session(state, number, field(form, "code")[:100])
    except AccessRefused as error:
        news = {"text": sentence(error.message), "bad": True}
        return _code_page(request, state, number, news=news, status_code=403)
    answer = _to(number)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(tracking.SESSION.total_seconds()),
        path="/track",
        httponly=True,
        samesite="lax",
        secure=state.is_https,
    )
    return answer


@router.post("/track/{number}/sign-out")
async def sign_out(request: Request, state: Wired, number: str) -> Response:
    """Forget the session in this browser."""
    await _meant(request, state, number)
    answer = RedirectResponse("/track?out=1", status_code=303)
    answer.delete_cookie(COOKIE, path="/track")
    return answer


@router.post("/track/{number}/messages")
async def write(request: Request, state: Wired, number: str) -> Response:
    """Say something; a form that is sent twice is one message."""
    typed = field(await form_of(request), "text")
    try:
        record = await _meant(request, state, number)
        key = field(await form_of(request), "key")[:255] or new_message_id()
        if not typed.strip():
            raise InvalidInput("say something first", "text")
        author = record.request.requester
        message_id = conversation.message_id_for_key(record.request.id, author, key)
        await tracking.say(state, record, typed, message_id)
    except (Refused, FieldsError) as error:
        return await _not_done(request, state, number, error, typed)
    return _to(number, "message")


@router.post("/track/{number}/documents", dependencies=[Depends(bounded)])
async def hand_in(request: Request, state: Wired, number: str) -> Response:
    """Take a document in, exactly as over the API."""
    try:
        # before anything of the document is read
        await _admitted(request, state, number)
        record = await _meant(request, state, number)
        await store_form(state, record.request.id, record.request.requester, await form_of(request))
    except (Refused, FieldsError) as error:
        return await _not_done(request, state, number, error)
    return _to(number, "document")


@router.get("/track/{number}/documents/{document_id}", response_model=None)
async def document(request: Request, state: Wired, number: str, document_id: str) -> Response:
    """A stored document of this request, to be saved: never shown, and run by nothing."""
    record = await _admitted(request, state, number)
    async with state.database.transaction() as tx:
        found = await tracking.document_of(tx, record, document_id)
    answer = await hand_out(state, found)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


async def _own(request: Request, state: State, number: str) -> RequestRecord | None:
    """The request of a requester who is signed in as a user: they need no code for their own."""
    person = await still_there(request, state)
    if person is None or not tracking.is_track_number(number):
        return None
    try:
        record = await load_visible(state, person, number.upper())
    except NotFound:
        return None
    return record if record.request.requester == person.name else None


async def _admitted(request: Request, state: State, number: str) -> RequestRecord:
    async with state.database.transaction() as tx:
        return await tracking.admitted(tx, state, number, request.cookies.get(COOKIE, ""))


async def _meant(request: Request, state: State, number: str) -> RequestRecord:
    """The request, for who sent a form of its page and has a session; raises AccessRefused."""
    check_same_site(request)
    record = await _admitted(request, state, number)
    shown = field(await form_of(request), CSRF_FIELD)
    if not hmac.compare_digest(shown.encode(), _csrf(state, request).encode()):
        raise AccessRefused(
            "this did not come from this page: open it again, and repeat it there", AccessRefusal.CROSS_SITE
        )
    return record


def _csrf(state: State, request: Request) -> str:
    """Follows from the pass, which only this browser has."""
    mac = state.secret.mac("track-csrf", request.cookies.get(COOKIE, ""))
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


async def _not_done(
    request: Request, state: State, number: str, error: MintkeeperError, typed: str = ""
) -> Response:
    """Why nothing was done, where it was tried, with what was typed."""
    status = status_of(error)
    news = {"text": f"Not done: {error.message}", "bad": True}
    try:
        return await _request_page(request, state, number, news=news, typed=typed, status_code=status)
    except (AccessRefused, NotFound):
        return _code_page(request, state, number, news=news, typed=typed, status_code=status)


async def _request_page(
    request: Request, state: State, number: str, *, status_code: int = 200, **values: Any
) -> HTMLResponse:
    async with state.database.transaction() as tx:
        token = request.cookies.get(COOKIE, "")
        seen = await tracking.shown(tx, await tracking.admitted(tx, state, number, token))
    told = {"home": "/track", "csrf": _csrf(state, request), "key": new_message_id(), "typed": "", **values}
    return page(request, state, None, "track.html", status_code=status_code, **view_of(state, seen), **told)


def _code_page(
    request: Request, state: State, number: str, *, status_code: int = 200, typed: str = "", **values: Any
) -> Response:
    """The form for a code; what does not look like a track number has none."""
    if not tracking.is_track_number(number):
        return RedirectResponse("/track?number=-", status_code=303)
    told = {"home": "/track", "number": number.upper(), "typed": typed, **values}
    return page(request, state, None, "track_code.html", status_code=status_code, **told)


def _to(number: str, done: str = "") -> RedirectResponse:
    if not tracking.is_track_number(number):
        return RedirectResponse("/track?number=-", status_code=303)
    query = f"?done={done}" if done else ""
    return RedirectResponse(f"/track/{number.upper()}{query}", status_code=303)
