"""The tables, as SQLModel sees them; the migrations build them, a test compares the two."""

from db.models.acks import AckHandleRow, AckRow
from db.models.audit import AuditEventRow, AuditHeadRow
from db.models.base import metadata
from db.models.dictionaries import (
    ApprovalRuleRow,
    ApproverKeyRow,
    DepartmentLeadRow,
    DepartmentRow,
    EscalationPolicyRow,
    NotificationChannelRow,
    TenantDefaultRow,
    TenantRow,
    TopicRow,
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
from db.models.requests import ApprovalRow, CommentRow, MintRequestRow, StageRunRow, TransitionRow
from db.models.submissions import FeeBumpRow, StellarChannelRow, SubmissionAttemptRow, SubmissionRow

__all__ = [
    "AckHandleRow",
    "AckRow",
    "ApprovalRow",
    "ApprovalRuleRow",
    "ApproverKeyRow",
    "AuditEventRow",
    "AuditHeadRow",
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
    "LedgerOptionsRow",
    "MintRequestRow",
    "NotificationChannelRow",
    "NotificationRow",
    "ProviderReceiptRow",
    "SignedCommandRow",
    "StageRunRow",
    "StellarChannelRow",
    "SubmissionAttemptRow",
    "SubmissionRow",
    "TenantDefaultRow",
    "TenantRow",
    "TicketRow",
    "TopicRow",
    "TransitionRow",
    "UserRow",
    "UserTopicRow",
    "metadata",
]
