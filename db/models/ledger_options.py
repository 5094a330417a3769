"""What a tenant allows on the ledger, and tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.models.base import Moment, Table, Texts


class LedgerOptionsRow(Table, table=True):
    """A tenant's options; without a row everything is off."""

    __tablename__ = "ledger_options"
    __table_args__ = (CheckConstraint("reclaim_after_days BETWEEN 1 AND 3650", name="ledger_options_days"),)

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    auth_sandwich: bool
    claimable_balance: bool
    reclaim_after_days: int
    one_shot_ticket: bool


class TicketRow(Table, table=True):
    """The one transaction that places a request's ticket; `removed_by` took a left-behind one away."""

    __tablename__ = "tickets"
    __table_args__ = (
        UniqueConstraint("hash", name="tickets_hash"),
        CheckConstraint("hash ~ '^[0-9a-f]{64}$'", name="tickets_hash_hex"),
        CheckConstraint("sequence > 0 AND max_time > 0", name="tickets_bounds"),
        CheckConstraint("outcome IN ('PLACED', 'FAILED', 'NEVER_LANDED', 'LOST')", name="tickets_outcome"),
        CheckConstraint(
            "(outcome IS NULL) = (proof IS NULL) AND (outcome IS NULL) = (reason IS NULL)"
            " AND (outcome IS NULL) = (concluded_at IS NULL)",
            name="tickets_proved",
        ),
        CheckConstraint("removed_by IS NULL OR outcome = 'PLACED'", name="tickets_removed"),
        Index(
            "tickets_sequence_used_once",
            "channel",
            "sequence",
            unique=True,
            postgresql_where=text("outcome IS NULL OR outcome <> 'NEVER_LANDED'"),
        ),
    )

    request_id: str = Field(primary_key=True, foreign_key="mint_requests.id")
    hash: str
    channel: str = Field(foreign_key="stellar_channels.account")
    sequence: int = Field(sa_type=BigInteger)
    max_time: int = Field(sa_type=BigInteger)
    envelope_xdr: str
    signed_at_ledger: int = Field(sa_type=BigInteger)
    removes: list[str] = Field(sa_type=Texts)
    stored_at: datetime = Field(sa_type=Moment)
    removed_by: str | None = Field(foreign_key="mint_requests.id")
    outcome: str | None
    reason: str | None
    proof: dict[str, Any] | None = Field(sa_type=JSONB)
    concluded_at: datetime | None = Field(sa_type=Moment)
