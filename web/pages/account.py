"""One's own account: password, authenticator, sessions, API tokens, absences, messages."""

from __future__ import annotations

from datetime import UTC, datetime

import segno
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup
from starlette.datastructures import FormData

from db import reads
from db.reads.absences import absences
from db.reads.notifications import newest_notifications, unread_notifications
from db.writes.absences import end_own_absence, set_own_absence
from db.writes.reading import mark_read
from domain.absences import Wish
from domain.errors import InvalidInput, MintkeeperError
from domain.sessions import Opened, Person, SessionKind
from starter import account_care
from starter.ids import new_message_id
from web.errors import status_of
from web.filters import typed_moment
from web.people import Present, SignedIn, address_of, field, form_of
from web.rendering import attempt, page, redirect
from web.state import State, Wired

router = APIRouter(prefix="/account", include_in_schema=False, default_response_class=HTMLResponse)

_HERE = "/account"
_TOKEN_DAYS = 90


@router.get("")
async def account_page(request: Request, state: Wired, person: Present) -> HTMLResponse:
    """Who I am, and everything that lets me in."""
    return await _account(request, state, person)


@router.post("/password")
async def change_password(request: Request, state: Wired, person: Present) -> Response:
    """A new password, by the present one; every other session ends."""
    form = await form_of(request)

    async def work() -> str:
        if field(form, "password") != field(form, "again"):
            raise InvalidInput("the two passwords differ: type them again", "again")
        await state.accounts.change_password(
            person, field(form, "present"), field(form, "password"), address=address_of(request)
        )
        return "Your password is changed. Your other sessions and tokens have ended."

    return await attempt(state, _HERE, work())


@router.post("/authenticator")
async def begin_authenticator(request: Request, state: Wired, person: Present) -> Response:
    """A new secret, by the present password: of a stolen session it would be the thief's authenticator."""
    form = await form_of(request)
    try:
        if await state.accounts.has_password(person):
            await state.accounts.check_present(person, field(form, "present"), address=address_of(request))
        await state.accounts.authenticators.begin(person)
    except MintkeeperError as error:
        return redirect(state, _HERE, error.message, bad=True)
    return redirect(state, f"{_HERE}/authenticator")


@router.get("/authenticator")
async def authenticator_page(request: Request, state: Wired, person: Present) -> Response:
    """The secret as a picture and as text, while it waits for its first code."""
    return await _authenticator(request, state, person)


@router.post("/authenticator/confirm")
async def confirm_authenticator(request: Request, state: Wired, person: Present) -> Response:
    """The first code; every other session ends, for it began without one."""
    form = await form_of(request)
    try:
        await state.accounts.authenticators.confirm(person, field(form, "code"))
    except MintkeeperError as error:
        return await _authenticator(request, state, person, error)
    return redirect(state, _HERE, "Your authenticator is set up. From now on you sign in with its codes.")


@router.post("/authenticator/remove")
async def remove_authenticator(request: Request, state: Wired, person: Present) -> Response:
    """By a code of it; every session ends, this one too."""
    form = await form_of(request)
    try:
        await state.accounts.remove_totp(person, field(form, "code"), address=address_of(request))
    except MintkeeperError as error:
        return redirect(state, _HERE, error.message, bad=True)
    return redirect(state, "/sign-in")


@router.post("/sessions/end")
async def end_sessions(request: Request, state: Wired, person: Present) -> Response:
    """End one session or token, or all but this session."""
    form = await form_of(request)
    which = field(form, "session")

    async def work() -> str:
        ended = await account_care.end_sessions(
            state.database,
            person.tenant,
            person.name,
            actor=person.name,
            session_id=which or None,
            kept=None if which else person.session_id,
        )
        return f"{ended} ended."

    return await attempt(state, _HERE, work())


@router.post("/tokens")
async def make_token(request: Request, state: Wired, person: Present) -> HTMLResponse:
    """An API token; this answer is the only one that shows it."""
    form = await form_of(request)
    days = field(form, "days")
    try:
        made = await account_care.issue_token(
            state.database,
            person.tenant,
            person.name,
            label=field(form, "label").strip(),
            days=int(days) if days.isascii() and days.isdigit() and len(days) < 5 else 0,
            actor=person.name,
        )
    except MintkeeperError as error:
        return await _account(request, state, person, error=error)
    return await _account(request, state, person, made=made)


