"""Where somebody begins."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse

from web.people import SignedIn

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
async def home(person: SignedIn) -> RedirectResponse:
    """Approvers begin with what waits for them, everybody else with the requests they may see."""
    return RedirectResponse("/inbox" if person.is_approver else "/requests", status_code=303)
