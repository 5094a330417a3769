"""Tenants, departments, topics, people, keys, rules, policies, channels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import STATUSES, Moment, Table, Texts


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
        ForeignKeyConstraint(["tenant", "calendar"], ["calendars.tenant", "calendars.code"]),
        CheckConstraint("auto_assign_after_hours > 0", name="topics_auto_assign"),
    )

    tenant: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    name: str
    department: str
    active: bool
    calendar: str | None
    """In whose working time the topic's SLA counts; None: the clock always runs."""
    auto_assign_after_hours: int = Field(sa_column_kwargs={"server_default": text("24")})


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
        CheckConstraint("max_load > 0", name="users_max_load"),
        UniqueConstraint("tenant", "slack_user", name="users_slack_one_person"),
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
    working_hours: dict[str, Any] = Field(sa_type=JSONB, sa_column_kwargs={"server_default": text("'{}'")})
    """Per weekday, in `time_zone`; empty: always."""
    max_load: int | None
    """How many open requests the sweep may give them; None: no limit."""
    last_assigned_at: datetime | None = Field(sa_type=Moment)
    slack_user: str | None
    """Their member id in Slack (`U…`), whose buttons they may use."""


class CalendarRow(Table, table=True):
    """Business time: working hours per weekday in a zone, without the holidays of a country."""

    __tablename__ = "calendars"
    __table_args__ = (
        CheckConstraint("subdivision IS NULL OR country IS NOT NULL", name="calendars_subdivision"),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    code: str = Field(primary_key=True)
    name: str
    time_zone: str
    hours: dict[str, Any] = Field(sa_type=JSONB)
    country: str | None
    subdivision: str | None
    holidays: list[str] = Field(sa_type=Texts, sa_column_kwargs={"server_default": text("'{}'")})
    """Further days off, as ISO dates."""


class StatusRow(Table, table=True):
    """How a tenant calls and times a status of the life of a request."""

    __tablename__ = "statuses"
    __table_args__ = (
        CheckConstraint(f"code IN ({STATUSES})", name="statuses_code"),
        CheckConstraint("type IN ('workflow', 'settlement', 'billing')", name="statuses_type"),
        CheckConstraint("sla_hours > 0", name="statuses_sla"),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    code: str = Field(primary_key=True)
    name: str
    type: str
    sla_hours: int | None


class TopicStatusTransitionRow(Table, table=True):
    """How long a request of a topic may take from one status to another."""

    __tablename__ = "topic_status_transitions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "topic_code"], ["topics.tenant", "topics.code"]),
        CheckConstraint("from_status <> to_status", name="topic_status_transitions_differ"),
        CheckConstraint(f"from_status IN ({STATUSES})", name="topic_status_transitions_from"),
        CheckConstraint(f"to_status IN ({STATUSES})", name="topic_status_transitions_to"),
        CheckConstraint("sla_hours > 0", name="topic_status_transitions_sla"),
    )

    tenant: str = Field(primary_key=True)
    topic_code: str = Field(primary_key=True)
    from_status: str = Field(primary_key=True)
    to_status: str = Field(primary_key=True)
    sla_hours: int | None


class AbsenceRow(Table, table=True):
    """A period in which a user is out of office; a delegate acts for them, if they signed for one."""

    __tablename__ = "absences"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
        ForeignKeyConstraint(["tenant", "delegate"], ["users.tenant", "users.name"]),
        CheckConstraint("id ~ '^abs_[0-9A-Z]{26}$'", name="absences_id"),
        CheckConstraint("ends_at >= starts_at", name="absences_period"),
        CheckConstraint(
            "starts_at > '2000-01-01 00:00Z' AND ends_at < '3000-01-01 00:00Z'", name="absences_readable"
        ),
        CheckConstraint("delegate <> user_name", name="absences_somebody_else"),
        CheckConstraint("delegate IS NULL OR envelope IS NOT NULL", name="absences_signed"),
        Index("absences_of_user", "tenant", "user_name", "ends_at"),
        Index(
            "absences_of_delegate",
            "tenant",
            "delegate",
            "ends_at",
            postgresql_where=text("delegate IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    tenant: str
    user_name: str
    starts_at: datetime = Field(sa_type=Moment)
    ends_at: datetime = Field(sa_type=Moment)
    """Moved to the moment at which it was ended early."""
    delegate: str | None
    reason: str
    set_by: str
    set_at: datetime = Field(sa_type=Moment)
    envelope: dict[str, Any] | None = Field(sa_type=JSONB)
    """The signed command that set it."""
    ended_by: str | None
    """Who ended it early."""


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
        CheckConstraint("step_up_above_stroops >= 0", name="approval_rules_step_up"),
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
    step_up_above_stroops: int | None = Field(sa_type=BigInteger)


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
