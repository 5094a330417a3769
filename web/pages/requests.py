"""The list of mint requests and one request, to look at."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from commands.documents import request_document
from commands.talk_documents import conversation_document
from db import reads
from domain.mint_request import MintStatus, utc_text
from web.acting import visible
from web.people import SignedIn
from web.rendering import page
from web.state import Wired

SHOWN = 200

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/requests")
async def list_page(request: Request, state: Wired, person: SignedIn, status: str = "") -> HTMLResponse:
    """The requests, the most urgent first; an unknown status shows all."""
    chosen = status if status in MintStatus.__members__ else ""
    mine = None if person.sees_all else person.name
    async with state.database.transaction() as tx:
        records = await reads.requests(
            tx,
            status=MintStatus(chosen) if chosen else None,
            tenant=person.tenant,
            requester=mine,
            limit=SHOWN,
        )
    return page(
        request,
        state,
        person,
        "requests.html",
        requests=[request_document(record) for record in records],
        statuses=[one.value for one in MintStatus],
        status=chosen,
    )


@router.get("/requests/{name}")
async def request_page(request: Request, state: Wired, person: SignedIn, name: str) -> HTMLResponse:
    """One request with approvals, submission, proof and timeline."""
    async with state.database.transaction() as tx:
        record = await visible(tx, person, name)
        talk = await conversation_document(tx, record.request.id)
        document = {**request_document(record, await reads.timeline(tx, record.request.id)), **talk}
    sent = document["submission"]
    bound = utc_text(datetime.fromtimestamp(sent["max_time"], UTC)) if sent else None
    url = state.workflow_url(record.request.id)
    return page(request, state, person, "request.html", mint=document, workflow_url=url, time_bound=bound)
