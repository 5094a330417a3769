"""What travels between the workflow and its activities: names, arguments, answers.

Kept small: every answer is written into the request's Temporal history.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.ack import AckOutcome
from domain.approvals import Approval, ApprovalRule, DecisionOutcome, RefusalReason, Verdict
from domain.escalation import EscalationPolicy
from domain.evidence import LedgerEvidence
from domain.mint_request import MintRequest, MintStatus
from domain.records import RequestRecord
from domain.run_steps import RunStanding
from domain.submission import SubmissionResult
from domain.text import PlainText, UserName
from domain.weighing import Finding

OPEN: Final = "open_request"
DECIDE: Final = "decide"
RUN_STAGE: Final = "run_stage"
EXPIRE: Final = "expire"
ASSIGN: Final = "assign"
COMMENT: Final = "comment"
ACKNOWLEDGE: Final = "acknowledge"
SUBMIT: Final = "submit"
SETTLE: Final = "settle"
AUDIT_PENDING: Final = "audit_pending"
INSPECT: Final = "inspect"
RAISE_EVENT: Final = "raise_event"
OPEN_RUN: Final = "open_run"
RUN_EVENT_STAGE: Final = "run_event_stage"
CLOSE_RUN: Final = "close_run"
COMMAND: Final = "command_escalation"
READ_STANDING: Final = "read_standing"
SLA_CHECK: Final = "sla_check"
SLA_ALERT: Final = "sla_alert"
AUTO_ASSIGN: Final = "auto_assign_unclaimed"
TELL_ASSIGNED: Final = "tell_assigned"
CLEANUP_CODES: Final = "cleanup_expired_otps"
CLEANUP_UPLOADS: Final = "cleanup_stale_uploads"

MINT_QUEUE: Final = "mint"
STELLAR_QUEUE: Final = "stellar"
NOTIFICATIONS_QUEUE: Final = "notifications"
MAINTENANCE_QUEUE: Final = "maintenance"
UPLOADS_QUEUE: Final = "uploads"
QUEUES: Final = (MINT_QUEUE, STELLAR_QUEUE, NOTIFICATIONS_QUEUE, MAINTENANCE_QUEUE, UPLOADS_QUEUE)

_frozen = ConfigDict(frozen=True)


class MintOrder(BaseModel):
    """Input of the workflow: the request with its policy and rule pinned, so that history says it all."""

    model_config = _frozen

    request: MintRequest
    policy: EscalationPolicy
    rule: ApprovalRule
    sla_scale: int = 1
    created_at: AwareDatetime | None = None
    """Set when a lost workflow is started again; otherwise the workflow's own start time counts."""


class Standing(BaseModel):
    """How far a request has come, as an activity answers it to the workflow."""

    model_config = _frozen

    status: MintStatus
    approvals: tuple[Approval, ...] = ()
    granted_tiers: tuple[int, ...] = ()
    next_stage: int = 0
    escalation_level: int = 0
    assignee: str | None = None
    last_activity_at: AwareDatetime
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None
    """Since when somebody is on it, which holds the stages back."""
    escalation_cancelled_at: AwareDatetime | None = None
    """Since when no further stage runs."""
    reason: str = ""
    hash: str = ""
    """Of the stored submission, if there is one."""
    ledger: int | None = None
    """In which the payment was found, if it was."""

    @classmethod
    def of(cls, record: RequestRecord) -> Standing:
        """Cut a record down to what the workflow needs."""
        shared = record.model_dump(include=set(cls.model_fields))
        return cls(
            **shared,
            hash=record.submission.hash if record.submission else "",
            ledger=record.result.ledger if record.result else None,
        )


class OpenStep(BaseModel):
    """Write the request as PENDING, or find how far it has come already."""

    model_config = _frozen

    order: MintOrder
    created_at: AwareDatetime
    expires_at: AwareDatetime
    run_id: str


class DecideStep(BaseModel):
    """Verify a signed decision and let it take effect, or record why not."""

    model_config = _frozen

    request_id: str
    tenant: str
    signed: Any
    """As it came, in whatever shape: a `SignedDecision` if the sender was honest."""
    expected: tuple[Verdict, ...]
    """What the message's name allows: an approval must not travel as a cancel."""
    withheld_tiers: tuple[int, ...] = ()
    """Tiers of a stage that was begun ahead of its due time: they may not decide before it."""
    closed: RefusalReason | None = None
    """Set when the workflow itself refuses (over, or too late): then it is only recorded."""
    at: AwareDatetime
    """Workflow time at which the decision is processed; the deadline is judged against it."""


