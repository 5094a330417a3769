"""How a request, or an operational event's run, stands now: in a few words, as its message then says."""

from __future__ import annotations

from datetime import datetime

from activities.notifications.channels import Standing
from activities.notifications.facts import local_time
from db.writes.revisions import Member
from domain.mint_request import MintStatus
from domain.records import RequestRecord

_S = MintStatus

_WORDS = {
    _S.EXPIRED: "expired",
    _S.FAILED: "failed",
    _S.TIMEOUT_FAILED: "not on the ledger in time, and never will be",
    _S.ANOMALY: "anomaly: an operator has to look at it",
}
_RUN_WORDS = {
    "resolved": "resolved",
    "closed": "closed, its time is over",
    "cancelled": "escalation cancelled",
}


def standing_of(record: RequestRecord, member: Member) -> tuple[Standing, str]:
    """How far it has come, and in words."""
    if member.run_state is not None:
        return _of_run(member)
    if record.status is not _S.PENDING:
        return Standing.CLOSED, _decided(record, member.decided_by)
    standing, words = _open(record.acknowledged_by, record.acknowledged_at, member.job.time_zone)
    return standing, f"{_so_far(record)}; {words}" if record.approvals else words


def _of_run(member: Member) -> tuple[Standing, str]:
    if member.run_state == "running":
        return _open(member.run_acknowledged_by, member.run_acknowledged_at, member.job.time_zone)
    words = _RUN_WORDS.get(str(member.run_state), str(member.run_state))
    return Standing.CLOSED, words + (f" by {member.run_ended_by}" if member.run_state == "cancelled" else "")


def _open(who: str | None, since: datetime | None, zone: str) -> tuple[Standing, str]:
    if who is None or since is None:
        return Standing.OPEN, "waits for a decision"
    return Standing.ACKNOWLEDGED, f"{who} is on it since {local_time(since, zone)}"


def _decided(record: RequestRecord, decided_by: str | None) -> str:
    if record.status in (_S.APPROVED, _S.SUBMITTING):
        return _approvers(record)
    if record.status is _S.CONFIRMED:
        ledger = record.result.ledger if record.result else None
        return f"confirmed in ledger {ledger}" if ledger else "confirmed"
    if record.status in (_S.REJECTED, _S.CANCELLED):
        return record.status.lower() + (f" by {decided_by}" if decided_by else "")
    return _WORDS[record.status]


def _so_far(record: RequestRecord) -> str:
    return f"{_approvers(record)}, {record.missing.text()} needed"


def _approvers(record: RequestRecord) -> str:
    return "approved by " + " and ".join(approval.approver for approval in record.approvals)
