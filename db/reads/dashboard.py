"""What the dashboard shows of one tenant besides the SLA's figures.

Requests are found by topic and status in the index `mint_requests_in_status`, and deliveries, approvals and
submissions by their request: what ended before the range costs nothing, however many requests there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text

from db.session import Transaction
from domain.mint_request import TERMINAL, MintStatus

MOST_LEDGERS: Final = 24
"""The newest ledgers with mints that are shown."""

MOST_MINTS: Final = 2000
"""The newest mints among which these ledgers are looked for."""

ESCALATED: Final = 2
"""From this level on a request that waits for decisions needs attention."""

DEAD_DAYS: Final = 7
"""A delivery given up needs attention for so long."""

_PATIENCE = text(
    "SELECT set_config('jit', 'off', true) AS jit, set_config('statement_timeout', '10s', true) AS patience"
)
# OFFSET 0: topic by topic and request by request, by their indexes, whatever the planner thinks of the number
_MINE_SQL = """
SELECT m.* FROM topics t CROSS JOIN unnest(CAST(:{statuses} AS varchar[])) AS s (status)
CROSS JOIN LATERAL (
    SELECT r.id, r.status, r.escalation_level, r.last_activity_at, r.status_since, r.asset_code, r.amount
    FROM mint_requests r
    WHERE r.tenant = t.tenant AND r.topic = t.code AND r.status = s.status {since} OFFSET 0) AS m
WHERE t.tenant = :tenant
"""
_OPEN = _MINE_SQL.format(statuses="open", since="")
_ENDED = _MINE_SQL.format(statuses="ended", since="AND r.status_since >= :since")
_ACTIVE = f"{_OPEN} UNION ALL {_ENDED}"
_LEVELS_SQL = """
SELECT status, escalation_level AS level, count(*) AS number FROM ({open}) AS o GROUP BY 1, 2 ORDER BY 1, 2
"""
_LEVELS = text(_LEVELS_SQL.format(open=_OPEN))
_PRESSING_SQL = """
(SELECT id FROM ({unclear}) AS u ORDER BY status_since LIMIT :most)
UNION ALL
(SELECT id FROM ({pending}) AS p WHERE escalation_level >= :escalated
ORDER BY escalation_level DESC, status_since LIMIT :most)
"""
_PRESSING = text(
    _PRESSING_SQL.format(
        unclear=_MINE_SQL.format(statuses="unclear", since=""),
        pending=_MINE_SQL.format(statuses="pending", since=""),
    )
)
# the channels in use are found by jumps in the index of the figures, not by reading it as a whole
_DEAD = text("""
WITH RECURSIVE used AS (
    (SELECT channel, channel_kind FROM deliveries WHERE next_attempt_at IS NULL AND lease_until IS NULL
        ORDER BY channel, channel_kind LIMIT 1)
    UNION ALL
    SELECT n.channel, n.channel_kind FROM used u CROSS JOIN LATERAL (
        SELECT channel, channel_kind FROM deliveries
        WHERE next_attempt_at IS NULL AND lease_until IS NULL
            AND (channel, channel_kind) > (u.channel, u.channel_kind)
        ORDER BY channel, channel_kind LIMIT 1) AS n
)
SELECT d.request_id AS id, count(*) AS number, max(d.due_at) AS at
FROM used u CROSS JOIN LATERAL (
    SELECT request_id, due_at FROM deliveries x
    WHERE x.channel = u.channel AND x.channel_kind = u.channel_kind AND x.state = 'dead'
        AND x.next_attempt_at IS NULL AND x.lease_until IS NULL
        AND x.due_at >= :since AND x.tenant = :tenant OFFSET 0) AS d
GROUP BY 1 ORDER BY 3 DESC, 1
""")
_CASES = text("""
SELECT id, track_number, status, status_since, escalation_level AS level, expires_at, amount,
    asset_code AS asset, topic, assignee
