"""From a claimed delivery to the message that a channel sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from activities.notifications.channels import Message
from activities.notifications.facts import NotificationFacts
from activities.notifications.render import render
from domain.ack import NO_AUTHORITY, AckClaim, Authority
from domain.codes import code_of
from domain.errors import ConfigurationError, InvalidInput
from domain.mint_request import MintStatus, workflow_id
from domain.passes import SessionSecret
from domain.records import DeliveryJob

_FACTS = TypeAdapter(NotificationFacts)

ACKNOWLEDGED_KINDS = frozenset(
    {"opened", "reminder", "escalation", "event_anomaly", "event_stalled", "event_overdue"}
)
"""Messages whose recipients can say "I am on it"."""

CLIENT_KINDS = frozenset({"code_track"})
"""Messages that only a client without an account gets."""

REQUESTER_KINDS = frozenset(
    {
        *("message", "attachment", "partially_approved"),
        *("rejected", "cancelled", "expired", "confirmed", "failed", "timeout_failed", "anomaly"),
    }
)
"""Messages that the requester gets as the request's client, whatever else they may be to us."""

DECIDED_KINDS = frozenset({"opened", "reminder", "escalation", "revised"})
"""Messages of a stage whose recipients can decide, while their request waits."""


@dataclass(frozen=True)
class Links:
    """Where messages point: the web UI, and Temporal's own UI (none when `temporal_url` is empty).

    `authority` signs acknowledgement links; without keys there are none.
    """

    public_url: str
    temporal_url: str
    namespace: str
    authority: Authority = NO_AUTHORITY
    secret: SessionSecret | None = None
    """From which the one-time codes follow; None: they can't be sent."""
    in_log: bool = False
    """What is said goes into a log, where no code may stand."""

    def code(self, code_id: str) -> str:
        """A one-time code, for its message; raises ConfigurationError without the secret."""
        if not code_id:
            return ""
        if self.in_log:
            return "(not shown in a log)"
        if self.secret is None:
            raise ConfigurationError("MINTKEEPER_SESSION_SECRET is not set where messages are sent")
        return code_of(self.secret, code_id)

    def workflow(self, request_id: str) -> str | None:
        """The page of the request's workflow."""
        if not self.temporal_url:
            return None
        base = self.temporal_url.rstrip("/")
        return f"{base}/namespaces/{self.namespace}/workflows/{workflow_id(request_id)}"

    def acknowledge(self, job: DeliveryJob, now: datetime) -> str:
        """Where the recipient of a stage's message says "I am on it"; empty for any other message.

        A message that is sent again gets a new token, good for another 24 h, of the same identity.
        """
        wanted = job.kind in ACKNOWLEDGED_KINDS and now < job.expires_at and not job.ack_revoked
        if job.stage is None or not (wanted and self.public_url and self.authority.has_keys):
            return ""
        token = self.authority.issue(AckClaim.for_delivery(job, job.stage, now))
        return f"{self.public_url.rstrip('/')}/acks/{token}"


def compose(job: DeliveryJob, links: Links, ack_link: str = "") -> Message:
    """The message of a delivery; raises InvalidInput when its facts or its kind can't be rendered."""
    facts = facts_for(job, links, ack_link)
    said = render(job.kind, facts)
    return Message(
        delivery_id=job.id,
        kind=job.kind,
        target=job.target,
        subject=said.subject,
        text=said.text,
        html=said.html,
        blocks=said.blocks,
        channel=job.channel,
        request_id=job.request_id,
        link=facts.link,
        ack_link=ack_link,
        ack_handle=job.ack_handle if ack_link else "",
        decides=_decides(job, facts),
        dedup_key=job.action_hash or job.request_id,
        facts=facts.plain(),
        settings=job.settings,
    )


def _decides(job: DeliveryJob, facts: NotificationFacts) -> bool:
    """Tell whether the message offers to decide: it is of the request's own run, which is open."""
    of_stage = job.stage is not None and job.run_id is None and job.kind in DECIDED_KINDS
    return of_stage and facts.status == MintStatus.PENDING


def facts_for(job: DeliveryJob, links: Links, ack_link: str) -> NotificationFacts:
    """What a delivery may say to its recipient; raises InvalidInput when something is missing."""
    facts = _parse({**job.facts, "public_url": links.public_url})
    if job.kind in CLIENT_KINDS or (job.kind in REQUESTER_KINDS and job.recipient == facts.requester):
        # who decides, and where we look at it, is nothing to a client
        facts = replace(facts, for_client=True, waiting_for="")
    return replace(
        facts,
        code=links.code(facts.code_id),
        recipient_name=job.recipient,
        time_zone=job.time_zone,
        temporal_url=None if facts.for_client else links.workflow(job.request_id),
        ack_link=ack_link,
    )


def _parse(facts: Mapping[str, Any]) -> NotificationFacts:
    try:
        return _FACTS.validate_python(facts)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "facts"
        # the values stay out of the text: it goes into logs
        raise InvalidInput(f"facts: {where}: {first['msg']}", where) from None
