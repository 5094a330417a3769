"""The list of mint requests and one request, to look at."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from commands.documents import request_document
from commands.listing import select
from domain.errors import NotFound
from domain.mint_request import MintStatus, utc_text
from web.lookup import document_of
from web.state import State, Wired

SHOWN = 200

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
_templates = Jinja2Templates(directory=Path(__file__).parent.parent / "templates")


@router.get("/")
async def list_page(request: Request, state: Wired, status: str = "") -> HTMLResponse:
    """The requests, the most urgent first; an unknown status shows all."""
    chosen = status if status in MintStatus.__members__ else ""
    async with state.database.transaction() as tx:
        records = await select(tx, status=chosen or None, tenant=None, mine=None, stuck=False, limit=SHOWN)
    return _page(
        request,
        state,
        "requests.html",
        requests=[request_document(record) for record in records],
        statuses=[one.value for one in MintStatus],
        status=chosen,
    )


@router.get("/requests/{name}")
async def request_page(request: Request, state: Wired, name: str) -> HTMLResponse:
    """One request with approvals, submission, proof and timeline."""
    try:
        document = await document_of(state.database, name)
    except NotFound as error:
        return _page(request, state, "missing.html", status_code=404, message=error.message)
    url = state.workflow_url(document["id"])
    sent = document["submission"]
    bound = utc_text(datetime.fromtimestamp(sent["max_time"], UTC)) if sent else None
    return _page(request, state, "request.html", mint=document, workflow_url=url, time_bound=bound)


def _page(
    request: Request, state: State, template: str, status_code: int = 200, **values: Any
) -> HTMLResponse:
    context = {"temporal_ui_url": state.settings.temporal_ui_url, **values}
    return _templates.TemplateResponse(request, template, context, status_code=status_code)
