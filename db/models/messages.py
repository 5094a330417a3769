"""The outbox and what came of it: deliveries, their attempts, in-app notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import Moment, Table


class DeliveryRow(Table, table=True):
    """One message to one recipient over one channel; its id is the hash of what makes it unique."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("id ~ '^[0-9a-f]{64}$'", name="deliveries_id"),
        CheckConstraint(
            "channel_kind IN ('in-app', 'slack', 'email', 'telegram', 'console')",
            name="deliveries_channel_kind",
        ),
        CheckConstraint(
            "state IN ('pending', 'sending', 'accepted', 'failed', 'ambiguous', 'dead', 'skipped')",
            name="deliveries_state",
        ),
        CheckConstraint(
            "attempt >= 0 AND max_attempts >= 1 AND backoff_seconds >= 0", name="deliveries_attempts"
        ),
        CheckConstraint(
            "(next_attempt_at IS NOT NULL) = (state IN ('pending', 'failed', 'ambiguous'))",
            name="deliveries_next",
        ),
        CheckConstraint("(lease_until IS NOT NULL) = (state = 'sending')", name="deliveries_lease"),
        CheckConstraint("(accepted_at IS NOT NULL) = (state = 'accepted')", name="deliveries_accepted"),
        Index("deliveries_by_request", "request_id"),
        Index("deliveries_due", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
        Index("deliveries_leased", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    request_id: str = Field(foreign_key="mint_requests.id")
    kind: str
    stage: int | None
    channel: str
    channel_kind: str
    target: str
    recipient: str
    time_zone: str
    facts: dict[str, Any] = Field(sa_type=JSONB)
    state: str
    attempt: int
    max_attempts: int
    backoff_seconds: int
    due_at: datetime = Field(sa_type=Moment)
    next_attempt_at: datetime | None = Field(sa_type=Moment)
    lease_until: datetime | None = Field(sa_type=Moment)
    accepted_at: datetime | None = Field(sa_type=Moment)
    provider_id: str
    note: str
    error: str


class DeliveryAttemptRow(Table, table=True):
    """One try of a delivery; without an outcome it is still under way, or its answer was lost."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('accepted', 'failed', 'ambiguous', 'dead', 'skipped')",
            name="delivery_attempts_outcome",
        ),
    )

    delivery_id: str = Field(primary_key=True, foreign_key="deliveries.id")
    attempt: int = Field(primary_key=True)
    started_at: datetime = Field(sa_type=Moment)
    outcome: str | None
    detail: str


class NotificationRow(Table, table=True):
    """An in-app message; its id is the delivery's."""

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint("recipient_kind IN ('CLIENT', 'ADMIN_USER')", name="notifications_recipient_kind"),
        Index("notifications_by_recipient", "tenant", "recipient", "created_at"),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    request_id: str = Field(foreign_key="mint_requests.id")
    recipient_kind: str
    recipient: str
    event: str
    body: str
    created_at: datetime = Field(sa_type=Moment)
    read_at: datetime | None = Field(sa_type=Moment)