FROM mint_requests WHERE tenant = :tenant AND id = ANY (CAST(:ids AS varchar[]))
""")
_WAITING = "late IS NULL AND state IN ('pending', 'sending', 'failed', 'ambiguous') AND due <= :at"
# in-app messages have no provider that could be late; what quiet hours held back was due at their end
_LATENESS_SQL = """
SELECT channel, channel_kind AS kind, count(late) AS taken,
    percentile_cont(ARRAY[0.5, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY late) AS late,
    count(*) FILTER (WHERE {waiting}) AS waiting, min(due) FILTER (WHERE {waiting}) AS waiting_since,
    count(*) FILTER (WHERE state = 'dead') AS dead
FROM (
    SELECT d.* FROM ({active}) AS a CROSS JOIN LATERAL (
        SELECT x.channel, x.channel_kind, x.state, coalesce(x.deferred_until, x.due_at) AS due,
            CASE WHEN x.accepted_at IS NOT NULL THEN greatest(0, CAST(extract(
                epoch FROM x.accepted_at - coalesce(x.deferred_until, x.due_at)) AS double precision)) END
                AS late
        FROM deliveries x WHERE x.request_id = a.id AND x.channel_kind <> 'in-app' OFFSET 0) AS d
    WHERE d.due >= :since) AS l
GROUP BY channel, channel_kind ORDER BY channel, channel_kind
"""
_LATENESS = text(_LATENESS_SQL.format(active=_ACTIVE, waiting=_WAITING))
_MINTS_SQL = """
WITH newest AS MATERIALIZED (SELECT * FROM ({ended}) AS e WHERE e.status = 'CONFIRMED'
    ORDER BY e.status_since DESC LIMIT :most_mints)
SELECT s.ledger, n.asset_code AS asset, count(*) AS number, CAST(sum(n.amount) AS varchar) AS amount
FROM newest n CROSS JOIN LATERAL (
    SELECT ledger FROM submissions WHERE request_id = n.id AND ledger IS NOT NULL OFFSET 0) AS s
GROUP BY 1, 2 ORDER BY 1 DESC, 2
"""
_MINTS = text(_MINTS_SQL.format(ended=_ENDED))
# an approval is activity, so that older requests need not be looked at
_APPROVALS_SQL = """
SELECT date_trunc(:unit, a.at, 'UTC') AS at, count(*) AS number
FROM ({active}) AS r CROSS JOIN LATERAL (
    SELECT at FROM approvals WHERE request_id = r.id AND at >= :since OFFSET 0) AS a
WHERE r.last_activity_at >= :since GROUP BY 1 ORDER BY 1
"""
_APPROVALS = text(_APPROVALS_SQL.format(active=_ACTIVE))


@dataclass(frozen=True)
class Level:
    """How many open requests of a status have been escalated so far."""

    status: MintStatus
    level: int
    number: int


@dataclass(frozen=True)
class Case:
    """A request that may need attention."""

    id: str
    track_number: str
    status: MintStatus
    status_since: datetime
    level: int
    expires_at: datetime
    amount: int
    """In stroops."""
    asset: str
    """Its code."""
    topic: str
    assignee: str | None


@dataclass(frozen=True)
class Dead:
    """A request with messages that were given up; `at` is when the newest was due."""

    id: str
    number: int
    at: datetime


@dataclass(frozen=True)
class Lateness:
    """Messages over one channel that were due in the range, about requests open at some time in it.

    From due, or the end of the quiet hours, until the provider took it: `late` has the seconds of the 50th,
    95th and 99th percentile and of the worst, None when nothing was taken. `waiting`: due, and not taken yet.
    """

    channel: str
    kind: str
    taken: int
    late: Sequence[float] | None
    waiting: int
    waiting_since: datetime | None
    dead: int


@dataclass(frozen=True)
class LedgerMints:
    """What one ledger minted of one asset; `amount` in stroops."""

    ledger: int
    asset: str
    number: int
    amount: int


@dataclass(frozen=True)
class Count:
    """How many in the hour or day that begins at `at` (UTC)."""

    at: datetime
    number: int


async def be_patient(tx: Transaction) -> None:
    """No statement of this transaction takes more than ten seconds; nobody waits longer for a figure."""
    await tx.run(_PATIENCE)


async def levels(tx: Transaction, tenant: str) -> list[Level]:
    """Open requests by status and escalation level."""
    rows = await tx.rows(_LEVELS, _params(tenant))
    return [Level(MintStatus(row.status), row.level, row.number) for row in rows]


async def pressing(tx: Transaction, tenant: str, most: int) -> list[str]:
    """Ids of requests in ANOMALY, and of those that wait at level 2 or above; at most `most` of each."""
    places = {"unclear": [MintStatus.ANOMALY.value], "pending": [MintStatus.PENDING.value]}
    params = {"tenant": tenant, **places, "escalated": ESCALATED, "most": most}
    return [row.id for row in await tx.rows(_PRESSING, params)]


async def dead_deliveries(tx: Transaction, tenant: str, at: datetime) -> list[Dead]:
    """Requests with messages given up in the last days, the newest first."""
    rows = await tx.rows(_DEAD, {"tenant": tenant, "since": at - timedelta(days=DEAD_DAYS)})
    return [Dead(row.id, row.number, row.at) for row in rows]


async def cases(tx: Transaction, tenant: str, ids: Sequence[str]) -> dict[str, Case]:
    """These requests, by id; another tenant's are left out."""
    rows = await tx.rows(_CASES, {"tenant": tenant, "ids": list(ids)})
    return {row.id: Case(**{**row._asdict(), "status": MintStatus(row.status)}) for row in rows}


async def lateness(tx: Transaction, tenant: str, since: datetime, at: datetime) -> list[Lateness]:
    """By channel, of the messages due from `since` to `at`."""
    rows = await tx.rows(_LATENESS, {**_params(tenant), "since": since, "at": at})
    return [Lateness(**{**row._asdict(), "late": tuple(row.late) if row.taken else None}) for row in rows]


async def ledger_mints(tx: Transaction, tenant: str, since: datetime) -> list[LedgerMints]:
    """The newest ledgers with confirmed mints since then, the oldest of them first."""
    params = {**_params(tenant), "since": since, "most_mints": MOST_MINTS}
    found = [
        LedgerMints(row.ledger, row.asset, row.number, int(row.amount))
        for row in await tx.rows(_MINTS, params)
    ]
    shown = sorted({mint.ledger for mint in found}, reverse=True)
    if sum(mint.number for mint in found) >= MOST_MINTS:
        # of the oldest ledger some mints may be missing
        shown = shown[:-1]
    return [mint for mint in reversed(found) if mint.ledger in shown[:MOST_LEDGERS]]


async def approvals(tx: Transaction, tenant: str, since: datetime, unit: str) -> list[Count]:
    """Approvals given since then; `unit`: `hour` or `day`. Hours and days without any are left out."""
    rows = await tx.rows(_APPROVALS, {**_params(tenant), "since": since, "unit": unit})
    return [Count(row.at, row.number) for row in rows]


def _params(tenant: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "open": [status.value for status in MintStatus if status not in TERMINAL],
        "ended": [status.value for status in TERMINAL],
    }
