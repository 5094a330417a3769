"""What the database remembers, as plain types: the only shapes in which its rows travel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.absences import Delegation
from domain.approvals import ActorRole, Approval, ApprovalRule, Tally, tally
from domain.channels import SINGLE_KINDS
from domain.escalation import EscalationPolicy, EscalationRun
from domain.ledger_options import LedgerOptions
from domain.mint_request import MintRequest, MintStatus
from domain.submission import Submission, SubmissionResult
from domain.tickets import Ticket

_frozen = ConfigDict(frozen=True)


class RequestRecord(BaseModel):
    """A mint request as the database stands: content, pinned policy and rule, and how far it has come."""

    model_config = _frozen

    request: MintRequest
    policy: EscalationPolicy
    rule: ApprovalRule
    sla_scale: int = 1
    status: MintStatus
    status_since: AwareDatetime
    """When it entered its status."""
    version: int
    created_at: AwareDatetime
    expires_at: AwareDatetime
    approvals: tuple[Approval, ...] = ()
    granted_tiers: tuple[int, ...] = ()
    next_stage: int = 0
    escalation_level: int = 0
    """How many stages after the first notice have run."""
    assignee: str | None = None
    assigned_at: AwareDatetime | None = None
    assigned_automatically: bool = False
    """By the sweep, and nobody has claimed it since: a claim may still take it over."""
    unassigned_since: AwareDatetime | None = None
    """Since when nobody has it; None: somebody has."""
    first_response_at: AwareDatetime | None = None
    """First claim, comment by an approver, or decision (service.md)."""
    last_activity_at: AwareDatetime
    acknowledged_by: str | None = None
    """Who said "I am on it" last; nobody any more once a later stage has run."""
    acknowledged_at: AwareDatetime | None = None
    escalation_cancelled_by: str | None = None
    """Who stopped the stages to come; the request itself goes on, and still expires."""
    escalation_cancelled_at: AwareDatetime | None = None
    decided_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    reason: str = ""
    """Why it ended as it did, in plain words."""
    ledger_options: LedgerOptions = LedgerOptions()
    """What the tenant allows on the ledger now; the submission's plan says what was made of it."""
    ticket: Ticket | None = None
    submission: Submission | None = None
    result: SubmissionResult | None = None
    resubmitted_as: str | None = None

    @property
    def missing(self) -> Tally:
        """What the rule still lacks."""
        return tally(self.rule, self.approvals)

    def answered(self, at: datetime) -> RequestRecord:
        """The record with its first response, which may have been earlier than `at`."""
        return self.model_copy(update={"first_response_at": self.first_response_at or at})

    def escalation(self) -> EscalationRun:
        """The run of its pinned policy, as far as it has come."""
        run = EscalationRun(self.policy, self.created_at, self.sla_scale, self.next_stage)
        run.touch(self.last_activity_at)
        run.acknowledge(self.acknowledged_at)
        run.cancel(self.escalation_cancelled_at is not None)
        return run


class Signer(BaseModel):
    """A user as the decision check sees one."""

    model_config = _frozen

    tenant: str
    name: str
    active: bool
    roles: frozenset[ActorRole]
    tier: int | None
    public_keys: tuple[bytes, ...]
    """Raw Ed25519 keys that are registered and not revoked."""
    delegations: tuple[Delegation, ...] = ()
    """Absences that last or are to come: their own, and those in which they stand in."""


class AuditEvent(BaseModel):
    """One link of a tenant's audit chain.

    `hash` = SHA-256 over the previous hash (32 bytes) followed by the UTF-8 bytes of `body`, which is
    canonical JSON (RFC 8785) and carries everything else, `seq` included.
    """

    model_config = _frozen

    tenant: str
    seq: int
    prev_hash: str
    hash: str
    body: str


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    """The provider says that it arrived."""
    DEFERRED = "deferred"
    """Held back by quiet hours."""
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    DEAD = "dead"
    SKIPPED = "skipped"
    THROTTLED = "throttled"
    """Never sent: a run for the same thing had just been started."""


class DeliveryJob(BaseModel):
    """One message to one recipient over one channel, claimed for sending."""

    model_config = _frozen

    id: str
    tenant: str
    request_id: str
    run_id: str | None = None
    """The run of an operational event; None: the message is about the request itself."""
    rule_id: str
    """What sends it: the event rule of the run, or the request's pinned escalation policy."""
    action_hash: str = ""
    """Of the run of an operational event; empty for the request's own."""
    stage: int | None = None
    """Which stage of the policy sends it; None: it is no message of a stage."""
    kind: str
    """Event kind: `opened`, `reminder`, `escalation`, `stalled`, `confirmed` …"""
    channel: str
    channel_kind: str
    target: str
    recipient: str
    time_zone: str
    attempt: int
    """Counts from 1."""
    max_attempts: int
    backoff_seconds: int
    due_at: AwareDatetime
    facts: Mapping[str, Any] = Field(default_factory=dict)
    """What the template needs, as it was when the row was written."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Of the channel, as they are now; empty when it has been removed."""
    deferred_until: AwareDatetime | None = None
    """Set when quiet hours have held it back."""
    ack_revoked: bool = False
    """Its acknowledgement links are worthless, so it carries none."""
    ack_handle: str = ""
    """What a button carries that has no room for a token; empty for channels without buttons."""
    unwanted: str = ""
    """Why nobody needed it any more when it was claimed; empty: somebody did."""
    expires_at: AwareDatetime
    """When the run is over: the request's expiry, or the end of an operational event's run."""

    @property
    def merges_with(self) -> tuple[object, ...]:
        """Equal for deliveries that share one message after quiet hours; any other has only itself."""
        if self.deferred_until is None or self.channel_kind in SINGLE_KINDS:
            return (self.id,)
        return (self.tenant, self.channel, self.target, self.recipient, self.deferred_until)