@router.post("/absences")
async def go_away(request: Request, state: Wired, person: Present) -> Response:
    """Out of office, with nobody standing in."""
    form = await form_of(request)

    async def work() -> str:
        now = datetime.now(UTC)
        wish = Wish.parse(
            {
                "from": _said(form, "from", person) or now,
                "until": _said(form, "until", person) or "",
                "reason": field(form, "reason"),
            }
        )
        async with state.database.transaction() as tx:
            await set_own_absence(
                tx,
                tenant=person.tenant,
                user=person.name,
                wish=wish,
                message_id=new_message_id(),
                now=now,
            )
        return "You are out of office then. Nobody stands in for you."

    return await attempt(state, f"{_HERE}#absence", work())


@router.post("/absences/{absence_id}/end")
async def come_back(state: Wired, person: Present, absence_id: str) -> Response:
    """End an absence of one's own that has no delegate."""

    async def work() -> str:
        async with state.database.transaction() as tx:
            await end_own_absence(
                tx,
                tenant=person.tenant,
                user=person.name,
                absence_id=absence_id,
                now=datetime.now(UTC),
            )
        return "Welcome back."

    return await attempt(state, f"{_HERE}#absence", work())


@router.get("/notifications")
async def notifications_page(request: Request, state: Wired, person: SignedIn) -> HTMLResponse:
    """What the desk was told in the app, the newest first."""
    async with state.database.transaction() as tx:
        found = await newest_notifications(tx, person.tenant, person.name)
    return page(request, state, person, "notifications.html", notifications=found)


@router.post("/notifications/read")
async def read_notifications(request: Request, state: Wired, person: SignedIn) -> Response:
    """Mark one as read, or all that the page has shown."""
    form, now = await form_of(request), datetime.now(UTC)
    until = _read_iso(field(form, "until")) or now
    async with state.database.transaction() as tx:
        await mark_read(
            tx,
            tenant=person.tenant,
            name=person.name,
            at=now,
            until=until,
            message_id=field(form, "message") or None,
        )
    return redirect(state, f"{_HERE}/notifications")


async def _account(
    request: Request,
    state: State,
    person: Person,
    *,
    made: Opened | None = None,
    error: MintkeeperError | None = None,
) -> HTMLResponse:
    now = datetime.now(UTC)
    async with state.database.transaction() as tx:
        users = await reads.users(tx, person.tenant)
        away = await absences(tx, person.tenant, now, user=person.name) if person.is_approver else []
        unread = await unread_notifications(tx, person.tenant, person.name)
    sessions = await account_care.sessions_of(state.database, person.tenant, person.name)
    return page(
        request,
        state,
        person,
        "account.html",
        status_code=status_of(error) if error else 200,
        me=next(user for user in users if user.name == person.name),
        away=away,
        unread=unread,
        browsers=[one for one in sessions if one.kind is SessionKind.BROWSER],
        tokens=[one for one in sessions if one.kind is SessionKind.TOKEN],
        has_password=await state.accounts.has_password(person),
        days=_TOKEN_DAYS,
        made=made,
        error=error.message if error else "",
    )


async def _authenticator(
    request: Request, state: State, person: Person, error: MintkeeperError | None = None
) -> Response:
    address = await state.accounts.authenticators.waiting(person)
    if address is None:
        return redirect(state, _HERE)
    secret = address.partition("secret=")[2].partition("&")[0]
    return page(
        request,
        state,
        person,
        "authenticator.html",
        status_code=status_of(error) if error else 200,
        picture=_picture(address),
        key=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        message=error.message if error else "",
    )


def _picture(address: str) -> Markup:
    """The QR code of an otpauth:// address, without styles of its own."""
    code = segno.make(address, error="m", micro=False)
    # the library writes nothing into it but numbers
    return Markup(code.svg_inline(svgclass="qr", lineclass=None, omitsize=True, border=2))  # noqa: S704


def _said(form: FormData, name: str, person: Person) -> str | None:
    moment = typed_moment(field(form, name), person, name)
    return moment.isoformat() if moment else None


def _read_iso(typed: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(typed)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
