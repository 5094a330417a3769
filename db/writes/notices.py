"""Which messages a step of a request sends: rows of the outbox, not yet written."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from db.writes.routing import Channel, Person, Routing
from domain.amounts import format_amount
from domain.escalation import EscalationPolicy, Stage
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.runs import EventKind, EventRun

_GROUP_KINDS = frozenset({"slack", "telegram", "console"})

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


@dataclass(frozen=True)
class Notice:
    """One delivery to write; `inbox_kind` and `inbox` say whose in-app list it goes to, if any."""

    id: str
    kind: str
    stage: int | None
    channel: str
    channel_kind: str
    target: str
    recipient: str
    time_zone: str
    inbox_kind: str | None
    inbox: str | None
    run_id: str | None = None
    """The run of an operational event; None: the message is about the request itself."""
    deferred_until: datetime | None = None
    """The end of the recipient's quiet hours, if they hold it back."""

    def row(self) -> dict[str, Any]:
        """The notice under the names that the outbox statement reads."""
        until = self.deferred_until.isoformat() if self.deferred_until else None
        return {**vars(self), "deferred_until": until}


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


def stage_notices(record: RequestRecord, stage: int, routing: Routing) -> list[Notice]:
    """The messages of a stage, channels in lexicographic order; none: nobody is reachable."""
    wanted = record.policy.stages[stage]
    return _of_stage(_Letter(record, wanted.template, f"stage:{stage}", stage), wanted, routing)


def event_notices(record: RequestRecord, run: EventRun, stage: int, routing: Routing) -> list[Notice]:
    """The messages of a stage of an event's run, which must have a policy."""
    if run.policy is None:
        return []
    letter = _Letter(record, EVENT_LETTERS[run.event_kind], f"stage:{stage}", stage, run.id, run.policy)
    return _of_stage(letter, run.policy.stages[stage], routing)


def event_word(record: RequestRecord, run: EventRun, routing: Routing) -> list[Notice]:
    """The one message of an event that starts no run: the leads of the department hear of it."""
    kind = EVENT_LETTERS[run.event_kind]
    return _to_leads(_Letter(record, kind, "word", None, run.id, run.policy), routing)


def _of_stage(letter: _Letter, wanted: Stage, routing: Routing) -> list[Notice]:
    people = routing.recipients(wanted.notify.tiers())
    named = {channel.name: channel for channel in routing.channels}
    found: list[Notice] = []
    for name in sorted(set(wanted.channels) & named.keys()):
        channel = named[name]
        if channel.kind in _GROUP_KINDS:
            found.append(letter.to_group(channel, channel.target))
        elif channel.kind == "email":
            found += letter.by_email(channel, people)
        else:
            found += [letter.in_app(channel, person) for person in people]
    return found


def stalled_notices(
    record: RequestRecord, occasion: str, routing: Routing, stage: int | None = None
) -> list[Notice]:
    """Tells the leads of the topic's department, once an occasion, that the request does not move."""
    return _to_leads(_Letter(record, "stalled", occasion, stage), routing)


def status_notices(record: RequestRecord, routing: Routing) -> list[Notice]:
    """Tells requester and leads about the status that `record` has just entered."""
    letter = _Letter(record, record.status.lower(), f"status:{record.status}", None)
    found = _to_requester(letter, routing, by_email=True) if record.status in _TOLD_TO_REQUESTER else []
    return found + (_to_leads(letter, routing) if record.status in _TOLD_TO_LEADS else [])


def partial_notices(record: RequestRecord, routing: Routing) -> list[Notice]:
    """Tells the requester that an approval came and more are needed."""
    letter = _Letter(record, "partially_approved", f"approvals:{len(record.approvals)}", None)
    return _to_requester(letter, routing, by_email=False)


def _to_requester(letter: _Letter, routing: Routing, *, by_email: bool) -> list[Notice]:
    in_app, email = routing.first("in-app"), routing.first("email")
    found = [letter.in_app(in_app, routing.requester, client=True)] if in_app else []
    return found + (letter.by_email(email, [routing.requester]) if email and by_email else [])


def _to_leads(letter: _Letter, routing: Routing) -> list[Notice]:
    slack, email = routing.first("slack"), routing.first("email")
    found: list[Notice] = []
    if slack and routing.department_slack_channel:
        found.append(letter.to_group(slack, routing.department_slack_channel))
    return found + (letter.by_email(email, routing.leads) if email else [])


@dataclass(frozen=True)
class _Letter:
    """One thing to say about a request; `occasion` tells it from every other of the same run."""

    record: RequestRecord
    kind: str
    occasion: str
    stage: int | None
    run_id: str | None = None
    run_policy: EscalationPolicy | None = None

    @functools.cached_property
    def policy_hash(self) -> str:
        return (self.run_policy or self.record.policy).content_hash()

    def to_group(self, channel: Channel, target: str) -> Notice:
        return self._notice(channel, target, recipient=target or channel.name, time_zone="UTC")

    def by_email(self, channel: Channel, people: Iterable[Person]) -> list[Notice]:
        return [
            self._notice(channel, person.email, recipient=person.name, time_zone=person.time_zone)
            for person in people
            if person.email
        ]

    def in_app(self, channel: Channel, person: Person, *, client: bool = False) -> Notice:
        # clients follow a request by its track number, admin users are known by name
        inbox = {"inbox_kind": "ADMIN_USER", "inbox": person.name}
        if client:
            inbox = {"inbox_kind": "CLIENT", "inbox": self.record.request.track_number}
        return self._notice(
            channel, person.name, recipient=person.name, time_zone=person.time_zone, inbox=inbox
        )

    def _notice(
        self,
        channel: Channel,
        target: str,
        *,
        recipient: str,
        time_zone: str,
        inbox: Mapping[str, str] | None = None,
    ) -> Notice:
        # no stage of a run is ever repeated, so there is no count of cycles in it
        unique = [
            self.record.request.tenant,
            self.record.request.id,
            self.policy_hash,
            self.run_id,
            self.occasion,
            channel.name,
            recipient,
            self.kind,
        ]
        return Notice(
            id=hashlib.sha256(rfc8785.dumps(unique)).hexdigest(),
            kind=self.kind,
            stage=self.stage,
            channel=channel.name,
            channel_kind=channel.kind,
            target=target,
            recipient=recipient,
            time_zone=time_zone,
            inbox_kind=inbox["inbox_kind"] if inbox else None,
            inbox=inbox["inbox"] if inbox else None,
            run_id=self.run_id,
        )
