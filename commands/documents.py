"""The JSON documents that the CLI answers with: a promise to whoever parses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from domain.amounts import format_amount
from domain.escalation import Due, EscalationPolicy
from domain.mint_request import MintStatus, utc_text
from domain.records import RequestRecord
from domain.tickets import ticket_name

if TYPE_CHECKING:
    from db.reads.catalogue import PublishedPolicy

Document = dict[str, Any]


PUBLISHED_FACTS = frozenset(
    {"contentHash", "publishedAt", "publishedBy", "current", "deletedAt", "deletedBy"}
)
"""What `policy show --json` adds to the policy as it was published."""


def policy_document(published: PublishedPolicy, policy: EscalationPolicy) -> Document:
    """A policy as `policy show --json` gives it: as it was published, and what became of it."""
    return {
        **policy.model_dump(mode="json", by_alias=True),
        "contentHash": published.content_hash,
        "publishedAt": _moment(published.published_at),
        "publishedBy": published.published_by,
        "current": published.current,
        "deletedAt": _moment(published.deleted_at) if published.deleted_at else None,
        "deletedBy": published.deleted_by,
    }


def request_document(record: RequestRecord, timeline: Sequence[Mapping[str, Any]] | None = None) -> Document:
    """A mint request as `show --json` gives it; without a timeline, as `list --json` does."""
    request, due = record.request, next_due(record)
    document: Document = {
        "id": request.id,
        "track_number": request.track_number,
        "status": record.status.value,
        "asset": str(request.asset),
        "amount": format_amount(request.amount),
        "destination": request.destination,
        "requester": request.requester,
        "topic": request.topic,
        "tenant": request.tenant,
        "memo": request.memo,
        "ledger_deadline": utc_text(request.ledger_deadline) if request.ledger_deadline else None,
        "assignee": record.assignee,
        "assigned_at": _moment(record.assigned_at) if record.assigned_at else None,
        "assigned_automatically": record.assigned_automatically,
        "unassigned_since": _moment(record.unassigned_since) if record.unassigned_since else None,
        "created_at": _moment(record.created_at),
        "expires_at": _moment(record.expires_at),
        "ended_at": _moment(record.ended_at) if record.ended_at else None,
        "reason": record.reason,
        "approvals": [plain(approval.model_dump()) for approval in record.approvals],
        "missing_approvals": record.missing.missing,
        "missing_tier": record.missing.missing_tier,
        "eligible_tiers": _eligible_tiers(record),
        "escalation_level": record.escalation_level,
        "acknowledged": _acknowledged(record),
        "next_timer": {"name": due.name, "due_at": _moment(due.at)} if due else None,
        "ticket": _ticket(record),
        "submission": _submission(record),
        "resubmission_of": request.resubmission_of,
        "resubmitted_as": record.resubmitted_as,
        "digest": request.digest(),
    }
    if timeline is not None:
        document["timeline"] = plain(timeline)
    return document


def next_due(record: RequestRecord) -> Due | None:
    """What time will do to a PENDING request next; None for any other."""
    if record.status is not MintStatus.PENDING:
        return None
    return record.escalation().due_next()


def plain(value: Any) -> Any:
    """Only what JSON knows: moments become ISO 8601 texts in UTC."""
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def _moment(value: datetime) -> str:
    return utc_text(value.astimezone(UTC))


def _eligible_tiers(record: RequestRecord) -> list[int]:
    pending = record.status is MintStatus.PENDING
    return record.rule.eligible_tiers(record.granted_tiers) if pending else []


def _acknowledged(record: RequestRecord) -> Document | None:
    if record.acknowledged_at is None:
        return None
    return {"by": record.acknowledged_by, "at": _moment(record.acknowledged_at)}


def _ledger_time(seconds: int | None) -> str | None:
    return None if seconds is None else _moment(datetime.fromtimestamp(seconds, UTC))


def _ticket(record: RequestRecord) -> Document | None:
    ticket = record.ticket
    if ticket is None:
        return None
    return {
        "name": ticket_name(record.request.id),
        "hash": ticket.hash,
        "channel": ticket.channel,
        "sequence": ticket.sequence,
        "max_time": ticket.max_time,
        "outcome": ticket.outcome.value if ticket.outcome else None,
        "reason": ticket.reason,
        "proof": ticket.proof.model_dump(mode="json", exclude_none=True) if ticket.proof else None,
    }


def _submission(record: RequestRecord) -> Document | None:
    sent, result = record.submission, record.result
    if sent is None:
        return None
    return {
        "hash": sent.hash,
        "channel": sent.channel,
        "sequence": sent.sequence,
        "max_time": sent.max_time,
        "ledger": result.ledger if result else None,
        "outcome": result.outcome.value if result else None,
        "proof": result.proof.model_dump(mode="json", exclude_none=True) if result else None,
        "fee_bumps": [bump.hash for bump in sent.fee_bumps],
        "form": sent.plan.form.value,
        "claimable_balance_id": sent.plan.claimable_balance_id,
        "reclaim_from": _ledger_time(sent.plan.reclaim_from),
    }
