"""Accounts, sessions and invitations, to look at."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction
from domain.approvals import ActorRole
from domain.sessions import Person, SessionKind

# the user as they are now: who was deactivated or lost a role is not let in any more
_PERSON = text("""
SELECT s.tenant, u.name, u.roles, u.tier, u.time_zone, s.id AS session_id, s.kind, s.amr, s.last_seen_at,
    coalesce(a.totp_confirmed_at IS NOT NULL, false) AS has_totp
FROM sessions s JOIN users u ON u.tenant = s.tenant AND u.name = s.user_name
JOIN tenants t ON t.code = s.tenant
LEFT JOIN accounts a ON a.tenant = s.tenant AND a.user_name = s.user_name
WHERE s.token_sha256 = :token_sha256 AND s.ended_at IS NULL AND s.expires_at > :now
    AND (s.kind = 'token' OR s.last_seen_at > :idle_since) AND u.active AND t.active
""")
_ACCOUNT = text("""
SELECT u.tenant, u.name, u.roles, u.active AND t.active AS active, u.email, a.password_hash, a.totp_secret,
    a.totp_confirmed_at, a.totp_last_step, a.oidc_issuer, a.oidc_subject
FROM users u JOIN tenants t ON t.code = u.tenant
LEFT JOIN accounts a ON a.tenant = u.tenant AND a.user_name = u.name
WHERE u.tenant = :tenant AND u.name = :name
""")
_OF_SUBJECT = text("""
SELECT user_name FROM accounts
WHERE tenant = :tenant AND oidc_issuer = :issuer AND oidc_subject = :subject
""")
_ADMINS = text("""
SELECT t.code AS tenant, count(a.user_name) AS count
FROM tenants t LEFT JOIN users u ON u.tenant = t.code AND u.active AND 'admin' = ANY (u.roles)
LEFT JOIN accounts a ON a.tenant = u.tenant AND a.user_name = u.name
    AND (a.password_hash IS NOT NULL OR a.oidc_subject IS NOT NULL)
WHERE t.active GROUP BY t.code ORDER BY t.code
""")
_CALLED = text("""
SELECT name FROM users
WHERE tenant = :tenant AND (lower(email) = lower(CAST(:email AS varchar)) OR name = CAST(:name AS varchar))
""")
_SESSIONS = text("""
SELECT id, kind, label, amr, created_at, last_seen_at, expires_at, ended_at FROM sessions
WHERE tenant = :tenant AND user_name = :name AND ended_at IS NULL AND expires_at > :now
ORDER BY last_seen_at DESC, id
""")


class Account(BaseModel):
    """A user and what they sign in with; None where there is nothing."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    name: str
    roles: frozenset[ActorRole]
    active: bool
    email: str | None
    password_hash: str | None
    totp_secret: str | None
    totp_confirmed_at: AwareDatetime | None
    totp_last_step: int | None
    oidc_issuer: str | None
    oidc_subject: str | None


class SessionView(BaseModel):
    """A browser or token that may act for its user."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: SessionKind
    label: str
    amr: tuple[str, ...]
    created_at: AwareDatetime
    last_seen_at: AwareDatetime
    expires_at: AwareDatetime
    ended_at: AwareDatetime | None


async def person_of_session(
    tx: Transaction, token_sha256: str, now: datetime, idle_since: datetime
) -> tuple[Person, datetime] | None:
    """Whose session that is, if it lasts, and when it was seen last."""
    params = {"token_sha256": token_sha256, "now": now, "idle_since": idle_since}
    row = await tx.row(_PERSON, params)
    if row is None:
        return None
    facts = row._asdict()
    seen = facts.pop("last_seen_at")
    lists = {"roles": frozenset(row.roles), "amr": tuple(row.amr), "kind": SessionKind(row.kind)}
    return Person(**{**facts, **lists}), seen


async def account(tx: Transaction, tenant: str, name: str) -> Account | None:
    """The user and their account; None: there is no such user."""
    row = await tx.row(_ACCOUNT, {"tenant": tenant, "name": name})
    return None if row is None else Account(**row._asdict())


async def user_of_subject(tx: Transaction, tenant: str, issuer: str, subject: str) -> str | None:
    """The user as whom a person of a provider signs in, or None."""
    name: str | None = await tx.value(_OF_SUBJECT, {"tenant": tenant, "issuer": issuer, "subject": subject})
    return name


async def admins_with_account(tx: Transaction) -> list[tuple[str, int]]:
    """The active tenants, and how many active admins of each can sign in."""
    return [(row.tenant, row.count) for row in await tx.rows(_ADMINS)]


async def users_called(
    tx: Transaction, tenant: str, *, email: str | None = None, name: str | None = None
) -> list[str]:
    """The users of that address, or of that name."""
    rows = await tx.rows(_CALLED, {"tenant": tenant, "email": email, "name": name})
    return [row.name for row in rows]


async def sessions_of(tx: Transaction, tenant: str, name: str, now: datetime) -> list[SessionView]:
    """The sessions and tokens of a user that last, the newest in use first."""
    rows = await tx.rows(_SESSIONS, {"tenant": tenant, "name": name, "now": now})
    return [SessionView(**row._asdict()) for row in rows]
