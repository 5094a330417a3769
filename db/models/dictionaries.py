"""Tenants, departments, topics, people, keys, rules, policies, channels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import Moment, Table, Texts


class TenantRow(Table, table=True):
    """A client of the house; everything else belongs to one."""

    __tablename__ = "tenants"
    __table_args__ = (CheckConstraint("code ~ '^[a-z0-9][a-z0-9_-]{0,62}$'", name="tenants_code_plain"),)

    code: str = Field(primary_key=True)
    name: str
    active: bool
    quiet_hours: list[dict[str, Any]] = Field(
        sa_type=JSONB, sa_column_kwargs={"server_default": text("'[]'")}
    )


class DepartmentRow(Table, table=True):
    """Who answers for some topics; its leads hear of stalled requests."""

    __tablename__ = "departments"

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    code: str = Field(primary_key=True)
    name: str
    slack_channel: str | None


class TopicRow(Table, table=True):
    """A desk that requests belong to."""

    __tablename__ = "topics"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "department"], ["departments.tenant", "departments.code"]),
    )

    tenant: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    name: str
    department: str
    active: bool


class UserRow(Table, table=True):
    """A person: requester, approver with a tier, admin or auditor."""

    __tablename__ = "users"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "primary_topic"], ["topics.tenant", "topics.code"]),
        CheckConstraint(
            "roles <@ ARRAY['requester', 'approver', 'admin', 'auditor']::varchar[]", name="users_roles_known"
        ),
        CheckConstraint("tier BETWEEN 1 AND 3", name="users_tier_known"),
        CheckConstraint("tier IS NOT NULL OR NOT 'approver' = ANY (roles)", name="users_approver_has_tier"),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    name: str = Field(primary_key=True)
    roles: list[str] = Field(sa_type=Texts)
    tier: int | None
    active: bool
    email: str | None
    telegram_chat: str | None
    time_zone: str
    primary_topic: str | None
    quiet_hours: list[dict[str, Any]] = Field(
        sa_type=JSONB, sa_column_kwargs={"server_default": text("'[]'")}
    )


class UserTopicRow(Table, table=True):
    """An additional topic of a user."""

    __tablename__ = "user_topics"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
        ForeignKeyConstraint(["tenant", "topic"], ["topics.tenant", "topics.code"]),
    )

    tenant: str = Field(primary_key=True)
    user_name: str = Field(primary_key=True)
    topic: str = Field(primary_key=True)


class DepartmentLeadRow(Table, table=True):
    """A user who hears of stalled and failed requests of a department."""

    __tablename__ = "department_leads"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "department"], ["departments.tenant", "departments.code"]),
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
    )

    tenant: str = Field(primary_key=True)
    department: str = Field(primary_key=True)
    user_name: str = Field(primary_key=True)


class ApproverKeyRow(Table, table=True):
    """A raw Ed25519 public key; one key never belongs to two people."""

    __tablename__ = "approver_keys"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
        UniqueConstraint("tenant", "public_key", name="approver_keys_one_person"),
        CheckConstraint("octet_length(public_key) = 32", name="approver_keys_ed25519"),
    )

    tenant: str = Field(primary_key=True)
    user_name: str = Field(primary_key=True)
    key_id: str = Field(primary_key=True)
    public_key: bytes
    registered_at: datetime = Field(sa_type=Moment)
    revoked_at: datetime | None = Field(sa_type=Moment)


class ApprovalRuleRow(Table, table=True):
    """A line of the tenant's ordered table of approval rules; amounts in stroops."""

    __tablename__ = "approval_rules"
    __table_args__ = (
        CheckConstraint("position >= 0", name="approval_rules_position"),
        CheckConstraint(
            "min_stroops >= 0 AND max_stroops >= greatest(min_stroops, 1)", name="approval_rules_band"
        ),
        CheckConstraint("approvals BETWEEN 1 AND 20", name="approval_rules_approvals"),
        CheckConstraint(
            "min_tier BETWEEN 1 AND 3 AND "
            "(at_least_one_of_tier IS NULL OR at_least_one_of_tier BETWEEN 1 AND 3)",
            name="approval_rules_tiers",
        ),
        CheckConstraint("daily_cap_stroops > 0", name="approval_rules_cap"),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    position: int = Field(primary_key=True)
    asset: str
    min_stroops: int = Field(sa_type=BigInteger)
    max_stroops: int = Field(sa_type=BigInteger)
    approvals: int
    min_tier: int
    at_least_one_of_tier: int | None
    daily_cap_stroops: int | None = Field(sa_type=BigInteger)


class EscalationPolicyRow(Table, table=True):
    """A published policy; a trigger refuses every change but to withdraw it, once."""

    __tablename__ = "escalation_policies"
    __table_args__ = (
        CheckConstraint("content_hash ~ '^[0-9a-f]{64}$'", name="escalation_policies_hash"),
        CheckConstraint("(deleted_at IS NULL) = (deleted_by IS NULL)", name="escalation_policies_deleted"),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    name: str
    content_hash: str
    body: dict[str, Any] = Field(sa_type=JSONB)
    published_at: datetime = Field(sa_type=Moment)
    published_by: str
    deleted_at: datetime | None = Field(sa_type=Moment)
    deleted_by: str | None


class TenantDefaultRow(Table, table=True):
    """Which published policy new requests of a tenant get."""

    __tablename__ = "tenant_defaults"

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    policy_id: str = Field(foreign_key="escalation_policies.id")
    switched_at: datetime = Field(sa_type=Moment)
    switched_by: str


class NotificationChannelRow(Table, table=True):
    """A named way to reach people: a kind and its settings."""

    __tablename__ = "notification_channels"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('in-app', 'slack', 'email', 'telegram', 'pagerduty', 'webhook', 'console')",
            name="notification_channels_kind",
        ),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    name: str = Field(primary_key=True)
    kind: str
    settings: dict[str, Any] = Field(sa_type=JSONB)
