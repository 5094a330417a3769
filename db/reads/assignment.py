"""Which requests nobody took for too long, and who could take them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import text

from db.reads.records import parse_rule
from db.session import Transaction
from domain.assignment import Candidate, Matter
from domain.calendars import ALWAYS, BusinessCalendar
from domain.errors import InvalidInput

log = logging.getLogger("mintkeeper.assignment")

# the scales in use, found by jumps in the index and not by reading all that is unassigned
DUE_SQL = """
WITH RECURSIVE desks AS (
    SELECT t.tenant, t.code AS topic, t.auto_assign_after_hours AS hours, (
        SELECT min(r.sla_scale) FROM mint_requests r WHERE r.tenant = t.tenant AND r.topic = t.code
            AND r.assignee IS NULL AND r.status = 'PENDING') AS scale
    FROM topics t
    UNION ALL
    SELECT d.tenant, d.topic, d.hours, (
        SELECT min(r.sla_scale) FROM mint_requests r WHERE r.tenant = d.tenant AND r.topic = d.topic
            AND r.assignee IS NULL AND r.status = 'PENDING' AND r.sla_scale > d.scale)
    FROM desks d WHERE d.scale IS NOT NULL
)
SELECT r.id, d.tenant, d.topic, r.requester, r.unassigned_since, r.granted_tiers,
    CAST(r.rule AS text) AS rule,
    ARRAY(SELECT unnest(ARRAY[a.approver, a.on_behalf_of])
        FROM approvals a WHERE a.request_id = r.id) AS used,
    -- no EXISTS: that could read the whole chain once instead of a few of its entries
    (SELECT true FROM audit_events e WHERE e.request_id = r.id AND e.step = 'assignment.nobody:'
        || CAST(extract(epoch FROM r.unassigned_since) * 1000000 AS bigint)) IS NOT NULL AS nobody_noted
FROM desks d CROSS JOIN LATERAL (
    SELECT * FROM mint_requests m
    WHERE m.tenant = d.tenant AND m.topic = d.topic AND m.sla_scale = d.scale
        AND m.assignee IS NULL AND m.status = 'PENDING'
        AND m.unassigned_since <= CAST(:at AS timestamptz) - make_interval(secs => d.hours * 3600.0 / d.scale)
        AND m.unassigned_since >= CAST(:behind AS timestamptz)
        AND (m.unassigned_since, m.id) > (CAST(:behind AS timestamptz), CAST(:behind_id AS varchar))
        AND m.expires_at > CAST(:at AS timestamptz)
    ORDER BY m.unassigned_since, m.id LIMIT :limit
) r
ORDER BY r.unassigned_since, r.id LIMIT :limit
"""
"""Needs `at`, `behind`, `behind_id`, `limit`. What has expired by `at` needs nobody any more."""

CANDIDATES_SQL = """
SELECT u.name, u.active, 'approver' = ANY (u.roles) AS is_approver, u.tier, u.primary_topic, u.time_zone,
    u.max_load, u.last_assigned_at, CAST(u.working_hours AS text) AS working_hours,
    ARRAY(SELECT x.topic FROM user_topics x WHERE x.tenant = u.tenant AND x.user_name = u.name) AS topics,
    (SELECT max(a.ends_at) FROM absences a WHERE a.tenant = u.tenant AND a.user_name = u.name
        AND a.starts_at <= :at AND a.ends_at > :at) AS absent_until,
    (SELECT count(*) FROM mint_requests r WHERE r.tenant = u.tenant AND r.assignee = u.name
        AND r.assignee IS NOT NULL AND r.ended_at IS NULL) AS load
FROM users u WHERE u.tenant = :tenant AND 'approver' = ANY (u.roles) ORDER BY u.name COLLATE "C"
"""
"""Needs `tenant`, `at`."""

LATELY_SQL = """
SELECT id FROM mint_requests
WHERE assigned_automatically AND ended_at IS NULL AND assigned_at >= :since ORDER BY assigned_at, id
"""
"""Needs `since`."""

_DUE, _CANDIDATES, _LATELY = text(DUE_SQL), text(CANDIDATES_SQL), text(LATELY_SQL)
_LIMIT_OF = text("SELECT auto_assign_after_hours FROM topics WHERE tenant = :tenant AND code = :topic")


@dataclass(frozen=True)
class Due:
    """A request that has been unassigned for as long as its topic allows."""

    request_id: str
    tenant: str
    since: datetime
    topic: str
    requester: str
    rule: str
    granted_tiers: Sequence[int]
    approved_by: frozenset[str]
    nobody_noted: bool
    """It is recorded already that nobody fits, for this time of being unassigned."""

    @property
    def matter(self) -> Matter:
        """What decides who may get it. Raises ValueError for a rule that can't be read: only its own
        request must wait for that.
        """
        return Matter(
            topic=self.topic,
            requester=self.requester,
            tiers=frozenset(parse_rule(self.rule).eligible_tiers(self.granted_tiers)),
            approved_by=self.approved_by,
        )


async def due_requests(
    tx: Transaction, at: datetime, *, behind: tuple[datetime, str], limit: int
) -> list[Due]:
    """What is due at `at`, the longest unassigned first, beginning behind a moment and an id."""
    params = {"at": at, "behind": behind[0], "behind_id": behind[1], "limit": limit}
    return [
        Due(
            request_id=row.id,
            tenant=row.tenant,
            since=row.unassigned_since,
            topic=row.topic,
            requester=row.requester,
            rule=row.rule,
            granted_tiers=row.granted_tiers,
            approved_by=frozenset(filter(None, row.used)),
            nobody_noted=row.nobody_noted,
        )
        for row in await tx.rows(_DUE, params)
    ]


async def candidates(tx: Transaction, tenant: str, at: datetime) -> list[Candidate]:
    """Every approver of the tenant with their load, active or not, by name."""
    return [
        Candidate(
            name=row.name,
            active=row.active,
            is_approver=row.is_approver,
            tier=row.tier,
            primary_topic=row.primary_topic,
            topics=frozenset(row.topics),
            load=row.load,
            max_load=row.max_load,
            last_assigned_at=row.last_assigned_at,
            absent_until=row.absent_until,
            working=_working(row.working_hours, row.time_zone, row.name),
        )
        for row in await tx.rows(_CANDIDATES, {"tenant": tenant, "at": at})
    ]


async def assigned_lately(tx: Transaction, since: datetime) -> Sequence[str]:
    """Ids of the open requests that a sweep has assigned since then, and that nobody has claimed."""
    return [row.id for row in await tx.rows(_LATELY, {"since": since})]


async def auto_assign_after(tx: Transaction, tenant: str, topic: str) -> int:
    """Hours of the SLA after which the sweep assigns a request of the topic."""
    return int(await tx.value(_LIMIT_OF, {"tenant": tenant, "topic": topic}) or 0)


@lru_cache(maxsize=10_000)
def _working(raw: str, time_zone: str, name: str) -> BusinessCalendar:
    try:
        return BusinessCalendar.parse(json.loads(raw), time_zone)
    except InvalidInput as error:
        # nobody's requests may lie because this machine lacks a time zone
        log.warning("the working hours of %s are not kept: %s", name, error.message)
        return ALWAYS
