"""The inbox: what waits for the person who looks."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db import reads
from db.reads.absences import away
from db.reads.inbox import PAGE, inbox
from db.reads.lines import assets_used
from db.reads.live import audit_seq
from domain.authority import authorities
from web.narrowing import chosen, known, pages
from web.people import Approver
from web.rendering import page
from web.state import Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/inbox")
async def inbox_page(request: Request, state: Wired, person: Approver) -> HTMLResponse:
    """What waits for the approver, the least time left first."""
    now = datetime.now(UTC)
    wanted = chosen(request.query_params, person, now)
    async with state.database.transaction() as tx:
        # read first: what happens meanwhile is told once more, and nothing is left out
        seq = await audit_seq(tx, person.tenant)
        signer = await reads.signer(tx, person.tenant, person.name, now)
        held = authorities(signer, now) if signer is not None else ()
        found = await inbox(tx, person.tenant, person.name, held, now, wanted.narrowing, page=wanted.page)
        absence = (await away(tx, person.tenant, now)).get(person.name) if not held else None
        topics = [topic.code for topic in await reads.topics(tx, person.tenant) if topic.active]
        assets = [str(asset) for asset in await assets_used(tx, person.tenant)]
    return page(
        request,
        state,
        person,
        "inbox.html",
        found=found,
        wanted=wanted,
        held=held,
        absence=absence,
        pages=pages(found.total, PAGE),
        topics=known(topics, wanted.values["topic"]),
        assets=known(assets, wanted.values["asset"]),
        seq=seq,
    )
