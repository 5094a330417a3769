"""The audit chain for auditors: newest first, searched, verified, exported."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from db.reads.audit_log import Sought, look
from domain.errors import InvalidInput
from domain.sessions import Person
from web.audit_words import pretty, words_of
from web.filters import zone_of
from web.people import Auditor
from web.proving import exported, head_of, verify
from web.rendering import page
from web.state import Wired

SHOWN = 50

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/audit")
async def audit(
    request: Request,
    state: Wired,
    person: Auditor,
    kind: str = "",
    actor: str = "",
    about: str = "",
    since: str = "",
    until: str = "",
    before: str = "",
) -> HTMLResponse:
    """The events that fit, below number `before`, each in words and as it was hashed."""
    written = {"kind": kind, "actor": actor, "about": about, "since": since, "until": until}
    head = await head_of(state.database, person.tenant)
    last = _day(until, "until", person)
    sought = Sought(
        kind=kind.strip(),
        actor=actor.strip(),
        request=about.strip(),
        since=_day(since, "since", person),
        until=None if last is None else last + timedelta(days=1),
    )
    start = _number(before) or head.seq + 1
    async with state.database.transaction() as tx:
        found = await look(tx, person.tenant, sought, before=start, limit=SHOWN)
    filters = {name: value for name, value in written.items() if value}
    older = None if found.older is None else urlencode({**filters, "before": found.older})
    return page(
        request,
        state,
        person,
        "audit.html",
        head=head,
        entries=[(entry, words_of(entry), pretty(entry)) for entry in found.entries],
        older=older,
        start=start,
        lowest=found.older or 1,
        written=written,
        filters=filters,
        is_first=not before,
    )


@router.get("/audit/verify")
async def verify_page(request: Request, state: Wired, person: Auditor) -> HTMLResponse:
    """Verify the whole chain now: it only reads, and one at a time."""
    async with state.verifying:
        verdict = await verify(state.database, person.tenant)
    return page(request, state, person, "audit_verified.html", verdict=verdict)


@router.get("/audit/export")
async def export(state: Wired, person: Auditor) -> StreamingResponse:
    """The whole chain as a file, the same as `mintkeeper audit export` writes."""
    head = await head_of(state.database, person.tenant)
    name = f"audit-{person.tenant}-{head.seq}.jsonl"
    return StreamingResponse(
        exported(state.database, head),
        media_type="application/jsonl",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _day(written: str, field: str, person: Person) -> datetime | None:
    """Its begin in the person's zone; raises InvalidInput."""
    if not written:
        return None
    try:
        return datetime.combine(date.fromisoformat(written), time(), zone_of(person))
    except ValueError as error:
        raise InvalidInput(f"{written!r} is no day such as 2026-03-01", field) from error


def _number(written: str) -> int | None:
    """The number of an event; raises InvalidInput."""
    if not written:
        return None
    if not (written.isascii() and written.isdecimal() and len(written) <= 18):
        raise InvalidInput(f"{written!r} is no number of an event", "before")
    return int(written)
