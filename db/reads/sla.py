"""What the SLA check reads: terms, who stays where, and sums, in a few statements over whole topics.

Each counts topic by topic (`LATERAL`), so that it reads the indexes alone, however many requests there are.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import text

from db.reads.sla_time import TopicKey, measures, topic_params
from db.session import Transaction
from domain.assignment_steps import Behind
from domain.calendars import ALWAYS, BusinessCalendar
from domain.errors import InvalidInput
from domain.mint_request import TERMINAL, MintStatus
from domain.runs import EventKind
from domain.sla import STATUS_TYPES, Cutoff, Group, Place, StatusType, Terms, Total, cutoffs
from domain.sla_report import Findings

log = logging.getLogger("mintkeeper.sla")

_FIRST = datetime.min.replace(tzinfo=UTC)

# what is counted in several statements is counted at one moment; compiling costs more than it saves
CONSISTENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
MODEST = text("SELECT set_config('jit', 'off', true)")
TERMS = text("""
SELECT t.tenant, t.code AS topic, s.status, coalesce(
        (SELECT min(x.sla_hours) FROM topic_status_transitions x
            WHERE x.tenant = t.tenant AND x.topic_code = t.code AND x.from_status = s.status),
        d.sla_hours) AS sla_hours,
    d.type, t.calendar AS calendar_code, CAST(to_jsonb(c) AS varchar) AS calendar
FROM topics t CROSS JOIN unnest(CAST(:statuses AS varchar[])) AS s (status)
LEFT JOIN statuses d ON d.tenant = t.tenant AND d.code = s.status
LEFT JOIN calendars c ON c.tenant = t.tenant AND c.code = t.calendar
""")
_TERMS_OF = text(TERMS.text + "WHERE t.tenant = :tenant AND t.code = :topic")
GROUPS = text("""
SELECT k.tenant, k.topic, g.*
FROM unnest(CAST(:tenants AS varchar[]), CAST(:topics AS varchar[])) AS k (tenant, topic)
CROSS JOIN LATERAL (
    SELECT status, sla_scale AS scale, count(*) AS number, min(status_since) AS oldest,
        count(*) - count(first_response_at) AS unanswered
    FROM mint_requests r WHERE r.tenant = k.tenant AND r.topic = k.topic
    GROUP BY status, sla_scale) AS g
""")
_CUTOFFS = """
FROM unnest(CAST(:tenants AS varchar[]), CAST(:topics AS varchar[]), CAST(:statuses AS varchar[]),
    CAST(:scales AS integer[]), CAST(:cutoffs AS timestamptz[])) AS k (tenant, topic, status, scale, cutoff)
"""
_LATE = """
FROM mint_requests r WHERE r.tenant = k.tenant AND r.topic = k.topic AND r.status = k.status
    AND r.sla_scale = k.scale AND r.status_since <= k.cutoff
"""
_OVERDUE_SQL = """
SELECT k.tenant, k.topic, k.status, CAST(sum(l.number) AS bigint) AS number
{cutoffs} CROSS JOIN LATERAL (SELECT count(*) AS number {late}) AS l GROUP BY 1, 2, 3
"""
OVERDUE = text(_OVERDUE_SQL.format(cutoffs=_CUTOFFS, late=_LATE))
_UNRAISED_SQL = """
SELECT l.id, l.status, l.status_since
{cutoffs}
CROSS JOIN LATERAL (
    SELECT r.id, r.status, r.status_since {late} AND r.status_since >= CAST(:behind AS timestamptz)
        AND (r.status_since, r.id) > (CAST(:behind AS timestamptz), CAST(:behind_id AS varchar))
        AND NOT EXISTS (SELECT 1 FROM escalation_runs e WHERE e.tenant = k.tenant
            AND e.event_kind = :kind AND e.request_id = r.id AND e.occurrence = r.status || ':'
                || CAST(extract(epoch FROM r.status_since) * 1000000 AS bigint))
    ORDER BY r.status_since, r.id LIMIT :most) AS l
WHERE NOT EXISTS (SELECT 1 FROM event_rules v
    WHERE v.tenant = k.tenant AND v.event_kind = :kind AND v.action = 'ignore')
ORDER BY l.status_since, l.id LIMIT :most
"""
UNRAISED = text(_UNRAISED_SQL.format(cutoffs=_CUTOFFS, late=_LATE))
_LONGEST_SQL = """
SELECT l.id, l.status, l.status_since
{cutoffs}
CROSS JOIN LATERAL (
    SELECT r.id, r.status, r.status_since {late} ORDER BY r.status_since, r.id LIMIT :most) AS l
