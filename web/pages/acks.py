"""The page behind an acknowledgement link. It only shows: scanners of mail fetch every link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from domain.ack import AckReceipt, Authority
from domain.errors import AckRefused, MintkeeperError, Unavailable
from domain.mint_request import utc_text
from starter.acks import examine
from web.errors import status_of
from web.state import State, Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
_templates = Jinja2Templates(directory=Path(__file__).parent.parent / "templates")


@router.get("/acks/{token:path}")
async def show(request: Request, state: Wired, token: str) -> HTMLResponse:
    """What the link is about, with a button; the receipt if it was used, or why it can't be."""
    try:
        seen = await examine(state.database, authority_of(state), token)
    except MintkeeperError as error:
        return refusal_page(request, error)
    if seen.receipt is not None:
        return receipt_page(request, seen.receipt)
    expires = utc_text(seen.subject.ends_at)
    return _page(request, 200, mint=seen.record.request, claim=seen.claim, expires=expires)


def authority_of(state: State) -> Authority:
    """The keys; without them a stranger could not be told from a recipient. Raises Unavailable."""
    if not state.authority.has_keys:
        raise Unavailable("acknowledgements are not set up: MINTKEEPER_AUTHORITY_KEY is not set")
    return state.authority


def receipt_page(request: Request, receipt: AckReceipt) -> HTMLResponse:
    """What was recorded."""
    return _page(request, 200, receipt=receipt, at=utc_text(receipt.acknowledged_at))


def left_page(request: Request) -> HTMLResponse:
    """No worker has answered yet."""
    return _page(request, 202, left=True)


def refusal_page(request: Request, error: MintkeeperError) -> HTMLResponse:
    """Why the link has no effect and, where it is to be believed, how the request stands."""
    recorded = error.recorded if isinstance(error, AckRefused) else {}
    return _page(request, status_of(error), message=error.message, recorded=recorded)


def _page(request: Request, status_code: int, **values: Any) -> HTMLResponse:
    return _templates.TemplateResponse(request, "ack.html", values, status_code=status_code)
