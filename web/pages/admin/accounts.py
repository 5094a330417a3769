"""Users' accounts: what they sign in with, their sessions, invitations, keys; no secret is ever shown."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db.reads.absences import absences
from db.reads.accounts import sessions_of
from db.reads.admin import AccountLine, account_lines, approver_keys
from db.writes.dictionaries import register_key, revoke_key
from domain.errors import FieldsError, InvalidInput, NotFound
from domain.sessions import INVITATION, Person
from starter import account_care
from web.pages.admin.guard import CODE, AtDesk, by, path, second_factor
from web.people import field, form_of
from web.rendering import attempt, page
from web.state import State, Wired

router = APIRouter(prefix="/accounts")


@router.get("")
async def list_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """Every user, and what they sign in with."""
    async with state.database.transaction() as tx:
        found = await account_lines(tx, person.tenant, datetime.now(UTC))
    return page(request, state, person, "admin/accounts.html", accounts=found)


@router.get("/{name}")
async def account_page(request: Request, state: Wired, person: AtDesk, name: str) -> HTMLResponse:
    """One user's account."""
    return await _account(request, state, person, name)


@router.post("/{name}/invite")
async def invite(request: Request, state: Wired, person: AtDesk, name: str) -> HTMLResponse:
    """A link to choose a password with; it is shown in this answer and never again."""
    form = await form_of(request)
    await _existing(state, person, name)
    try:
        await second_factor(request, state, person, form)
    except InvalidInput as error:
        return await _account(request, state, person, name, error=error)
    token = await account_care.invite(state.database, person.tenant, name, actor=person.name)
    base = state.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return await _account(request, state, person, name, link=f"{base}/invitations/{token}")


@router.post("/{name}/sessions/end")
async def end_sessions(request: Request, state: Wired, person: AtDesk, name: str) -> Response:
    """Sign somebody out: of one browser or token, or of all."""
    form = await form_of(request)

    async def work() -> str:
        await _existing(state, person, name)
        ended = await account_care.end_sessions(
            state.database, person.tenant, name, actor=person.name, session_id=field(form, "session") or None
        )
        return f"{ended} session{'' if ended == 1 else 's'} of {name} ended"

    return await attempt(state, path("accounts", name), work())


@router.post("/{name}/authenticator/remove")
async def remove_authenticator(request: Request, state: Wired, person: AtDesk, name: str) -> Response:
    """For somebody who has lost their phone: they sign in by password alone until they set up another."""
    form = await form_of(request)

    async def work() -> str:
        await second_factor(request, state, person, form)
        removed = await account_care.reset_totp(state.database, person.tenant, name, actor=person.name)
        return f"{name} has no authenticator any more" if removed else f"{name} had no authenticator"

    return await attempt(state, path("accounts", name), work())


@router.post("/{name}/keys/register")
async def add_key(request: Request, state: Wired, person: AtDesk, name: str) -> Response:
    """Let a public key sign for somebody."""
    form = await form_of(request)

    async def work() -> str:
        public_key = _public_key(field(form, "public_key"))
        await second_factor(request, state, person, form)
        async with state.database.transaction() as tx:
            identifier = await register_key(tx, user=name, public_key=public_key, **by(person).words())
        return f"key {identifier} now signs for {name}"

    return await attempt(state, path("accounts", name), work())


@router.post("/{name}/keys/revoke")
async def take_key(request: Request, state: Wired, person: AtDesk, name: str) -> Response:
    """From now on the key signs nothing; what it signed stays."""
    form = await form_of(request)

    async def work() -> str:
        await second_factor(request, state, person, form)
        async with state.database.transaction() as tx:
            await revoke_key(tx, user=name, key_id=field(form, "key_id"), **by(person).words())
        return f"key {field(form, 'key_id')} is revoked"

    return await attempt(state, path("accounts", name), work())


async def _existing(state: State, person: Person, name: str) -> AccountLine:
    async with state.database.transaction() as tx:
        found = await account_lines(tx, person.tenant, datetime.now(UTC), name)
    if not found:
        raise NotFound(f"there is no user {name[:80]}")
    return found[0]


async def _account(
    request: Request,
    state: State,
    person: Person,
    name: str,
    *,
    link: str = "",
    error: FieldsError | None = None,
) -> HTMLResponse:
    account, now = await _existing(state, person, name), datetime.now(UTC)
    async with state.database.transaction() as tx:
        sessions = await sessions_of(tx, person.tenant, name, now)
        keys = await approver_keys(tx, person.tenant, name)
        away = await absences(tx, person.tenant, now, user=name)
    return page(
        request,
        state,
        person,
        "admin/account.html",
        status_code=400 if error else 200,
        account=account,
        sessions=sessions,
        keys=keys,
        away=away,
        link=link,
        hours=int(INVITATION.total_seconds() // 3600),
        needs_code=person.has_totp,
        code_error=error.fields.get(CODE, "") if error else "",
    )


def _public_key(typed: str) -> bytes:
    try:
        return bytes.fromhex(typed.strip())
    except ValueError as error:
        raise InvalidInput("the public key must be 64 hexadecimal digits", "public_key") from error
