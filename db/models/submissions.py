"""Channel accounts, submissions, fee bumps and submission attempts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import Moment, Table


class StellarChannelRow(Table, table=True):
    """A channel account; at most one request holds it, frozen ones stay with their request.

    `key_index` is its place in the key family, NULL for one whose signer is configured by itself.
    """

    __tablename__ = "stellar_channels"
    __table_args__ = (
        UniqueConstraint("request_id", name="stellar_channels_one_each"),
        UniqueConstraint("key_index", name="stellar_channels_key_index"),
        CheckConstraint("state IN ('PLANNED', 'FREE', 'RESERVED', 'FROZEN')", name="stellar_channels_state"),
        CheckConstraint(
            "(state IN ('PLANNED', 'FREE')) = (request_id IS NULL)", name="stellar_channels_holder"
        ),
        CheckConstraint(
            "key_index >= 0 AND (key_index IS NOT NULL OR state <> 'PLANNED')", name="stellar_channels_family"
        ),
    )

    account: str = Field(primary_key=True)
    state: str
    request_id: str | None = Field(foreign_key="mint_requests.id")
    key_index: int | None


class SubmissionRow(Table, table=True):
    """The one signed envelope of a request; an outcome never comes without its proof."""

    __tablename__ = "submissions"
    __table_args__ = (
        UniqueConstraint("hash", name="submissions_hash"),
        CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name="submissions_hash_hex"),
        CheckConstraint("sequence > 0 AND max_time > 0", name="submissions_bounds"),
        CheckConstraint(
            "outcome IN ('CONFIRMED', 'FAILED', 'TIMEOUT_FAILED', 'ANOMALY')", name="submissions_outcome"
        ),
        CheckConstraint(
            "(outcome IS NULL) = (proof IS NULL) AND (outcome IS NULL) = (outcome_reason IS NULL)"
            " AND (outcome IS NULL) = (concluded_at IS NULL)",
            name="submissions_proved",
        ),
        Index(
            "submissions_sequence_used_once",
            "channel",
            "sequence",
            unique=True,
            postgresql_where=text("outcome IS NULL OR outcome <> 'TIMEOUT_FAILED'"),
        ),
    )

    request_id: str = Field(primary_key=True, foreign_key="mint_requests.id")
    hash: str
    channel: str = Field(foreign_key="stellar_channels.account")
    sequence: int = Field(sa_type=BigInteger)
    max_time: int = Field(sa_type=BigInteger)
    envelope_xdr: str
    signed_at_ledger: int = Field(sa_type=BigInteger)
    plan: dict[str, Any] = Field(sa_type=JSONB)
    stored_at: datetime = Field(sa_type=Moment)
    outcome: str | None
    outcome_reason: str | None
    ledger: int | None = Field(sa_type=BigInteger)
    proof: dict[str, Any] | None = Field(sa_type=JSONB)
    concluded_at: datetime | None = Field(sa_type=Moment)


class FeeBumpRow(Table, table=True):
    """A dearer wrapping of the same inner transaction; `fee` in stroops of the native asset."""

    __tablename__ = "fee_bumps"
    __table_args__ = (
        UniqueConstraint("request_id", "position", name="fee_bumps_order"),
        CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name="fee_bumps_hash_hex"),
        CheckConstraint("fee > 0", name="fee_bumps_fee"),
    )

    hash: str = Field(primary_key=True)
    request_id: str = Field(foreign_key="submissions.request_id")
    position: int
    fee: int = Field(sa_type=BigInteger)
    envelope_xdr: str
    at: datetime = Field(sa_type=Moment)


class SubmissionAttemptRow(Table, table=True):
    """One time the envelope was sent, and what was answered."""

    __tablename__ = "submission_attempts"
    __table_args__ = (Index("submission_attempts_by_request", "request_id"),)

    id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    request_id: str = Field(foreign_key="submissions.request_id")
    hash: str
    answer: str
    detail: str
    at: datetime = Field(sa_type=Moment)
