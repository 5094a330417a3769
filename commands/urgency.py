"""Which requests want attention first, and which are stuck."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.mint_request import TERMINAL, MintStatus
from domain.records import RequestRecord
from domain.upkeep import lateness

LONG_SUBMITTING = timedelta(minutes=5)
"""A submission is bounded by its time bounds; one that is open for longer wants a look."""

_RANK = {MintStatus.ANOMALY: 0, MintStatus.PENDING: 1, MintStatus.APPROVED: 2, MintStatus.SUBMITTING: 2}


def urgency(record: RequestRecord) -> tuple[int, float]:
    """Sort key: anomalies, then what expires soonest, then what is under way, then the newest ended."""
    if record.status in TERMINAL:
        return (3, -record.created_at.timestamp())
    return (_RANK[record.status], record.expires_at.timestamp())


def is_stuck(record: RequestRecord, now: datetime) -> bool:
    """Tell whether somebody has to step in: escalated, overdue, submitting for long, or an anomaly."""
    if record.status is MintStatus.PENDING:
        return record.escalation_level >= 1 or lateness(record, now) is not None
    if record.status in (MintStatus.APPROVED, MintStatus.SUBMITTING):
        since = record.decided_at or record.last_activity_at
        return now - since > LONG_SUBMITTING or lateness(record, now) is not None
    return record.status is MintStatus.ANOMALY
