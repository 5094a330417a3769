"""The tables, as SQLModel sees them; the migrations build them, a test compares the two."""

from db.models.accounts import AccountRow, AuthorityKeyRow, InvitationRow, SessionRow, SignInTryRow
from db.models.acks import AckHandleRow, AckRow
from db.models.audit import AuditEventRow, AuditHeadRow
from db.models.base import metadata
from db.models.conversation import AttachmentRow, CommentRow, OneTimeCodeRow
from db.models.dictionaries import (
    AbsenceRow,
    ApprovalRuleRow,
    ApproverKeyRow,
    CalendarRow,
    DepartmentLeadRow,
    DepartmentRow,
    EscalationPolicyRow,
    NotificationChannelRow,
    StatusRow,
    TenantDefaultRow,
    TenantRow,
    TopicRow,
    TopicStatusTransitionRow,
    UserRow,
    UserTopicRow,
)
from db.models.escalations import (
    EscalationRunRow,
    EscalationStageRunRow,
    EventRuleRow,
    SignedCommandRow,
)
from db.models.ledger_options import LedgerOptionsRow, TicketRow
from db.models.messages import (
    ChannelBucketRow,
    DeliveryAttemptRow,
    DeliveryRow,
    NotificationRow,
    ProviderReceiptRow,
)
from db.models.requests import (
    ApprovalRow,
    MintRequestRow,
    SlaSnapshotRow,
    StageRunRow,
    StayRow,
    TransitionRow,
)
from db.models.submissions import FeeBumpRow, StellarChannelRow, SubmissionAttemptRow, SubmissionRow

__all__ = [
    "AbsenceRow",
    "AccountRow",
    "AckHandleRow",
    "AckRow",
    "ApprovalRow",
    "ApprovalRuleRow",
    "ApproverKeyRow",
    "AttachmentRow",
    "AuditEventRow",
    "AuditHeadRow",
    "AuthorityKeyRow",
    "CalendarRow",
    "ChannelBucketRow",
    "CommentRow",
    "DeliveryAttemptRow",
    "DeliveryRow",
    "DepartmentLeadRow",
    "DepartmentRow",
    "EscalationPolicyRow",
    "EscalationRunRow",
    "EscalationStageRunRow",
    "EventRuleRow",
    "FeeBumpRow",
    "InvitationRow",
    "LedgerOptionsRow",
    "MintRequestRow",
    "NotificationChannelRow",
    "NotificationRow",
    "OneTimeCodeRow",
    "ProviderReceiptRow",
    "SessionRow",
    "SignInTryRow",
    "SignedCommandRow",
    "SlaSnapshotRow",
    "StageRunRow",
    "StatusRow",
    "StayRow",
    "StellarChannelRow",
    "SubmissionAttemptRow",
    "SubmissionRow",
    "TenantDefaultRow",
    "TenantRow",
    "TicketRow",
    "TopicRow",
    "TopicStatusTransitionRow",
    "TransitionRow",
    "UserRow",
    "UserTopicRow",
    "metadata",
]
