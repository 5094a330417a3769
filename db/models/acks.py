"""Acknowledgements, one row a used token."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field

from db.models.base import Moment, Table


class AckRow(Table, table=True):
    """One acknowledgement; of its token only the hash is kept."""

    __tablename__ = "acks"
    __table_args__ = (
        CheckConstraint("jti ~ '^[0-9a-f]{64}$'", name="acks_jti"),
        CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name="acks_token"),
        CheckConstraint("stage >= 0", name="acks_stage"),
    )

    request_id: str = Field(primary_key=True, foreign_key="mint_requests.id")
    jti: str = Field(primary_key=True)
    delivery_id: str = Field(foreign_key="deliveries.id")
    recipient: str
    stage: int
    token_sha256: str
    at: datetime = Field(sa_type=Moment)
    run_id: str | None = Field(foreign_key="escalation_runs.id")
    """Of an operational event; None: the request's own run."""


class AckHandleRow(Table, table=True):
    """A short stand-in for a token, where a provider has no room for one."""

    __tablename__ = "ack_handles"
    __table_args__ = (
        CheckConstraint("length(handle) BETWEEN 16 AND 60", name="ack_handles_short"),
        UniqueConstraint("delivery_id", name="ack_handles_one"),
    )

    handle: str = Field(primary_key=True)
    delivery_id: str = Field(foreign_key="deliveries.id")
    created_at: datetime = Field(sa_type=Moment)
