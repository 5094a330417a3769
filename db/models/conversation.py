"""What people say and hand in about a request, and the codes that let them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field

from db.models.base import Moment, Table


class CommentRow(Table, table=True):
    """A message of the conversation: what somebody said about a request."""

    __tablename__ = "comments"
    __table_args__ = (
        CheckConstraint("length(text) BETWEEN 1 AND 2000", name="comments_text"),
        CheckConstraint("author_kind IN ('CLIENT', 'ADMIN_USER')", name="comments_author_kind"),
        Index("comments_by_request", "request_id"),
    )

    id: str = Field(primary_key=True)
    request_id: str = Field(foreign_key="mint_requests.id")
    author: str
    author_kind: str = Field(sa_column_kwargs={"server_default": text("'ADMIN_USER'")})
    text: str
    at: datetime = Field(sa_type=Moment)


class AttachmentRow(Table, table=True):
    """A document of a request: announced (`pending`), then complete (`stored`)."""

    __tablename__ = "attachments"
    __table_args__ = (
        CheckConstraint("id ~ '^att_[0-9A-Z]{26}$'", name="attachments_id"),
        CheckConstraint("author_kind IN ('CLIENT', 'ADMIN_USER')", name="attachments_author_kind"),
        CheckConstraint("length(filename) BETWEEN 1 AND 200", name="attachments_filename"),
        CheckConstraint("size > 0", name="attachments_size"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="attachments_sha256"),
        CheckConstraint("state IN ('pending', 'stored')", name="attachments_state"),
        CheckConstraint(
            "(state = 'stored') = (stored_at IS NOT NULL) AND (state <> 'stored' OR sha256 IS NOT NULL)",
            name="attachments_stored",
        ),
        Index("attachments_by_request", "request_id"),
        Index("attachments_stale", "created_at", postgresql_where=text("state = 'pending'")),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    request_id: str = Field(foreign_key="mint_requests.id")
    author: str
    author_kind: str
    filename: str
    content_type: str
    size: int = Field(sa_type=BigInteger)
    """Bytes, as announced; what is stored has exactly so many."""
    sha256: str | None
    """Of the bytes; while pending what was announced, if anything was."""
    state: str
    storage_key: str
    created_at: datetime = Field(sa_type=Moment)
    stored_at: datetime | None = Field(sa_type=Moment)


class OneTimeCodeRow(Table, table=True):
    """A six-digit code that was sent to somebody; only its keyed hash is kept."""

    __tablename__ = "one_time_codes"
    __table_args__ = (
        CheckConstraint("purpose IN ('track', 'step-up')", name="one_time_codes_purpose"),
        CheckConstraint("code_hash ~ '^[0-9a-f]{64}$'", name="one_time_codes_hash"),
        CheckConstraint("tries BETWEEN 0 AND 5", name="one_time_codes_tries"),
        Index("one_time_codes_of", "request_id", "purpose", "recipient", "created_at"),
        Index("one_time_codes_expired", "expires_at"),
    )

    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenants.code")
    request_id: str = Field(foreign_key="mint_requests.id")
    purpose: str
    recipient: str
    code_hash: str
    tries: int = Field(sa_column_kwargs={"server_default": text("0")})
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(sa_type=Moment)
    decision_id: str | None
    """The one decision that a used step-up code stands for."""
