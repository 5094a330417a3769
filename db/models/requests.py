"""Mint requests, approvals, stage runs, comments, and the table of allowed transitions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import STATUSES, Moment, Numbers, Table

_TERMINAL = "'CONFIRMED', 'FAILED', 'TIMEOUT_FAILED', 'REJECTED', 'CANCELLED', 'EXPIRED'"


class TransitionRow(Table, table=True):
    """One allowed state change; the same table as `domain.mint_request.TRANSITIONS`."""

    __tablename__ = "mint_request_transitions"

    from_status: str = Field(primary_key=True)
    to_status: str = Field(primary_key=True)


class MintRequestRow(Table, table=True):
    """One mint request. Content never changes; the rest moves one version at a time, by a trigger's leave."""

    __tablename__ = "mint_requests"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "topic"], ["topics.tenant", "topics.code"]),
        ForeignKeyConstraint(["tenant", "requester"], ["users.tenant", "users.name"]),
        ForeignKeyConstraint(["tenant", "assignee"], ["users.tenant", "users.name"]),
        UniqueConstraint("resubmission_of", name="mint_requests_resubmitted_once"),
        UniqueConstraint("track_number", name="mint_requests_track_number"),
        CheckConstraint("id ~ '^mr_[0-9A-Z]{26}$'", name="mint_requests_id"),
        CheckConstraint("amount > 0", name="mint_requests_amount"),
        CheckConstraint("destination <> asset_issuer", name="mint_requests_destination"),
        CheckConstraint("length(memo) <= 2000", name="mint_requests_memo"),
        CheckConstraint("digest ~ '^[0-9a-f]{64}$'", name="mint_requests_digest"),
        CheckConstraint("sla_scale >= 1", name="mint_requests_scale"),
        CheckConstraint("expires_at > created_at", name="mint_requests_expiry"),
        CheckConstraint("resubmission_of <> id", name="mint_requests_not_its_own"),
        CheckConstraint(f"status IN ({STATUSES})", name="mint_requests_status"),
        CheckConstraint(f"(ended_at IS NOT NULL) = (status IN ({_TERMINAL}))", name="mint_requests_ended"),
        CheckConstraint(
            "decided_at IS NOT NULL OR status IN ('PENDING', 'EXPIRED')", name="mint_requests_decided"
        ),
        CheckConstraint("decided_at < expires_at", name="mint_requests_decided_in_time"),
        CheckConstraint(
            "(acknowledged_by IS NULL) = (acknowledged_at IS NULL)", name="mint_requests_acknowledged"
        ),
        CheckConstraint("next_stage >= 0 AND escalation_level >= 0", name="mint_requests_stages"),
        CheckConstraint(
            "(escalation_cancelled_by IS NULL) = (escalation_cancelled_at IS NULL)",
            name="mint_requests_escalation_cancelled",
        ),
        CheckConstraint(
            "(assignee IS NULL) = (unassigned_since IS NOT NULL)", name="mint_requests_unassigned"
        ),
        CheckConstraint("(assignee IS NULL) = (assigned_at IS NULL)", name="mint_requests_assigned"),
        CheckConstraint("assignee IS NOT NULL OR NOT assigned_automatically", name="mint_requests_automatic"),
        Index(
            "mint_requests_in_status",
            "tenant",
            "topic",
            "status",
            "sla_scale",
            "status_since",
            postgresql_include=["first_response_at"],
        ),
        Index(
            "mint_requests_responded",
            "tenant",
            "topic",
            postgresql_include=["created_at", "first_response_at", "sla_scale"],
            postgresql_where=text("first_response_at IS NOT NULL"),
        ),
        Index(
            "mint_requests_unassigned_since",
            "tenant",
            "topic",
            "sla_scale",
            "unassigned_since",
            postgresql_where=text("assignee IS NULL AND status = 'PENDING'"),
        ),
        Index(
            "mint_requests_load",
            "tenant",
            "assignee",
            postgresql_where=text("assignee IS NOT NULL AND ended_at IS NULL"),
        ),
        Index(
            "mint_requests_swept",
            "assigned_at",
            postgresql_where=text("assigned_automatically AND ended_at IS NULL"),
        ),
        Index("mint_requests_open", "created_at", postgresql_where=text("ended_at IS NULL")),
        Index("mint_requests_decided", "tenant", "asset_code", "asset_issuer", "decided_at"),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    network_passphrase: str
    asset_code: str
    asset_issuer: str
    amount: int = Field(sa_type=BigInteger)
    destination: str
    topic: str
    requester: str
    memo: str
    resubmission_of: str | None = Field(foreign_key="mint_requests.id")
    ledger_deadline: datetime | None = Field(sa_type=Moment)
    digest: str
    track_number: str
    policy_id: str = Field(foreign_key="escalation_policies.id")
    rule: dict[str, Any] = Field(sa_type=JSONB)
    sla_scale: int
    run_id: str
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    status: str
    status_since: datetime = Field(sa_type=Moment)
    """When it entered its status."""
    version: int
    granted_tiers: list[int] = Field(sa_type=Numbers)
    next_stage: int
    escalation_level: int
    assignee: str | None
    assigned_at: datetime | None = Field(sa_type=Moment)
    assigned_automatically: bool = Field(sa_column_kwargs={"server_default": text("false")})
    """By the sweep, and nobody has claimed it since."""
    unassigned_since: datetime | None = Field(sa_type=Moment)
    first_response_at: datetime | None = Field(sa_type=Moment)
    """First claim, comment by an approver, or decision."""
    last_activity_at: datetime = Field(sa_type=Moment)
    decided_at: datetime | None = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)
    reason: str
    acknowledged_by: str | None
    acknowledged_at: datetime | None = Field(sa_type=Moment)
    escalation_cancelled_by: str | None
    escalation_cancelled_at: datetime | None = Field(sa_type=Moment)


