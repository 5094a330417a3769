"""Escalation runs of operational events: what starts one, and what ends it.

A mint request's own run lives inside its workflow; its run id is the request's id. Something that goes
wrong with a request beside that is an *event*, and gets a run of its own: the workflow `Escalation`,
driven by the same engine (`domain.escalation.EscalationRun`).
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from enum import StrEnum
from typing import Final

import rfc8785
from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.escalation import EscalationPolicy, EscalationRun
from domain.mint_request import MintStatus, workflow_id

_frozen = ConfigDict(frozen=True)

STALLED_AFTER: Final = timedelta(minutes=10)
"""An approved request that has no outcome by then is stalled: a submission window is two minutes."""


class EventKind(StrEnum):
    """What can go wrong with a request while nobody looks."""

    ANOMALY = "request.anomaly"
    STALLED = "submission.stalled"
    SLA_OVERDUE = "sla.overdue"


class EventAction(StrEnum):
    """What an event leads to."""

    ESCALATE = "escalate"
    INFORM = "inform"
    IGNORE = "ignore"


class RunState(StrEnum):
    """How far a run has come; only RUNNING ones ever change again."""

    RUNNING = "running"
    CANCELLED = "cancelled"
    CLOSED = "closed"
    """Its time was over (`autoCloseMinutes`)."""
    RESOLVED = "resolved"
    """What it was about is over."""
    THROTTLED = "throttled"
    """Never started: a run for the same thing had started within the policy's window."""
    SUPPRESSED = "suppressed"
    """Never started: the rule, or the hour, asked for one informational message only."""


class EventRule(BaseModel):
    """What a tenant wants to happen at an event of a kind; without a rule the leads are informed."""

    model_config = _frozen

    tenant: str
    event_kind: EventKind
    action: EventAction
    policy_id: str | None = None
    """Of the policy that escalates it."""
    urgent: bool = True
    """Whether it may wake people up; one that is not starts no run in the tenant's quiet hours."""

    @property
    def id(self) -> str:
        """How tokens and the audit name the rule."""
        return f"event:{self.event_kind}"


class EventRun(BaseModel):
    """A run as the database stands."""

    model_config = _frozen

    id: str
    tenant: str
    event_kind: EventKind
    request_id: str
    """What it is about."""
    occurrence: str
    """Tells one event from the next of the same kind and request."""
    rule_id: str
    policy: EscalationPolicy | None
    """Pinned; None for a suppressed run that no policy stood behind."""
    action_hash: str
    urgent: bool = True
    """Pinned: whether its messages pass over quiet hours."""
    sla_scale: int = 1
    state: RunState
    version: int = 1
    next_stage: int = 0
    started_at: AwareDatetime
    closes_at: AwareDatetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    ended_by: str | None = None
    reason: str = ""

    def escalation(self) -> EscalationRun:
        """The engine, as far as the run has come; the run must have a policy."""
        if self.policy is None:
            msg = f"run {self.id} has no policy"
            raise ValueError(msg)
        run = EscalationRun(self.policy, self.started_at, self.sla_scale, self.next_stage, "auto-close")
        run.acknowledge(self.acknowledged_at)
        return run


def event_run_id(tenant: str, kind: EventKind, request_id: str, occurrence: str) -> str:
    """The same event always gets the same run, however often it is reported."""
    unique = rfc8785.dumps([tenant, kind.value, request_id, occurrence])
    return f"esc_{hashlib.sha256(unique).hexdigest()[:32]}"


def is_event_run(run_id: str) -> bool:
    """Whether an id names the run of an event, and not a mint request."""
    return run_id.startswith("esc_")


def run_workflow_id(run_id: str) -> str:
    """The id of the workflow that sees a run through."""
    return f"escalation-{run_id}" if is_event_run(run_id) else workflow_id(run_id)


def is_over(kind: EventKind, occurrence: str, status: MintStatus) -> bool:
    """Tell whether what an event was about has passed, seen from the request's state."""
    match kind:
        case EventKind.ANOMALY:
            return status is not MintStatus.ANOMALY
        case EventKind.STALLED:
            return status not in (MintStatus.APPROVED, MintStatus.SUBMITTING)
        case EventKind.SLA_OVERDUE:
            # the occurrence begins with the status in which it stays too long, which may be an end
            return status.value != occurrence.partition(":")[0]
