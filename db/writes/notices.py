"""Which messages a step of a request sends: rows of the outbox, not yet written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.writes.letters import Letter, Notice, to_leads, to_requester
from db.writes.routing import Person, Routing
from domain.amounts import format_amount
from domain.channels import GROUP_KINDS
from domain.escalation import Stage
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.runs import EventKind, EventRun

_TOLD_TO_REQUESTER = frozenset(
    {
        MintStatus.REJECTED,
        MintStatus.CANCELLED,
        MintStatus.EXPIRED,
        MintStatus.CONFIRMED,
        MintStatus.FAILED,
        MintStatus.TIMEOUT_FAILED,
        MintStatus.ANOMALY,
    }
)
_TOLD_TO_LEADS = frozenset(
    {MintStatus.EXPIRED, MintStatus.FAILED, MintStatus.TIMEOUT_FAILED, MintStatus.ANOMALY}
)

EVENT_LETTERS = {
    EventKind.ANOMALY: "event_anomaly",
    EventKind.STALLED: "event_stalled",
    EventKind.SLA_OVERDUE: "event_overdue",
}
"""The kind of message that tells of an event."""


def facts_of(record: RequestRecord) -> dict[str, Any]:
    """What a message may say, as it is now; the names are those of the renderer's facts."""
    request = record.request
    return {
        "request_id": request.id,
        "track_number": request.track_number,
        "asset_code": request.asset.code,
        "amount": format_amount(request.amount),
        "destination": request.destination,
        "requester": request.requester,
        "topic": request.topic,
        "tenant": request.tenant,
        "status": record.status,
        "created_at": record.created_at.isoformat(),
        "expires_at": record.expires_at.isoformat(),
        "waiting_for": record.missing.text() if record.status is MintStatus.PENDING else "",
        "reason": record.reason,
        "ledger": record.result.ledger if record.result else None,
    }


def has_notices(status: MintStatus) -> bool:
    """Tell whether entering the status tells anybody."""
    return status in _TOLD_TO_REQUESTER


def stage_notices(record: RequestRecord, stage: int, routing: Routing, at: datetime) -> list[Notice]:
    """The messages of a stage at `at`, channels in lexicographic order; none: nobody is reachable."""
    wanted = record.policy.stages[stage]
    letter = Letter(record, routing, at, wanted.template, f"stage:{stage}", stage)
    return _of_stage(letter, wanted, routing)


def event_notices(
    record: RequestRecord, run: EventRun, stage: int, routing: Routing, at: datetime, *, urgent: bool
) -> list[Notice]:
    """The messages of a stage of an event's run, which must have a policy; urgent ones wait for nothing."""
    if run.policy is None:
        return []
    kind = EVENT_LETTERS[run.event_kind]
    letter = Letter(record, routing, at, kind, f"stage:{stage}", stage, run, urgent=urgent)
    return _of_stage(letter, run.policy.stages[stage], routing)


def event_word(
    record: RequestRecord,
    run: EventRun,
    routing: Routing,
    at: datetime,
    *,
    urgent: bool,
    assignee: Person | None = None,
) -> list[Notice]:
    """The one message of an event that starts no run: the leads of the department hear of it.

    Of an overdue request they hear in the app too, and so do who works on it and the Telegram group.
    """
    kind = EVENT_LETTERS[run.event_kind]
    letter = Letter(record, routing, at, kind, "word", run=run, urgent=urgent)
    found = to_leads(letter, routing)
    if run.event_kind is EventKind.SLA_OVERDUE:
        found += _overdue_notices(letter, routing, [assignee] if assignee else [])
    # a lead may work on it too
    return list({notice.id: notice for notice in found}.values())


def _overdue_notices(letter: Letter, routing: Routing, workers: list[Person]) -> list[Notice]:
    in_app, email, telegram = (routing.first(kind) for kind in ("in-app", "email", "telegram"))
    found = [letter.in_app(in_app, person) for person in (*routing.leads, *workers)] if in_app else []
    found += letter.by_email(email, workers) if email else []
    group = [letter.to_group(telegram, telegram.target)] if telegram and telegram.target else []
    return found + group


def _of_stage(letter: Letter, wanted: Stage, routing: Routing) -> list[Notice]:
    people = routing.recipients(wanted.notify.tiers())
    named = {channel.name: channel for channel in routing.channels}
    found: list[Notice] = []
    for name in sorted(set(wanted.channels) & named.keys()):
        channel = named[name]
        if channel.kind in GROUP_KINDS:
            found.append(letter.to_group(channel, channel.target))
        elif channel.kind == "email":
            found += letter.by_email(channel, people)
        else:
            found += [letter.in_app(channel, person) for person in people]
    return found


def stalled_notices(
    record: RequestRecord, occasion: str, routing: Routing, at: datetime, stage: int | None = None
) -> list[Notice]:
    """Tells the leads of the topic's department, once an occasion, that the request does not move."""
    return to_leads(Letter(record, routing, at, "stalled", occasion, stage), routing)


def status_notices(record: RequestRecord, routing: Routing, at: datetime) -> list[Notice]:
    """Tells requester and leads about the status that `record` has just entered, at `at`."""
    urgent = record.status is MintStatus.ANOMALY
    letter = Letter(record, routing, at, record.status.lower(), f"status:{record.status}", urgent=urgent)
    found = to_requester(letter, routing, by_email=True) if record.status in _TOLD_TO_REQUESTER else []
    return found + (to_leads(letter, routing) if record.status in _TOLD_TO_LEADS else [])


def partial_notices(record: RequestRecord, routing: Routing, at: datetime) -> list[Notice]:
    """Tells the requester that an approval came and more are needed."""
    letter = Letter(record, routing, at, "partially_approved", f"approvals:{len(record.approvals)}")
    return to_requester(letter, routing, by_email=False)
