"""What the pending audit looks for, and what it reports."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from domain.mint_request import MintStatus
from domain.records import RequestRecord

GRACE = timedelta(minutes=5)
"""A timer may fire this much late before it is reported: a worker restart is no alarm."""


class WorkflowState(StrEnum):
    """What Temporal says about the workflow of a request or of a run."""

    RUNNING = "running"
    MISSING = "missing"
    CLOSED = "closed"


class AuditReport(BaseModel):
    """The result of one look at all open requests and channel accounts; lists hold ids of requests
    unless they say otherwise."""

    model_config = ConfigDict(frozen=True)

    checked: int = 0
    restarted: tuple[str, ...] = ()
    """Their workflow was missing or had been closed from outside; it runs again."""
    late: tuple[str, ...] = ()
    """Their timer or bound passed more than the grace ago and nothing happened."""
    restarted_runs: tuple[str, ...] = ()
    """Runs of events whose workflow had never been started, or was lost; it runs again."""
    returned_channels: tuple[str, ...] = ()
    """Channel accounts that an ended request had left reserved: proved harmless, and free again."""
    suspect_channels: tuple[str, ...] = ()
    """Channel accounts that an ended request holds and no proof allows to give back."""


def lateness(record: RequestRecord, now: datetime) -> str | None:
    """Name what should have happened to an open request by now, or None.

    PENDING: its next stage or expiry. APPROVED: an envelope. SUBMITTING: an outcome after its time bound.
    """
    if record.status is MintStatus.PENDING:
        due = record.escalation().due_next()
        return due.name if now > due.at + GRACE else None
    if record.status is MintStatus.APPROVED and record.decided_at is not None:
        return "submission" if now > record.decided_at + GRACE else None
    if record.status is MintStatus.SUBMITTING and record.submission is not None:
        past_bound = now.timestamp() > record.submission.max_time + GRACE.total_seconds()
        return "outcome of the submission" if past_bound else None
    return None