class StayRow(Table, table=True):
    """A stay in a status that is over; a trigger writes it when the request leaves."""

    __tablename__ = "mint_request_stays"
    __table_args__ = (
        Index(
            "mint_request_stays_figures",
            "tenant",
            "topic",
            "status",
            postgresql_include=["sla_scale", "entered_at", "left_at"],
        ),
    )

    request_id: str = Field(primary_key=True, foreign_key="mint_requests.id")
    version: int = Field(primary_key=True)
    """Of the request, with which it left."""
    tenant: str
    topic: str
    status: str
    sla_scale: int
    entered_at: datetime = Field(sa_type=Moment)
    left_at: datetime = Field(sa_type=Moment)


class SlaSnapshotRow(Table, table=True):
    """What `sla_check` found at a moment."""

    __tablename__ = "sla_snapshots"

    at: datetime = Field(primary_key=True, sa_type=Moment)
    body: dict[str, Any] = Field(sa_type=JSONB)


class ApprovalRow(Table, table=True):
    """One accepted approval, with the envelope that proves it."""

    __tablename__ = "approvals"
    __table_args__ = (
        UniqueConstraint("decision_id", name="approvals_decision"),
        CheckConstraint("tier BETWEEN 1 AND 3", name="approvals_tier"),
        CheckConstraint("on_behalf_of <> approver", name="approvals_behalf"),
        # nobody's authority counts twice, whoever uses it
        Index("approvals_one_authority", "request_id", text("coalesce(on_behalf_of, approver)"), unique=True),
    )

    request_id: str = Field(primary_key=True, foreign_key="mint_requests.id")
    approver: str = Field(primary_key=True)
    on_behalf_of: str | None
    """Whose authority was used, if not their own."""
    tier: int
    decision_id: str
    reason: str
    digest: str
    envelope: dict[str, Any] = Field(sa_type=JSONB)
    at: datetime = Field(sa_type=Moment)


class StageRunRow(Table, table=True):
    """A stage that has run; `routed` is false when nobody could be reached."""

    __tablename__ = "stage_runs"
    __table_args__ = (
        CheckConstraint("stage >= 0", name="stage_runs_stage"),
        CheckConstraint("granted_tier BETWEEN 1 AND 3", name="stage_runs_tier"),
    )

    request_id: str = Field(primary_key=True, foreign_key="mint_requests.id")
    stage: int = Field(primary_key=True)
    due_at: datetime = Field(sa_type=Moment)
    ran_at: datetime = Field(sa_type=Moment)
    granted_tier: int | None
    routed: bool