ORDER BY l.status_since, l.id LIMIT :most
"""
LONGEST = text(_LONGEST_SQL.format(cutoffs=_CUTOFFS, late=_LATE))


@dataclass(frozen=True)
class Stay:
    """A stay in a status that lasts longer than the SLA allows."""

    request_id: str
    status: MintStatus
    since: datetime


@dataclass(frozen=True)
class OverdueNow:
    """How many stays are overdue at each place, and those that last longest."""

    counts: Mapping[Place, int]
    longest: Sequence[Stay]
    unanswered: int
    """Open requests without a first response."""


async def findings(tx: Transaction, at: datetime) -> Findings:
    """Everything that the report of a check needs, counted at one moment.

    `tx` must not have run anything yet: all of it reads one state of the database.
    """
    await tx.run(CONSISTENT)
    await tx.run(MODEST)
    terms = await read_terms(tx)
    groups = await _groups(tx, terms)
    stays, responses = await _measured(tx, terms, groups, at)
    return Findings(
        at=at,
        terms=terms,
        groups=groups,
        overdue=await _overdue(tx, cutoffs(terms, groups, at)),
        stays=stays,
        responses=responses,
    )


async def unraised(tx: Transaction, at: datetime, most: int, behind: Behind | None = None) -> list[Stay]:
    """Overdue stays that no SLA_OVERDUE was raised for, the oldest first; where a rule ignores it, none."""
    since, request_id = (behind.since, behind.request_id) if behind else (_FIRST, "")
    await tx.run(MODEST)
    terms = await read_terms(tx)
    late = cutoffs(terms, await _groups(tx, terms), at)
    params = {
        **_cutoff_params(late),
        "kind": EventKind.SLA_OVERDUE.value,
        "most": most,
        "behind": since,
        "behind_id": request_id,
    }
    return [Stay(row.id, MintStatus(row.status), row.status_since) for row in await tx.rows(UNRAISED, params)]


async def overdue_now(tx: Transaction, tenant: str, at: datetime, most: int) -> OverdueNow:
    """What is overdue of one tenant now: `findings` without the averages, which take far longer."""
    terms = {place: own for place, own in (await read_terms(tx)).items() if place.tenant == tenant}
    groups = await _groups(tx, terms)
    late = cutoffs(terms, groups, at)
    longest = await tx.rows(LONGEST, {**_cutoff_params(late), "most": most})
    return OverdueNow(
        counts=await _overdue(tx, late),
        longest=[Stay(row.id, MintStatus(row.status), row.status_since) for row in longest],
        unanswered=sum(group.unanswered for group in groups if group.place.status not in TERMINAL),
    )


async def read_terms(tx: Transaction) -> dict[Place, Terms]:
    """What the dictionaries say of every status of every topic."""
    return {
        Place(row.tenant, row.topic, MintStatus(row.status)): _terms(row)
        for row in await tx.rows(TERMS, {"statuses": [status.value for status in MintStatus]})
    }


async def terms_of(tx: Transaction, place: Place) -> Terms:
    """What the dictionaries say of one place."""
    params = {"statuses": [place.status.value], "tenant": place.tenant, "topic": place.topic}
    row = await tx.row(_TERMS_OF, params)
    return Terms() if row is None else _terms(row)


def _terms(row: Any) -> Terms:
    return Terms(
        sla_hours=row.sla_hours,
        type=StatusType(row.type or STATUS_TYPES[MintStatus(row.status)]),
        calendar_code=row.calendar_code,
        calendar=ALWAYS if row.calendar is None else _calendar(row.calendar),
    )


@lru_cache(maxsize=256)
def _calendar(stored: str) -> BusinessCalendar:
    row: dict[str, Any] = json.loads(stored)
    try:
        return BusinessCalendar.parse(
            row["hours"], row["time_zone"], row["country"], row["subdivision"], row["holidays"]
        )
    except InvalidInput as error:
        # one that this machine can't read must not hide what is overdue
        log.warning("calendar %s of %s is not kept: %s", row["code"], row["tenant"], error.message)
        return ALWAYS


async def _groups(tx: Transaction, terms: Mapping[Place, Terms]) -> tuple[Group, ...]:
    keys = sorted({(place.tenant, place.topic) for place in terms})
    return tuple(
        Group(
            Place(row.tenant, row.topic, MintStatus(row.status)),
            row.scale,
            row.number,
            row.oldest,
            row.unanswered,
        )
        for row in await tx.rows(GROUPS, topic_params(keys))
    )


async def _overdue(tx: Transaction, late: Sequence[Cutoff]) -> dict[Place, int]:
    rows = await tx.rows(OVERDUE, _cutoff_params(late))
    return {Place(row.tenant, row.topic, MintStatus(row.status)): row.number for row in rows}


async def _measured(
    tx: Transaction, terms: Mapping[Place, Terms], groups: Iterable[Group], at: datetime
) -> tuple[dict[Place, Total], dict[str, Total]]:
    """Sums of stays by place and of first responses by tenant, each topic in its calendar's time."""
    oldest: dict[TopicKey, datetime] = {}
    for group in groups:
        key = group.place.tenant, group.place.topic
        oldest[key] = min(group.oldest, oldest.get(key, group.oldest))
    calendars: dict[BusinessCalendar, set[TopicKey]] = defaultdict(set)
    for place, own in terms.items():
        if (place.tenant, place.topic) in oldest:
            calendars[own.calendar].add((place.tenant, place.topic))
    stays: dict[Place, Total] = defaultdict(Total)
    responses: dict[str, Total] = defaultdict(Total)
    for calendar, keys in calendars.items():
        since = min(oldest[key] for key in keys)
        for row in await measures(tx, calendar, sorted(keys), since, at):
            total = Total(row.number, row.seconds)
            if row.status is None:
                responses[row.tenant] += total
            else:
                stays[Place(row.tenant, row.topic, MintStatus(row.status))] += total
    return stays, responses


def _cutoff_params(late: Sequence[Cutoff]) -> dict[str, list[Any]]:
    return {
        **topic_params([(cutoff.place.tenant, cutoff.place.topic) for cutoff in late]),
        "statuses": [cutoff.place.status.value for cutoff in late],
        "scales": [cutoff.scale for cutoff in late],
        "cutoffs": [cutoff.at for cutoff in late],
    }
