"""Rendering pages: one environment, one frame, and the news that survives a redirect."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from itsdangerous import BadData, URLSafeTimedSerializer

from domain.errors import MintkeeperError
from domain.mint_request import utc_text
from domain.sessions import Person
from web.filters import amount, countdown, local, short_account
from web.people import csrf_of
from web.state import State

NEWS = "mintkeeper_news"
_NEWS_SECONDS = 60
_LONGEST_NEWS = 700
"""Characters: a cookie carries them to the next page."""

templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
templates.env.trim_blocks = True
templates.env.lstrip_blocks = True


def page(
    request: Request,
    state: State,
    person: Person | None,
    template: str,
    /,
    *,
    status_code: int = 200,
    **values: Any,
) -> HTMLResponse:
    """A page of ours: `person`, `csrf`, `now`, `news` and the links of the frame are there for each template.

    `values` are the template's own.
    """
    news = _news(request, state) if person is not None else None
    context = {
        "person": person,
        "csrf": csrf_of(state, person) if person is not None else "",
        "now": datetime.now(UTC),
        "news": news,
        "temporal_ui_url": state.settings.temporal_ui_url,
        "here": request.url.path,
        **values,
    }
    answer = templates.TemplateResponse(request, template, context, status_code=status_code)
    if news is not None:
        answer.delete_cookie(NEWS)
    return answer


def redirect(state: State, to: str, news: str = "", *, bad: bool = False) -> RedirectResponse:
    """Go to a page of ours after something was done, and say there what it was."""
    answer = RedirectResponse(to, status_code=303)
    if news:
        told = news if len(news) <= _LONGEST_NEWS else f"{news[:_LONGEST_NEWS]}…"
        set_cookie(answer, state, NEWS, _signer(state).dumps({"text": told, "bad": bad}), _NEWS_SECONDS)
    return answer


async def attempt(state: State, back: str, work: Awaitable[str]) -> RedirectResponse:
    """Do something and go back to a page, which says what was done or why it was not."""
    try:
        told, bad = await work, False
    except MintkeeperError as error:
        told, bad = error.message, True
    return redirect(state, back, told, bad=bad)


def set_cookie(answer: Response, state: State, name: str, value: str, seconds: int | None) -> None:
    """A cookie that no script reads and no other site's form carries along."""
    answer.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="lax", secure=state.is_https, path="/"
    )


def inner_path(wanted: str, otherwise: str = "/") -> str:
    """A path of this site to go to; anything that could lead elsewhere is not taken."""
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if plain and "\\" not in wanted else otherwise


def _news(request: Request, state: State) -> dict[str, Any] | None:
    kept = request.cookies.get(NEWS)
    if kept is None:
        return None
    try:
        news: dict[str, Any] = _signer(state).loads(kept, max_age=_NEWS_SECONDS)
    except BadData:
        return None
    return news


def _signer(state: State) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(state.secret.mac("news"))


templates.env.filters["utc"] = lambda moment: utc_text(moment.astimezone(UTC))
templates.env.filters["local"] = local
templates.env.filters["countdown"] = countdown
templates.env.filters["amount"] = amount
templates.env.filters["account"] = short_account
