"""Sums of SLA time over all requests of a topic: stays in a status, and first responses.

The time of a calendar is handed to PostgreSQL as the edges of its open stretches: the open time from the
first edge to a moment is what lies before the stretch that it falls into, and its share of that stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from domain.calendars import BusinessCalendar
from domain.mint_request import TERMINAL, MintStatus

TopicKey = tuple[str, str]
"""Tenant and topic."""

_KEYS = "FROM unnest(CAST(:tenants AS varchar[]), CAST(:topics AS varchar[])) AS k (tenant, topic)"
_OF_TOPIC = "x.tenant = k.tenant AND x.topic = k.topic"
_OLDEST_SQL = """
SELECT min(l.oldest) {keys}
CROSS JOIN LATERAL (SELECT min(entered_at) AS oldest FROM mint_request_stays x WHERE {of_topic}) AS l
"""
OLDEST = text(_OLDEST_SQL.format(keys=_KEYS, of_topic=_OF_TOPIC))


def _open_until(moment: str) -> str:
    """Open seconds from the first edge until a moment; what lies before it, or after the last, has none."""
    at = f"width_bucket({moment}, CAST(:begins AS timestamptz[]))"
    return (
        f"coalesce((CAST(:befores AS float8[]))[{at}] + least((CAST(:lengths AS float8[]))[{at}], "
        f"CAST(extract(epoch FROM {moment} - (CAST(:begins AS timestamptz[]))[{at}]) AS float8)), 0)"
    )


def _sum(begin: str, end: str) -> str:
    seconds = f"sla_scale * greatest({_open_until(end)} - {_open_until(begin)}, 0)"
    return f"count(*) AS number, coalesce(sum({seconds}), 0) AS seconds"


_MEASURES_SQL = """
SELECT k.tenant, k.topic, l.* {keys}
CROSS JOIN LATERAL (
    SELECT status, {stays} FROM mint_request_stays x WHERE {of_topic} GROUP BY status
    UNION ALL
    SELECT status, {lasting} FROM mint_requests x
    WHERE {of_topic} AND status = ANY (CAST(:open AS varchar[])) GROUP BY status
    UNION ALL
    SELECT NULL, {responses} FROM mint_requests x
    WHERE {of_topic} AND first_response_at IS NOT NULL
) AS l WHERE l.number > 0
"""
MEASURES = text(
    _MEASURES_SQL.format(
        keys=_KEYS,
        of_topic=_OF_TOPIC,
        stays=_sum("entered_at", "left_at"),
        lasting=_sum("status_since", "CAST(:at AS timestamptz)"),
        responses=_sum("created_at", "first_response_at"),
    )
)


async def measures(
    tx: Transaction, calendar: BusinessCalendar, keys: Sequence[TopicKey], since: datetime, at: datetime
) -> Sequence[Any]:
    """Rows of tenant, topic, status, number and seconds; without a status: of first responses.

    `keys` are topics with this calendar, and `since` is no later than any lasting stay of theirs.
    """
    first = await tx.value(OLDEST, topic_params(keys))
    stretches = _stretches(calendar, min(since, first or since), at)
    befores, before = [], 0.0
    for begin, end in stretches:
        befores.append(before)
        before += (end - begin).total_seconds()
    params = {
        **topic_params(keys),
        "at": at,
        "open": [status.value for status in MintStatus if status not in TERMINAL],
        "begins": [begin for begin, _ in stretches],
        "befores": befores,
        "lengths": [(end - begin).total_seconds() for begin, end in stretches],
    }
    return await tx.rows(MEASURES, params)


def _stretches(calendar: BusinessCalendar, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    if calendar.always:
        return [(begin, max(begin, end))]
    return list(calendar.stretches(begin, end))


def topic_params(keys: Sequence[TopicKey]) -> dict[str, list[str]]:
    """Topics as the statements read them."""
    return {"tenants": [tenant for tenant, _ in keys], "topics": [topic for _, topic in keys]}
