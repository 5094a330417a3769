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
        until = self.deferred_until
        note = f"quiet hours until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        return {**vars(self), "deferred_until": until.isoformat() if until else None, "note": note}


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
    letter = _Letter(record, routing, at, wanted.template, f"stage:{stage}", stage)
    return _of_stage(letter, wanted, routing)


def event_notices(
    record: RequestRecord, run: EventRun, stage: int, routing: Routing, at: datetime, *, urgent: bool
) -> list[Notice]:
    """The messages of a stage of an event's run, which must have a policy; urgent ones wait for nothing."""
    if run.policy is None:
        return []
    kind = EVENT_LETTERS[run.event_kind]
    letter = _Letter(record, routing, at, kind, f"stage:{stage}", stage, run, urgent=urgent)
    return _of_stage(letter, run.policy.stages[stage], routing)


def event_word(
    record: RequestRecord, run: EventRun, routing: Routing, at: datetime, *, urgent: bool
) -> list[Notice]:
    """The one message of an event that starts no run: the leads of the department hear of it."""
    kind = EVENT_LETTERS[run.event_kind]
    return _to_leads(_Letter(record, routing, at, kind, "word", run=run, urgent=urgent), routing)


def _of_stage(letter: _Letter, wanted: Stage, routing: Routing) -> list[Notice]:
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
    return _to_leads(_Letter(record, routing, at, "stalled", occasion, stage), routing)


def status_notices(record: RequestRecord, routing: Routing, at: datetime) -> list[Notice]:
    """Tells requester and leads about the status that `record` has just entered, at `at`."""
    urgent = record.status is MintStatus.ANOMALY
    letter = _Letter(record, routing, at, record.status.lower(), f"status:{record.status}", urgent=urgent)
    found = _to_requester(letter, routing, by_email=True) if record.status in _TOLD_TO_REQUESTER else []
    return found + (_to_leads(letter, routing) if record.status in _TOLD_TO_LEADS else [])


def partial_notices(record: RequestRecord, routing: Routing, at: datetime) -> list[Notice]:
    """Tells the requester that an approval came and more are needed."""
    letter = _Letter(record, routing, at, "partially_approved", f"approvals:{len(record.approvals)}")
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
    """One thing to say about a request at `at`; `occasion` tells it from every other of the same run.

    `run` is that of an operational event. What is `urgent` passes over quiet hours.
    """

    record: RequestRecord
    routing: Routing
    at: datetime
    kind: str
    occasion: str
    stage: int | None = None
    run: EventRun | None = None
    urgent: bool = False

    @functools.cached_property
    def policy_hash(self) -> str:
        run_policy = self.run.policy if self.run else None
        return (run_policy or self.record.policy).content_hash()

    @functools.cached_property
    def urgent_from(self) -> datetime | None:
        """From when on it can't wait, so that nothing ends with nobody told; None: it always can."""
        record, run = self.record, self.run
        if run is not None and run.policy is not None and run.closes_at is not None:
            return run.policy.urgent_from(run.closes_at, run.sla_scale)
        if record.status is not MintStatus.PENDING:
            return None
        return record.policy.urgent_from(record.expires_at, record.sla_scale)

    def deferred_until(self, person: Person | None) -> datetime | None:
        """The end of the quiet hours that it waits for; a group (None) follows the tenant's."""
        return None if self.urgent else self.routing.deferred_until(self.at, self.urgent_from, person)

    def to_group(self, channel: Channel, target: str) -> Notice:
        return self._notice(channel, target, recipient=target or channel.name, time_zone="UTC")

    def by_email(self, channel: Channel, people: Iterable[Person]) -> list[Notice]:
        return [
            self._notice(
                channel, person.email, recipient=person.name, time_zone=person.time_zone, person=person
            )
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
        person: Person | None = None,
    ) -> Notice:
        run_id = self.run.id if self.run else None
        # no stage of a run is ever repeated, so there is no count of cycles in it
        unique = [
            self.record.request.tenant,
            self.record.request.id,
            self.policy_hash,
            run_id,
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
            run_id=run_id,
            # what is read in the app wakes nobody
            deferred_until=None if inbox else self.deferred_until(person),
        )
