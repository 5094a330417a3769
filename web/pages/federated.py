"""Signing in with a provider: out to it, and back with a code. A signed cookie holds the way in between."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from domain.errors import AccessRefused, MintkeeperError, NotFound
from domain.passes import AccessRefusal
from starter.oidc import Begun, Provider
from web.pages.sign_in import label_of, let_in, sign_in_page
from web.rendering import inner_path
from web.state import State, Wired

router = APIRouter(prefix="/sign-in/oidc", include_in_schema=False, default_response_class=HTMLResponse)

COOKIE = "mintkeeper_oidc"
_PATH = "/sign-in/oidc"
_SECONDS = 600


@router.get("")
async def leave(request: Request, state: Wired, next: str = "/") -> Response:
    """Go to the provider."""
    onward = inner_path(next)
    try:
        begun = await _provider(state).begin(_redirect_uri(request, state))
    except MintkeeperError as error:
        return await sign_in_page(request, state, next=onward, error=error)
    answer = RedirectResponse(begun.url, status_code=303)
    kept = _signer(state).dumps({**asdict(begun), "url": "", "next": onward})
    # the provider's page leads back here, so the cookie must come along from another site
    answer.set_cookie(
        COOKIE, kept, max_age=_SECONDS, path=_PATH, httponly=True, samesite="lax", secure=state.is_https
    )
    return answer


@router.get("/callback")
async def come_back(request: Request, state: Wired) -> Response:
    """Let in who comes back with what this very browser was sent away with."""
    try:
        provider, kept = _provider(state), _kept(request, state)
        begun = Begun(**{name: kept[name] for name in ("url", "state", "nonce", "verifier")})
        code = _code(request, begun, state.settings.oidc_issuer)
        person = await provider.finish(begun, code, _redirect_uri(request, state))
    except MintkeeperError as error:
        answer: Response = await sign_in_page(request, state, next="/", error=error)
    else:
        opened = await state.accounts.open_session(
            person.tenant, person.name, person.amr, label=label_of(request)
        )
        answer = let_in(state, opened, inner_path(kept["next"]))
    answer.delete_cookie(COOKIE, path=_PATH)
    return answer


def _code(request: Request, begun: Begun, issuer: str) -> str:
    """The code of the answer, if it is an answer to our question; raises AccessRefused."""
    said = request.query_params
    # one that was made elsewhere would sign a victim in as somebody else
    if said.get("state") != begun.state or said.get("iss", issuer) != issuer:
        raise _astray()
    if not said.get("code"):
        raise AccessRefused("the provider did not let you in", AccessRefusal.NOT_SIGNED_IN)
    return said["code"]


def _kept(request: Request, state: State) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = _signer(state).loads(request.cookies.get(COOKIE, ""), max_age=_SECONDS)
    except BadData:
        raise _astray() from None
    return kept


def _astray() -> AccessRefused:
    return AccessRefused(
        "this sign-in did not begin here, or took too long: begin again", AccessRefusal.CROSS_SITE
    )


def _provider(state: State) -> Provider:
    if not state.settings.oidc_issuer:
        raise NotFound("no provider to sign in with is set up")
    return Provider(state.settings, state.database)


def _redirect_uri(request: Request, state: State) -> str:
    base = state.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return f"{base}{_PATH}/callback"


def _signer(state: State) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(state.secret.mac("oidc"))
