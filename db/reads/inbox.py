"""What waits for an approver: exactly the requests on which their decision would be accepted now.

The rules are those of `domain.judgement` and `domain.authority`, told in SQL so that ten thousand rows need
not travel; a test compares both over generated cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.reads.lines import LINE_COLUMNS, NARROWED, Narrowing, RequestLine, line_of
from db.reads.sla import MODEST
from db.session import Transaction
from domain.authority import Authority, preferred

PAGE = 50

# a tier counts as granted from the moment its stage is due, which may have run a little earlier
_MAY_DECIDE = """
    h.tier >= CAST(r.rule ->> 'minTier' AS integer)
    AND (h.tier = CAST(r.rule ->> 'minTier' AS integer)
        OR h.tier = CAST(r.rule ->> 'atLeastOneOfTier' AS integer)
        OR (h.tier = ANY (r.granted_tiers) AND (SELECT min(s.due_at) FROM stage_runs s
            WHERE s.request_id = r.id AND s.granted_tier = h.tier) > :now IS NOT TRUE))
    AND (h.absent IS NULL OR (lower(r.requester) <> h.absent AND NOT EXISTS (
        SELECT 1 FROM approvals a
        WHERE a.request_id = r.id AND lower(coalesce(a.on_behalf_of, a.approver)) = h.absent)))
"""
_HELD = """
unnest(CAST(:tiers AS integer[]), CAST(:absents AS varchar[])) WITH ORDINALITY AS h (tier, absent, place)
"""
# names are ASCII, for which `lower` is the casefold of the rules
_WAITING = f"""
FROM mint_requests r
WHERE r.tenant = :tenant AND r.status = 'PENDING' AND r.ended_at IS NULL AND r.expires_at > :now
    AND lower(r.requester) <> lower(:me)
    AND NOT EXISTS (SELECT 1 FROM approvals a
        WHERE a.request_id = r.id AND lower(:me) IN (lower(a.approver), lower(a.on_behalf_of)))
    AND EXISTS (SELECT 1 FROM {_HELD} WHERE {_MAY_DECIDE})
    {NARROWED}
"""  # noqa: S608 - constants of ours
_INBOX = text(f"""
WITH waiting AS MATERIALIZED (SELECT r.id, r.expires_at {_WAITING}),
shown AS (SELECT id FROM waiting ORDER BY expires_at, id LIMIT {PAGE} OFFSET :offset)
SELECT (SELECT count(*) FROM waiting) AS total, {LINE_COLUMNS},
    ARRAY(SELECT h.place FROM {_HELD} WHERE {_MAY_DECIDE}) AS usable
FROM shown JOIN mint_requests r ON r.id = shown.id ORDER BY r.expires_at, r.id
""")  # noqa: S608 - constants of ours
_COUNT = text(f"SELECT count(*) {_WAITING}")


@dataclass(frozen=True)
class Waiting:
    """A request that waits for somebody, and the authority with which they would approve it."""

    line: RequestLine
    authority: Authority


@dataclass(frozen=True)
class Inbox:
    """A page of what waits, and how much waits in all."""

    waiting: tuple[Waiting, ...]
    total: int


async def inbox(
    tx: Transaction,
    tenant: str,
    name: str,
    held: Sequence[Authority],
    now: datetime,
    narrowing: Narrowing | None = None,
    *,
    page: int = 1,
) -> Inbox:
    """What waits for user `name`, the least time left first; `held` is `domain.authority.authorities`."""
    if not held:
        return Inbox((), 0)
    params = {
        "tenant": tenant,
        "me": name,
        "now": now,
        "tiers": [one.tier for one in held],
        "absents": [one.on_behalf_of.lower() if one.on_behalf_of else None for one in held],
        **(narrowing or Narrowing()).params(),
    }
    await tx.run(MODEST)
    rows = await tx.rows(_INBOX, {**params, "offset": (page - 1) * PAGE})
    if not rows:
        return Inbox((), int(await tx.value(_COUNT, params) or 0) if page > 1 else 0)
    return Inbox(tuple(_waiting(row, held) for row in rows), int(rows[0].total))


def _waiting(row: Any, held: Sequence[Authority]) -> Waiting:
    line = line_of(row)
    usable = [held[place - 1] for place in row.usable]
    return Waiting(line, preferred(usable, held[0], line.missing.missing_tier or 0))
