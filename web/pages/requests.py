"""The list of all requests that somebody may see, as a page and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db import reads
from db.reads.lines import MOST_COUNTED, ORDERS, RequestLine, assets_used, count_lines, lines
from db.reads.live import audit_seq
from domain.amounts import format_amount
from domain.mint_request import MintStatus, utc_text
from domain.sessions import Person
from web.narrowing import Chosen, chosen, known, pages
from web.people import SignedIn
from web.rendering import page
from web.state import Wired

SHOWN: Final = 50
MOST_IN_FILE: Final = 10_000

_COLUMNS = ("id", "track_number", "status", "amount", "asset", "destination", "topic", "requester", "memo")
_TIMES = ("created_at", "expires_at")

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/requests")
async def list_page(request: Request, state: Wired, person: SignedIn) -> HTMLResponse:
    """The requests, the newest first unless another order is asked for."""
    wanted = chosen(request.query_params, person, datetime.now(UTC))
    own = None if person.sees_all else person.name
    async with state.database.transaction() as tx:
        seq = await audit_seq(tx, person.tenant)
        total = await count_lines(tx, person.tenant, wanted.narrowing, own=own, statuses=wanted.statuses)
        found = await lines(
            tx,
            person.tenant,
            wanted.narrowing,
            own=own,
            statuses=wanted.statuses,
            order=wanted.order,
            limit=SHOWN,
            offset=(wanted.page - 1) * SHOWN,
        )
        topics = [topic.code for topic in await reads.topics(tx, person.tenant)]
        assets = [str(asset) for asset in await assets_used(tx, person.tenant)]
    return page(
        request,
        state,
        person,
        "requests.html",
        found=found,
        total=total,
        most_counted=MOST_COUNTED,
        pages=pages(min(total, MOST_COUNTED), SHOWN),
        wanted=wanted,
        statuses=list(MintStatus),
        orders=ORDERS,
        topics=known(topics, wanted.values["topic"]),
        assets=known(assets, wanted.values["asset"]),
        may_ask=bool(person.roles & {"requester", "approver", "admin"}),
        seq=seq,
    )


@router.get("/requests.csv")
async def list_file(request: Request, state: Wired, person: SignedIn) -> Response:
    """The same list for a spreadsheet, at most MOST_IN_FILE lines."""
    wanted = chosen(request.query_params, person, datetime.now(UTC))
    return Response(
        _csv(await _all(state, person, wanted)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="mint-requests.csv"'},
    )


async def _all(state: Wired, person: Person, wanted: Chosen) -> list[RequestLine]:
    async with state.database.transaction() as tx:
        return await lines(
            tx,
            person.tenant,
            wanted.narrowing,
            own=None if person.sees_all else person.name,
            statuses=wanted.statuses,
            order=wanted.order,
            limit=MOST_IN_FILE,
        )


def _csv(found: Iterable[RequestLine]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, *_TIMES, "assignee", "approvals", "reason"])
    for line in found:
        plain = {name: getattr(line, name) for name in _COLUMNS} | {"amount": format_amount(line.amount)}
        approvals = ", ".join(approval.approver for approval in line.approvals)
        times = [utc_text(getattr(line, name).astimezone(UTC)) for name in _TIMES]
        cells = [*plain.values(), *times, line.assignee or "", approvals, line.reason]
        writer.writerow([_harmless(str(cell)) for cell in cells])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
