"""The tables, as SQLModel sees them; the migrations build them, a test compares the two."""

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
from db.models.messages import DeliveryAttemptRow, DeliveryRow, NotificationRow
from db.models.requests import ApprovalRow, CommentRow, MintRequestRow, StageRunRow, TransitionRow
from db.models.submissions import FeeBumpRow, StellarChannelRow, SubmissionAttemptRow, SubmissionRow

__all__ = [
    "ApprovalRow",
    "ApprovalRuleRow",
    "ApproverKeyRow",
    "AuditEventRow",
    "AuditHeadRow",
    "CommentRow",
    "DeliveryAttemptRow",
    "DeliveryRow",
    "DepartmentLeadRow",
    "DepartmentRow",
    "EscalationPolicyRow",
    "FeeBumpRow",
    "MintRequestRow",
    "NotificationChannelRow",
    "NotificationRow",
    "StageRunRow",
    "StellarChannelRow",
    "SubmissionAttemptRow",
    "SubmissionRow",
    "TenantDefaultRow",
    "TenantRow",
    "TopicRow",
    "TransitionRow",
    "UserRow",
    "UserTopicRow",
    "metadata",
]
