"""Messages that reached nobody, to try again; and how late the others were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db.reads.admin import lateness, troubled_deliveries
from db.writes import operating
from web.pages.admin.guard import AtDesk, by, path
from web.people import field, form_of
from web.rendering import attempt, page
from web.state import Wired

router = APIRouter(prefix="/deliveries")

WITHIN = timedelta(hours=24)


@router.get("")
async def list_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """Dead messages, then those that are tried again; lateness by channel over a day."""
    async with state.database.transaction() as tx:
        found = await troubled_deliveries(tx, person.tenant)
        late = await lateness(tx, person.tenant, datetime.now(UTC) - WITHIN)
    return page(request, state, person, "admin/deliveries.html", deliveries=found, lateness=late)


@router.post("/retry")
async def retry(request: Request, state: Wired, person: AtDesk) -> Response:
    """Give a dead message, or all of them, one more attempt."""
    form = await form_of(request)

    async def work() -> str:
        delivery = field(form, "delivery")
        async with state.database.transaction() as tx:
            if delivery:
                await operating.retry_delivery(tx, delivery, by(person))
                return "the message is tried again"
            count = await operating.retry_every_delivery(tx, by(person))
        return f"{count} dead messages are tried again"

    return await attempt(state, path("deliveries"), work())
