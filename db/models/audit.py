"""The audit chain of each tenant and its head."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from db.models.base import Moment, Table


class AuditHeadRow(Table, table=True):
    """The newest link of a tenant's chain; locking it serialises the tenant's appends."""

    __tablename__ = "audit_heads"
    __table_args__ = (CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name="audit_heads_hash"),)

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    seq: int = Field(sa_type=BigInteger)
    hash: str


class AuditEventRow(Table, table=True):
    """One link; (request, step) is the idempotency key of every step."""

    __tablename__ = "audit_events"
    __table_args__ = (
        UniqueConstraint("request_id", "step", name="audit_events_step_once"),
        CheckConstraint("step IS NULL OR request_id IS NOT NULL", name="audit_events_step_of_request"),
        Index("audit_events_cancelled", "request_id", postgresql_where=text("kind = 'escalation.cancelled'")),
    )

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    prev_hash: str
    hash: str
    request_id: str | None = Field(foreign_key="mint_requests.id")
    step: str | None
    kind: str
    actor: str
    at: datetime = Field(sa_type=Moment)
    body: str
