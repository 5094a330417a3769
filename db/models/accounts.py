"""How people sign in, and the keys by which the server vouches for what they did."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from db.models.base import Moment, Table, Texts


class AccountRow(Table, table=True):
    """What a user signs in with."""

    __tablename__ = "accounts"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
        UniqueConstraint("tenant", "oidc_issuer", "oidc_subject", name="accounts_oidc_one_person"),
        CheckConstraint("(oidc_issuer IS NULL) = (oidc_subject IS NULL)", name="accounts_oidc"),
        CheckConstraint("totp_secret IS NOT NULL OR totp_confirmed_at IS NULL", name="accounts_totp"),
    )

    tenant: str = Field(primary_key=True)
    user_name: str = Field(primary_key=True)
    password_hash: str | None
    """Argon2id."""
    totp_secret: str | None
    """Encrypted under the session secret."""
    totp_confirmed_at: datetime | None = Field(sa_type=Moment)
    """When a first right code proved that the user has it; before, it counts for nothing."""
    totp_last_step: int | None = Field(sa_type=BigInteger)
    """Time step of the newest code that was used: none is good twice."""
    oidc_issuer: str | None
    oidc_subject: str | None
    created_at: datetime = Field(sa_type=Moment)


class SessionRow(Table, table=True):
    """A browser that is signed in, or an API token."""

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
        UniqueConstraint("token_sha256", name="sessions_token"),
        CheckConstraint("kind IN ('browser', 'token')", name="sessions_kind"),
        CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name="sessions_token_hash"),
        Index("sessions_of_user", "tenant", "user_name"),
    )

    id: str = Field(primary_key=True)
    tenant: str
    user_name: str
    kind: str
    label: str = Field(sa_column_kwargs={"server_default": text("''")})
    token_sha256: str
    amr: list[str] = Field(sa_type=Texts)
    created_at: datetime = Field(sa_type=Moment)
    last_seen_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)


class InvitationRow(Table, table=True):
    """A link by which a user chooses a password, once."""

    __tablename__ = "invitations"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_name"], ["users.tenant", "users.name"]),
        CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name="invitations_token_hash"),
    )

    token_sha256: str = Field(primary_key=True)
    tenant: str
    user_name: str
    created_by: str
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(sa_type=Moment)


class SignInTryRow(Table, table=True):
    """A try to sign in that has not been right; written before it is looked at."""

    __tablename__ = "sign_in_tries"
    __table_args__ = (
        Index("sign_in_tries_of_account", "account", "at"),
        Index("sign_in_tries_of_address", "address", "at"),
    )

    id: str = Field(primary_key=True)
    account: str
    address: str
    at: datetime = Field(sa_type=Moment)


class AuthorityKeyRow(Table, table=True):
    """A public key of the server's authority that has vouched for a decision of the tenant."""

    __tablename__ = "authority_keys"
    __table_args__ = (CheckConstraint("octet_length(public_key) = 32", name="authority_keys_ed25519"),)

    tenant: str = Field(primary_key=True, foreign_key="tenants.code")
    key_id: str = Field(primary_key=True)
    public_key: bytes
    registered_at: datetime = Field(sa_type=Moment)