class DecideAnswer(BaseModel):
    """The outcome for the sender, and the request as it stands now."""

    model_config = _frozen

    outcome: DecisionOutcome
    standing: Standing


class StageStep(BaseModel):
    """Run one stage: notify its channels, grant its tier."""

    model_config = _frozen

    request_id: str
    stage: int
    due_at: AwareDatetime
    at: AwareDatetime


class ExpireStep(BaseModel):
    """Close a request whose time is over."""

    model_config = _frozen

    request_id: str
    at: AwareDatetime


class AssignStep(BaseModel):
    """Claim (`assignee` is the actor), assign, or release (`assignee` is None)."""

    model_config = _frozen

    request_id: str
    verb: str
    assignee: str | None
    actor: str
    at: AwareDatetime
    step: str


class CommentStep(BaseModel):
    """Add a comment."""

    model_config = _frozen

    request_id: str
    author: str
    text: str
    comment_id: str
    at: AwareDatetime


class AckStep(BaseModel):
    """Verify an acknowledgement and let it hold the stages back, or record why not."""

    model_config = _frozen

    request_id: str
    tenant: str
    signed: Any
    """As it came, in whatever shape: the token's DSSE envelope if the sender was honest."""
    run_id: str | None = None
    """The run of an operational event; None: the request's own."""
    at: AwareDatetime


class AckAnswer(BaseModel):
    """The outcome for the sender, and how the request or the event's run stands now."""

    model_config = _frozen

    outcome: AckOutcome
    standing: Standing | None = None
    run: RunStanding | None = None


class CommandStep(BaseModel):
    """Verify a signed command to a run (a request's own, or an event's) and carry it out."""

    model_config = _frozen

    run_id: str
    tenant: str
    signed: Any
    """As it came, in whatever shape: the command's DSSE envelope if the sender was honest."""
    at: AwareDatetime


class CommandOutcome(BaseModel):
    """The answer to a signed command; a refusal is an answer too."""

    model_config = _frozen

    accepted: bool
    message: str
    reason: str = ""
    """Why not, as a code; empty when it was carried out."""


class CommandAnswer(BaseModel):
    """The outcome for the sender, and how the request or the event's run stands now."""

    model_config = _frozen

    outcome: CommandOutcome
    standing: Standing | None = None
    run: RunStanding | None = None


class AssignMessage(BaseModel):
    """Argument of the updates `claim`, `release` and `assign`: who, by whom."""

    model_config = _frozen

    actor: UserName
    assignee: UserName | None = None
    message_id: Annotated[str, Field(min_length=1, max_length=64)]


class CommentMessage(BaseModel):
    """Argument of the signal `comment`."""

    model_config = _frozen

    author: UserName
    text: PlainText
    comment_id: Annotated[str, Field(min_length=1, max_length=64)]


class MintResult(BaseModel):
    """How a request ended: the result of its workflow."""

    model_config = _frozen

    id: str
    status: MintStatus
    reason: str = ""
    hash: str = ""
    ledger: int | None = None


class SubmitStep(BaseModel):
    """Pre-check, reserve, sign once, store, send: each only if not done before."""

    model_config = _frozen

    request_id: str


class SubmitAnswer(BaseModel):
    """SUBMITTING with the stored envelope's identity, or FAILED before anything was signed."""

    model_config = _frozen

    status: MintStatus
    reason: str = ""
    hash: str = ""
    channel: str = ""
    sequence: int = 0
    max_time: int = 0
    result: SubmissionResult | None = None
    """Set when the ledger decided at once; `status` is then the request's end (or ANOMALY)."""


class InspectStep(BaseModel):
    """Look at the ledger now, for a request with a stored submission; changes nothing but the audit."""

    model_config = _frozen

    request_id: str


class Inspection(BaseModel):
    """What was seen, and what that supports."""

    model_config = _frozen

    finding: Finding
    sha256: str
    """Of the evidence, as the audit chain keeps it."""
    evidence: LedgerEvidence


class RequestView(BaseModel):
    """Answer of the query `view`: the request as its workflow sees it."""

    model_config = _frozen

    id: str
    track_number: str
    summary: str
    status: MintStatus
    digest: str
    approvals: tuple[Approval, ...]
    missing_approvals: int
    missing_tier: int | None
    eligible_tiers: tuple[int, ...]
    escalation_level: int
    assignee: str | None
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None
    created_at: AwareDatetime
    expires_at: AwareDatetime
    next_timer: dict[str, Any] | None
    submission: SubmitAnswer | None
    reason: str
