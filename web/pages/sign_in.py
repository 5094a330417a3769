"""Signing in and out, and choosing a password by an invitation."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db import reads
from domain.errors import AccessRefused, InvalidInput, MintkeeperError, Refused
from domain.passes import AccessRefusal
from domain.sessions import KNOWN_BROWSER, Opened
from starter.accounts import NeedsCode
from web.errors import status_of
from web.people import COOKIE, SignedIn, address_of, check_same_site, field, form_of
from web.rendering import inner_path, page, redirect, set_cookie
from web.state import State, Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

KNOWN = "mintkeeper_known"
"""Cookie of a browser that somebody has signed in with."""


@router.get("/sign-in")
async def ask(request: Request, state: Wired, next: str = "/") -> HTMLResponse:
    """Name and password."""
    return await sign_in_page(request, state, next=inner_path(next))


@router.post("/sign-in")
async def sign_in(request: Request, state: Wired) -> Response:
    """Let somebody in by password, or ask for the code of their authenticator."""
    check_same_site(request)
    form = await form_of(request)
    names = {"tenant": field(form, "tenant").strip(), "name": field(form, "name").strip()}
    onward = inner_path(field(form, "next"))
    try:
        step = await state.accounts.sign_in(
            **names,
            password=field(form, "password"),
            address=address_of(request),
            label=label_of(request),
            browser=request.cookies.get(KNOWN, ""),
        )
    except AccessRefused as error:
        return await sign_in_page(request, state, next=onward, error=error, **names)
    if isinstance(step, NeedsCode):
        return page(
            request,
            state,
            None,
            "code.html",
            ticket=step.ticket,
            next=onward,
            tenant=names["tenant"],
            name=names["name"],
        )
    return _remembered(state, let_in(state, step, onward), **names)


@router.post("/sign-in/code")
async def second_step(request: Request, state: Wired) -> Response:
    """Let somebody in by the code of their authenticator, after the password."""
    check_same_site(request)
    form = await form_of(request)
    names = {"tenant": field(form, "tenant"), "name": field(form, "name")}
    ticket, onward = field(form, "ticket"), inner_path(field(form, "next"))
    try:
        opened = await state.accounts.second_step(
            **names,
            ticket=ticket,
            code=field(form, "code"),
            address=address_of(request),
            label=label_of(request),
            browser=request.cookies.get(KNOWN, ""),
        )
    except AccessRefused as error:
        if error.reason != AccessRefusal.WRONG_CODE:
            return await sign_in_page(request, state, next=onward, error=error, **names)
        return page(
            request,
            state,
            None,
            "code.html",
            status_code=status_of(error),
            ticket=ticket,
            next=onward,
            message=error.message,
            tenant=names["tenant"],
            name=names["name"],
        )
    return _remembered(state, let_in(state, opened, onward), **names)


@router.post("/sign-out")
async def sign_out(state: Wired, person: SignedIn) -> Response:
    """End this session; what the browser still shows is worth nothing then."""
    await state.accounts.sign_out(person)
    answer = redirect(state, "/sign-in")
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/invitations/{token}")
async def invitation(request: Request, state: Wired, token: str) -> HTMLResponse:
    """Choose a password; looking at the page uses nothing up."""
    return await _invitation(request, state, token)


@router.post("/invitations/{token}")
async def accept_invitation(request: Request, state: Wired, token: str) -> Response:
    """Take the password."""
    check_same_site(request)
    form = await form_of(request)
    if field(form, "password") != field(form, "again"):
        return await _invitation(request, state, token, 400, "the two passwords differ: type them again")
    try:
        await state.accounts.accept_invitation(token, field(form, "password"))
    except (InvalidInput, Refused) as error:
        return await _invitation(request, state, token, status_of(error), error.message)
    return page(request, state, None, "invitation.html", done=True)


def let_in(state: State, opened: Opened, onward: str) -> Response:
    """Go on with a session; its cookie goes with the browser at the latest."""
    answer = redirect(state, onward)
    set_cookie(answer, state, COOKIE, opened.token, None)
    return answer


def _remembered(state: State, answer: Response, tenant: str, name: str) -> Response:
    """Let the browser be known the next time."""
    answer.set_cookie(
        KNOWN,
        state.accounts.known_browser(tenant, name),
        max_age=int(KNOWN_BROWSER.total_seconds()),
        path="/sign-in",
        httponly=True,
        samesite="lax",
        secure=state.is_https,
    )
    return answer


async def sign_in_page(
    request: Request,
    state: State,
    *,
    next: str,
    error: MintkeeperError | None = None,
    tenant: str = "",
    name: str = "",
) -> HTMLResponse:
    """Name and password, or a provider; with what went wrong, if something did."""
    async with state.database.transaction() as tx:
        tenants = [one.code for one in await reads.tenants(tx) if one.active]
    return page(
        request,
        state,
        None,
        "sign_in.html",
        status_code=status_of(error) if error else 200,
        next=next,
        message=error.message if error else "",
        provider=urlsplit(state.settings.oidc_issuer).netloc,
        only_tenant=tenants[0] if len(tenants) == 1 else "",
        tenant=tenant,
        name=name,
    )


async def _invitation(
    request: Request, state: State, token: str, status_code: int = 200, message: str = ""
) -> HTMLResponse:
    found = await state.accounts.invited(token)
    name = found[1] if found else ""
    status = status_code if found else 410
    return page(
        request, state, None, "invitation.html", status_code=status, name=name, message=message, done=False
    )


def label_of(request: Request) -> str:
    """What the browser says it is, for the list of one's sessions."""
    return request.headers.get("user-agent", "")[:100]
