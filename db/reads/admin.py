"""What the admin panel shows beside the dictionaries: accounts, keys, deliveries that need somebody."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction
from domain.approvals import ActorRole
from domain.records import DeliveryState

MOST_LISTED = 200

_ACCOUNTS = text("""
SELECT u.name, u.roles, u.tier, u.active, u.email IS NOT NULL AS has_email,
    coalesce(a.password_hash IS NOT NULL, false) AS has_password,
    coalesce(a.totp_confirmed_at IS NOT NULL, false) AS has_totp,
    coalesce(a.oidc_subject IS NOT NULL, false) AS has_oidc,
    (SELECT count(*) FROM sessions s WHERE s.tenant = u.tenant AND s.user_name = u.name
        AND s.ended_at IS NULL AND s.expires_at > :now) AS sessions,
    (SELECT count(*) FROM approver_keys k WHERE k.tenant = u.tenant AND k.user_name = u.name
        AND k.revoked_at IS NULL) AS keys,
    EXISTS (SELECT 1 FROM invitations i WHERE i.tenant = u.tenant AND i.user_name = u.name
        AND i.used_at IS NULL AND i.expires_at > :now) AS invited
FROM users u LEFT JOIN accounts a ON a.tenant = u.tenant AND a.user_name = u.name
WHERE u.tenant = :tenant AND (CAST(:name AS varchar) IS NULL OR u.name = :name)
ORDER BY u.active DESC, u.name
""")
_KEYS = text("""
SELECT user_name AS holder, key_id, registered_at, revoked_at FROM approver_keys
WHERE tenant = :tenant AND (CAST(:name AS varchar) IS NULL OR user_name = :name)
ORDER BY user_name, registered_at, key_id
""")
_AUTHORITY_KEYS = text("""
SELECT key_id, registered_at FROM authority_keys WHERE tenant = :tenant ORDER BY registered_at, key_id
""")
_TROUBLED = text("""
SELECT d.id, d.request_id, r.track_number, d.kind, d.channel, d.recipient, d.state, d.attempt, d.due_at,
    d.next_attempt_at, d.error
FROM deliveries d JOIN mint_requests r ON r.id = d.request_id
WHERE d.tenant = :tenant AND d.state IN ('dead', 'failed', 'ambiguous')
ORDER BY d.state <> 'dead', d.due_at DESC, d.id LIMIT :limit
""")
_DEAD = text("SELECT count(*) FROM deliveries WHERE tenant = :tenant AND state = 'dead'")
# what quiet hours or a full bucket held back is not late, hence the later of all moments it was due
_LATENESS = text("""
SELECT channel, count(*) AS sent,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY late) AS median,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY late) AS slow, max(late) AS slowest
FROM (SELECT channel, extract(epoch FROM accepted_at - greatest(due_at, deferred_until, slot_at)) AS late
    FROM deliveries WHERE tenant = :tenant AND accepted_at > :since) AS sent
GROUP BY channel ORDER BY channel
""")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class AccountLine(_View):
    """A user and what there is to sign in with; `keys` and `sessions` are how many are valid."""

    name: str
    roles: tuple[ActorRole, ...]
    tier: int | None
    active: bool
    has_email: bool
    has_password: bool
    has_totp: bool
    has_oidc: bool
    sessions: int
    keys: int
    invited: bool
    """An invitation waits to be used."""


class KeyView(_View):
    """A key that signs, or has signed, for a user."""

    holder: str
    key_id: str
    registered_at: AwareDatetime
    revoked_at: AwareDatetime | None


class AuthorityKeyView(_View):
    """A key of the server that the tenant's audit chain knows."""

    key_id: str
    registered_at: AwareDatetime


class TroubledDelivery(_View):
    """A message that was given up, or is tried again."""

    id: str
    request_id: str
    track_number: str
    kind: str
    channel: str
    recipient: str
    state: DeliveryState
    attempt: int
    due_at: AwareDatetime
    next_attempt_at: AwareDatetime | None
    error: str


class Lateness(_View):
    """How long after they were due a channel's messages were taken by the provider, in seconds."""

    channel: str
    sent: int
    median: float
    slow: float
    """19 of 20 were no later."""
    slowest: float


async def account_lines(
    tx: Transaction, tenant: str, now: datetime, name: str | None = None
) -> list[AccountLine]:
    """The users of a tenant (or one of them) with what they sign in with, the active ones first."""
    rows = await tx.rows(_ACCOUNTS, {"tenant": tenant, "now": now, "name": name})
    return [AccountLine(**row._asdict()) for row in rows]


async def approver_keys(tx: Transaction, tenant: str, name: str | None = None) -> list[KeyView]:
    """The keys of a tenant's users, or of one of them, those that are revoked included."""
    return [KeyView(**row._asdict()) for row in await tx.rows(_KEYS, {"tenant": tenant, "name": name})]


async def authority_keys(tx: Transaction, tenant: str) -> list[AuthorityKeyView]:
    """The server's keys that the tenant's audit chain knows, the oldest first."""
    return [AuthorityKeyView(**row._asdict()) for row in await tx.rows(_AUTHORITY_KEYS, {"tenant": tenant})]


async def troubled_deliveries(tx: Transaction, tenant: str) -> list[TroubledDelivery]:
    """Messages that are dead, then those that are tried again, the newest first, at most MOST_LISTED."""
    rows = await tx.rows(_TROUBLED, {"tenant": tenant, "limit": MOST_LISTED})
    return [TroubledDelivery(**row._asdict()) for row in rows]


async def dead_deliveries(tx: Transaction, tenant: str) -> int:
    """How many messages were given up."""
    return int(await tx.value(_DEAD, {"tenant": tenant}) or 0)


async def lateness(tx: Transaction, tenant: str, since: datetime) -> list[Lateness]:
    """How late the messages were that went out since then, by channel."""
    rows = await tx.rows(_LATENESS, {"tenant": tenant, "since": since})
    return [Lateness(**row._asdict()) for row in rows]
