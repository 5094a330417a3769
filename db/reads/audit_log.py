"""The audit chain as its readers look at it: newest first, by kind, actor, request and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from db.session import Transaction
from domain.records import AuditEvent

LOOKED: Final = 50_000
"""Events that one look goes through at most; where they do not fill a page, the next one goes on below."""

_SKEW: Final = timedelta(days=1)
"""A step is written down a little after the moment that it says of itself: its number only nearly follows."""

_SEARCH = text("""
SELECT e.tenant, e.seq, e.prev_hash, e.hash, e.body, e.at, e.kind, e.actor, e.request_id, r.track_number
FROM audit_events e LEFT JOIN mint_requests r ON r.id = e.request_id
WHERE e.tenant = :tenant AND e.seq < :before AND e.seq >= :lowest
    AND (:kind = '' OR starts_with(e.kind, :kind)) AND (:actor = '' OR e.actor = :actor)
    AND (CAST(:since AS timestamptz) IS NULL OR e.at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR e.at < :until)
ORDER BY e.seq DESC LIMIT :limit
""")
_OF_REQUEST = text("""
SELECT e.tenant, e.seq, e.prev_hash, e.hash, e.body, e.at, e.kind, e.actor, e.request_id, r.track_number
FROM mint_requests r JOIN audit_events e ON e.request_id = r.id
WHERE r.tenant = :tenant AND (r.id = :request OR r.track_number = :request) AND e.seq < :before
    AND (:kind = '' OR starts_with(e.kind, :kind)) AND (:actor = '' OR e.actor = :actor)
    AND (CAST(:since AS timestamptz) IS NULL OR e.at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR e.at < :until)
ORDER BY e.seq DESC LIMIT :limit
""")
_MOMENT = text("SELECT at FROM audit_events WHERE tenant = :tenant AND seq = :seq")


@dataclass(frozen=True)
class Sought:
    """Which events; an empty text or None: any. `kind` may be the beginning of one."""

    kind: str = ""
    actor: str = ""
    request: str = ""
    """A request's id or track number."""
    since: datetime | None = None
    until: datetime | None = None
    """Before that moment."""


@dataclass(frozen=True)
class Entry:
    """An event with what the search knows of it; `track_number` of its request, if it is about one."""

    event: AuditEvent
    at: datetime
    kind: str
    actor: str
    request_id: str | None
    track_number: str | None


@dataclass(frozen=True)
class Look:
    """What was found, newest first; `older` is where to go on below (`before`), None at the end."""

    entries: Sequence[Entry]
    older: int | None


async def look(tx: Transaction, tenant: str, sought: Sought, *, before: int, limit: int) -> Look:
    """Events with a number below `before`, at most `limit`."""
    first = lowest = 1
    if not sought.request:
        if sought.until is not None:
            before = min(before, await _number_at(tx, tenant, sought.until + _SKEW, before) + 1)
        if sought.since is not None:
            first = max(await _number_at(tx, tenant, sought.since - _SKEW, before), 1)
        lowest = max(first, before - LOOKED)
    found = await _found(tx, tenant, sought, before, lowest, limit + 1)
    if len(found) > limit:
        return Look(found[:limit], found[limit - 1].event.seq)
    return Look(found, lowest if lowest > first else None)


async def _found(
    tx: Transaction, tenant: str, sought: Sought, before: int, lowest: int, limit: int
) -> list[Entry]:
    params = {
        "tenant": tenant,
        "before": before,
        "lowest": lowest,
        "limit": limit,
        **{name: getattr(sought, name) for name in ("kind", "actor", "request", "since", "until")},
    }
    rows = await tx.rows(_OF_REQUEST if sought.request else _SEARCH, params)
    return [
        Entry(
            AuditEvent(tenant=row.tenant, seq=row.seq, prev_hash=row.prev_hash, hash=row.hash, body=row.body),
            *(row.at, row.kind, row.actor, row.request_id, row.track_number),
        )
        for row in rows
    ]


async def _number_at(tx: Transaction, tenant: str, at: datetime, before: int) -> int:
    """The number of the last event up to `at`, found by halving; 0 when there is none."""
    low, high = 0, before - 1
    while low < high:
        middle = (low + high + 1) // 2
        moment = await tx.value(_MOMENT, {"tenant": tenant, "seq": middle})
        if moment is not None and moment <= at:
            low = middle
        else:
            high = middle - 1
    return low
