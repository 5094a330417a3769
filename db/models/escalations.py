"""Runs of operational events, the rules that start them, and commands signed by people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import Moment, Table


class EventRuleRow(Table, table=True):
    """What an operational event of a kind leads to."""

    __tablename__ = "event_rules"
    __table_args__ = (
        CheckConstraint(
            "event_kind IN ('request.anomaly', 'submission.stalled', 'sla.overdue')", name="event_rules_kind"
        ),
        CheckConstraint("action IN ('escalate', 'inform', 'ignore')", name="event_rules_action"),
        CheckConstraint("(policy_id IS NOT NULL) = (action = 'escalate')", name="event_rules_policy"),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    event_kind: str = Field(primary_key=True)
    action: str
    policy_id: str | None = Field(foreign_key="escalation_policies.id")
    urgent: bool


class EscalationRunRow(Table, table=True):
    """One run for an operational event; a mint request's own run lives in its row of `mint_requests`."""

    __tablename__ = "escalation_runs"
    __table_args__ = (
        UniqueConstraint("tenant", "event_kind", "request_id", "occurrence", name="escalation_runs_once"),
        CheckConstraint("id ~ '^esc_[0-9a-f]{32}$'", name="escalation_runs_id"),
        CheckConstraint("action_hash ~ '^[0-9a-f]{64}$'", name="escalation_runs_hash"),
        CheckConstraint(
            "state IN ('running', 'cancelled', 'closed', 'resolved', 'throttled', 'suppressed')",
            name="escalation_runs_state",
        ),
        CheckConstraint("sla_scale >= 1 AND version >= 1 AND next_stage >= 0", name="escalation_runs_scale"),
        CheckConstraint(
            "state = 'suppressed' OR (policy_id IS NOT NULL AND closes_at IS NOT NULL)",
            name="escalation_runs_policy",
        ),
        CheckConstraint(
            "(acknowledged_by IS NULL) = (acknowledged_at IS NULL)", name="escalation_runs_acknowledged"
        ),
        CheckConstraint(
            "(ended_at IS NULL) = (state = 'running') AND (ended_at IS NULL) = (ended_by IS NULL)",
            name="escalation_runs_ended",
        ),
        Index("escalation_runs_running", "tenant", "started_at", postgresql_where=text("ended_at IS NULL")),
        Index("escalation_runs_alike", "action_hash", "started_at"),
        Index("escalation_runs_by_request", "request_id"),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    event_kind: str
    request_id: str = Field(foreign_key="mint_requests.id")
    occurrence: str
    rule_id: str
    policy_id: str | None = Field(foreign_key="escalation_policies.id")
    action_hash: str
    urgent: bool = Field(sa_column_kwargs={"server_default": text("true")})
    """As its rule said when it started."""
    sla_scale: int
    state: str
    version: int
    next_stage: int
    started_at: datetime = Field(sa_type=Moment)
    closes_at: datetime | None = Field(sa_type=Moment)
    acknowledged_by: str | None
    acknowledged_at: datetime | None = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)
    ended_by: str | None
    reason: str


class EscalationStageRunRow(Table, table=True):
    """A stage of such a run; `routed` is false when nobody could be reached."""

    __tablename__ = "escalation_stage_runs"
    __table_args__ = (CheckConstraint("stage >= 0", name="escalation_stage_runs_stage"),)

    run_id: str = Field(primary_key=True, foreign_key="escalation_runs.id")
    stage: int = Field(primary_key=True)
    due_at: datetime = Field(sa_type=Moment)
    ran_at: datetime = Field(sa_type=Moment)
    routed: bool


class SignedCommandRow(Table, table=True):
    """A command that came over HTTP with its author's signature; the id makes it good for once only."""

    __tablename__ = "signed_commands"

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    actor: str
    action: str
    envelope: dict[str, Any] = Field(sa_type=JSONB)
    at: datetime = Field(sa_type=Moment)
