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
            "channel_kind IN ('in-app', 'slack', 'email', 'telegram', 'pagerduty', 'webhook', 'console')",
            name="deliveries_channel_kind",
        ),
        CheckConstraint(
            "state IN ('pending', 'sending', 'accepted', 'delivered', 'deferred', 'failed', 'ambiguous', "
            "'dead', 'skipped', 'throttled')",
            name="deliveries_state",
        ),
        CheckConstraint(
            "attempt >= 0 AND max_attempts >= 1 AND backoff_seconds >= 0", name="deliveries_attempts"
        ),
        CheckConstraint(
            "(next_attempt_at IS NOT NULL) = (state IN ('pending', 'deferred', 'failed', 'ambiguous'))",
            name="deliveries_next",
        ),
        CheckConstraint("(lease_until IS NOT NULL) = (state = 'sending')", name="deliveries_lease"),
        CheckConstraint(
            "accepted_at IS NOT NULL OR state NOT IN ('accepted', 'delivered')", name="deliveries_accepted"
        ),
        CheckConstraint("delivered_at IS NOT NULL OR state <> 'delivered'", name="deliveries_delivered"),
        CheckConstraint("deferred_until IS NOT NULL OR state <> 'deferred'", name="deliveries_deferred"),
        CheckConstraint("fallback_of <> id", name="deliveries_fallback"),
        CheckConstraint("revise_attempt >= 0", name="deliveries_revised"),
        Index("deliveries_by_request", "request_id"),
        Index("deliveries_due", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
        Index("deliveries_leased", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
        Index("deliveries_by_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        Index(
            "deliveries_digests",
            "provider_id",
            postgresql_where=text("deferred_until IS NOT NULL AND provider_id <> ''"),
        ),
        Index("deliveries_to_revise", "revise_at", postgresql_where=text("revise_at IS NOT NULL")),
        Index(
            "deliveries_merged",
            "deferred_until",
            "recipient",
            postgresql_where=text("deferred_until IS NOT NULL"),
        ),
        Index("deliveries_to_replace", "replace_at", postgresql_where=text("replace_at IS NOT NULL")),
        Index(
            "deliveries_figures",
            "channel",
            "channel_kind",
            "state",
            postgresql_include=["accepted_at", "due_at", "deferred_until"],
            postgresql_where=text("next_attempt_at IS NULL AND lease_until IS NULL"),
        ),
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
    run_id: str | None = Field(foreign_key="escalation_runs.id")
    """The run of an operational event; None: it is about the request itself."""
    deferred_until: datetime | None = Field(sa_type=Moment)
    """Set when quiet hours held it back; stays set afterwards."""
    slot_at: datetime | None = Field(sa_type=Moment)
    """The moment that the channel's token bucket has given it."""
    fallback_of: str | None = Field(foreign_key="deliveries.id")
    delivered_at: datetime | None = Field(sa_type=Moment)
    revise_at: datetime | None = Field(sa_type=Moment)
    """From when on the message at the provider has to be brought up to date; None: it is."""
    revise_lease: datetime | None = Field(sa_type=Moment)
    """Until then somebody is at it."""
    revised_at: datetime | None = Field(sa_type=Moment)
    revise_attempt: int = Field(sa_column_kwargs={"server_default": text("0")})
    ack_revoked_at: datetime | None = Field(sa_type=Moment)
    """Its acknowledgement links are worthless since then."""
    replace_at: datetime | None = Field(sa_type=Moment)
    """Since then it is known to be lost at its provider, and something has to take its place."""


class DeliveryAttemptRow(Table, table=True):
    """One try of a delivery; without an outcome it is still under way, or its answer was lost."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('accepted', 'failed', 'ambiguous', 'dead', 'skipped')",
            name="delivery_attempts_outcome",
        ),
        CheckConstraint("ack_sha256 ~ '^[0-9a-f]{64}$'", name="delivery_attempts_ack"),
    )

    delivery_id: str = Field(primary_key=True, foreign_key="deliveries.id")
    attempt: int = Field(primary_key=True)
    started_at: datetime = Field(sa_type=Moment)
    outcome: str | None
    detail: str
    ack_sha256: str | None
    """SHA-256 of the acknowledgement token that it carried."""


class ProviderReceiptRow(Table, table=True):
    """What a provider reported about a message that it had accepted; each report counts once."""

    __tablename__ = "provider_receipts"
    __table_args__ = (Index("provider_receipts_by_delivery", "delivery_id"),)

    provider: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    delivery_id: str = Field(foreign_key="deliveries.id")
    event: str
    detail: str
    at: datetime = Field(sa_type=Moment)


class ChannelBucketRow(Table, table=True):
    """From when on a rate-limited channel has room for the next message."""

    __tablename__ = "channel_buckets"

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    channel: str = Field(primary_key=True)
    free_at: datetime = Field(sa_type=Moment)


class NotificationRow(Table, table=True):
    """An in-app message; its id is the delivery's."""

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint("recipient_kind IN ('CLIENT', 'ADMIN_USER')", name="notifications_recipient_kind"),
        CheckConstraint(
            "event IN ('MESSAGE', 'ATTACHMENT', 'STATUS', 'SLA_OVERDUE', 'ESCALATION')",
            name="notifications_event",
        ),
        Index("notifications_by_recipient", "tenant", "recipient", "created_at"),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    request_id: str = Field(foreign_key="mint_requests.id")
    recipient_kind: str
    recipient: str
    event: str
    """What it is about, in five words for all."""
    kind: str
    """Of the letter, such as `reminder`."""
    body: str
    created_at: datetime = Field(sa_type=Moment)
    read_at: datetime | None = Field(sa_type=Moment)
