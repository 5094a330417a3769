"""One message to write for one recipient over one channel, and the letter that it carries."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from db.writes.routing import Channel, Person, Routing
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.runs import EventRun

_EVENTS = {
    **dict.fromkeys(("opened", "reminder", "escalation", "stalled", "unassigned"), "ESCALATION"),
    **dict.fromkeys(("event_anomaly", "event_stalled"), "ESCALATION"),
    "event_overdue": "SLA_OVERDUE",
    "message": "MESSAGE",
    "attachment": "ATTACHMENT",
}
"""What the letters of an in-app list are about; any other is about the request's STATUS."""


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
        event = _EVENTS.get(self.kind, "STATUS")
        return {**vars(self), "event": event, "deferred_until": until and until.isoformat(), "note": note}


def to_requester(letter: Letter, routing: Routing, *, by_email: bool) -> list[Notice]:
    """Tells the client: in the app and, if wanted, by email."""
    in_app, email = routing.first("in-app"), routing.first("email")
    found = [letter.in_app(in_app, routing.requester, client=True)] if in_app else []
    return found + (letter.by_email(email, [routing.requester]) if email and by_email else [])


def to_leads(letter: Letter, routing: Routing) -> list[Notice]:
    """Tells the leads of the department, over their Slack channel and by email."""
    slack, email = routing.first("slack"), routing.first("email")
    found: list[Notice] = []
    if slack and routing.department_slack_channel:
        found.append(letter.to_group(slack, routing.department_slack_channel))
    return found + (letter.by_email(email, routing.leads) if email else [])


@dataclass(frozen=True)
class Letter:
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
        """Of the policy that the message follows."""
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
        """To the group that a channel posts to."""
        return self._notice(channel, target, recipient=target or channel.name, time_zone="UTC")

    def by_email(self, channel: Channel, people: Iterable[Person]) -> list[Notice]:
        """To each of them who has an address."""
        return [
            self._notice(
                channel, person.email, recipient=person.name, time_zone=person.time_zone, person=person
            )
            for person in people
            if person.email
        ]

    def in_app(self, channel: Channel, person: Person, *, client: bool = False) -> Notice:
        """Into somebody's in-app list; a client reads under the track number."""
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
