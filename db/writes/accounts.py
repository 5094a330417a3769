"""Accounts, sessions, invitations and tries to sign in; what changes an account is audited, secrets never."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from db.writes.rows import note, require
from domain.errors import Refused
from domain.sessions import TRIES_WINDOW, SessionKind

KEPT = timedelta(days=1)
"""So long a session that is over stays, for whoever looks into what has just happened."""

_PASSWORD = text("""
INSERT INTO accounts (tenant, user_name, password_hash, created_at) VALUES (:tenant, :name, :hash, :at)
ON CONFLICT (tenant, user_name) DO UPDATE SET password_hash = :hash
""")
_BIND = text("""
INSERT INTO accounts (tenant, user_name, oidc_issuer, oidc_subject, created_at)
VALUES (:tenant, :name, :issuer, :subject, :at)
ON CONFLICT (tenant, user_name) DO UPDATE SET oidc_issuer = :issuer, oidc_subject = :subject
WHERE accounts.oidc_subject IS NULL
RETURNING user_name
""")
_REHASH = text("""
UPDATE accounts SET password_hash = :hash
WHERE tenant = :tenant AND user_name = :name AND password_hash = :old
""")
_TOTP_BEGIN = text("""
INSERT INTO accounts (tenant, user_name, totp_secret, created_at) VALUES (:tenant, :name, :secret, :at)
ON CONFLICT (tenant, user_name) DO UPDATE SET totp_secret = :secret, totp_last_step = NULL
WHERE accounts.totp_confirmed_at IS NULL
RETURNING user_name
""")
_TOTP_CONFIRM = text("""
UPDATE accounts SET totp_confirmed_at = :at, totp_last_step = :step
WHERE tenant = :tenant AND user_name = :name AND totp_secret = :secret AND totp_confirmed_at IS NULL
RETURNING user_name
""")
# of two that bring the same code at the same moment, one finds the step used
_TOTP_USE = text("""
UPDATE accounts SET totp_last_step = :step
WHERE tenant = :tenant AND user_name = :name AND totp_confirmed_at IS NOT NULL
    AND (totp_last_step IS NULL OR totp_last_step < :step)
RETURNING user_name
""")
_TOTP_REMOVE = text("""
UPDATE accounts SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = NULL
WHERE tenant = :tenant AND user_name = :name AND totp_secret IS NOT NULL RETURNING user_name
""")
_OPEN = text("""
INSERT INTO sessions (id, tenant, user_name, kind, label, token_sha256, amr, created_at, last_seen_at,
    expires_at)
VALUES (:id, :tenant, :name, :kind, :label, :token_sha256, :amr, :at, :at, :expires_at)
""")
_SEEN = text("UPDATE sessions SET last_seen_at = :at WHERE id = :id AND last_seen_at < :at")
_END = text("""
UPDATE sessions SET ended_at = :at
WHERE tenant = :tenant AND user_name = :name AND ended_at IS NULL
    AND (CAST(:id AS varchar) IS NULL OR id = :id)
    AND (CAST(:kind AS varchar) IS NULL OR kind = :kind) AND (CAST(:kept AS varchar) IS NULL OR id <> :kept)
RETURNING id
""")
# held until the session is written: a change of them waits, and then ends it
_STANDS = text("""
SELECT 1 FROM accounts
WHERE tenant = :tenant AND user_name = :name AND password_hash IS NOT DISTINCT FROM :hash
    AND (totp_confirmed_at IS NOT NULL) = :with_totp
FOR SHARE
""")
_ACTIVE = text("SELECT active FROM users WHERE tenant = :tenant AND name = :name")
_INVITE = text("""
INSERT INTO invitations (token_sha256, tenant, user_name, created_by, created_at, expires_at)
VALUES (:token_sha256, :tenant, :name, :actor, :at, :expires_at)
""")
_ONLY_NEWEST = text("""
UPDATE invitations SET used_at = :at WHERE tenant = :tenant AND user_name = :name AND used_at IS NULL
""")
_INVITED = text("""
SELECT tenant, user_name AS name FROM invitations
WHERE token_sha256 = :token_sha256 AND used_at IS NULL AND expires_at > :at
""")
_USE_INVITATION = text("""
UPDATE invitations SET used_at = :at
WHERE token_sha256 = :token_sha256 AND used_at IS NULL AND expires_at > :at
RETURNING tenant, user_name AS name
""")
_TRY = text("INSERT INTO sign_in_tries (id, account, address, at) VALUES (:id, :account, :address, :at)")
_TRIES = text("""
SELECT count(*) FILTER (WHERE account = :account AND address = :address) AS of_both,
    count(*) FILTER (WHERE account = :account) AS of_account,
    count(*) FILTER (WHERE address = :address) AS of_address
FROM sign_in_tries WHERE (account = :account OR address = :address) AND at > :since
""")
_OVER = text("""
WITH ended AS (
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE least(ended_at, expires_at) < :before LIMIT :limit
        FOR UPDATE SKIP LOCKED)
    RETURNING 1
), used AS (
    DELETE FROM invitations WHERE token_sha256 IN (
        SELECT token_sha256 FROM invitations WHERE least(used_at, expires_at) < :before LIMIT :limit
        FOR UPDATE SKIP LOCKED)
    RETURNING 1
), old AS (
    DELETE FROM sign_in_tries WHERE id IN (
        SELECT id FROM sign_in_tries WHERE at < :counted LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT (SELECT count(*) FROM ended) AS sessions, (SELECT count(*) FROM used) AS invitations,
    (SELECT count(*) FROM old) AS tries
""")
_FORGET = text("DELETE FROM sign_in_tries WHERE account = :account AND address = :address")


async def set_password(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    password_hash: str,
    actor: str,
    at: datetime,
    kept: str | None = None,
) -> None:
    """Give a user a password; their invitations end, and their sessions but `kept`. Raises NotFound."""
    await check_known(tx, tenant, name)
    await tx.run(_ONLY_NEWEST, {"tenant": tenant, "name": name, "at": at})
    await tx.run(_PASSWORD, {"tenant": tenant, "name": name, "hash": password_hash, "at": at})
    await end_sessions(tx, tenant=tenant, name=name, at=at, kept=kept)
    await note(tx, "accounts.password", tenant, {"name": name}, actor, at)


async def rehash(tx: Transaction, *, tenant: str, name: str, old: str, new: str) -> None:
    """Put a hash of today's parameters into the place of an older one of the same password."""
    await tx.run(_REHASH, {"tenant": tenant, "name": name, "old": old, "hash": new})


async def begin_totp(tx: Transaction, *, tenant: str, name: str, secret: str, at: datetime) -> bool:
    """Keep a new encrypted secret that counts for nothing yet; False: one is confirmed already."""
    params = {"tenant": tenant, "name": name, "secret": secret, "at": at}
    return await tx.value(_TOTP_BEGIN, params) is not None


async def confirm_totp(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    secret: str,
    step: int,
    at: datetime,
    kept: str | None = None,
) -> bool:
    """From now on the user's codes are asked for; answers whether that very secret was waiting.

    Browsers but `kept` have to sign in again, with a code.
    """
    params = {"tenant": tenant, "name": name, "secret": secret, "step": step, "at": at}
    if await tx.value(_TOTP_CONFIRM, params) is None:
        return False
    await end_sessions(tx, tenant=tenant, name=name, at=at, kind=SessionKind.BROWSER, kept=kept)
    await note(tx, "accounts.totp", tenant, {"name": name, "set": True}, name, at)
    return True


async def use_totp(tx: Transaction, *, tenant: str, name: str, step: int) -> bool:
    """Use a code's time step up; False: it, or a later one, was used before."""
    return await tx.value(_TOTP_USE, {"tenant": tenant, "name": name, "step": step}) is not None


async def remove_totp(tx: Transaction, *, tenant: str, name: str, actor: str, at: datetime) -> bool:
    """Forget a user's authenticator, and end their sessions; answers whether there was one."""
    if await tx.value(_TOTP_REMOVE, {"tenant": tenant, "name": name}) is None:
        return False
    await end_sessions(tx, tenant=tenant, name=name, at=at)
    await note(tx, "accounts.totp", tenant, {"name": name, "set": False}, actor, at)
    return True


async def bind_subject(
    tx: Transaction, *, tenant: str, name: str, issuer: str, subject: str, at: datetime
) -> bool:
    """Let a person of a provider sign in as a user from now on; False: the user is somebody else there."""
    params = {"tenant": tenant, "name": name, "issuer": issuer, "subject": subject, "at": at}
    if await tx.value(_BIND, params) is None:
        return False
    await note(tx, "accounts.oidc", tenant, {"name": name, "issuer": issuer, "subject": subject}, name, at)
    return True


async def stands(
    tx: Transaction, *, tenant: str, name: str, password_hash: str | None, with_totp: bool
) -> bool:
    """Whether that is still the user's password, with or without an authenticator beside it.

    It stays so until the transaction ends.
    """
    params = {"tenant": tenant, "name": name, "hash": password_hash, "with_totp": with_totp}
    return await tx.value(_STANDS, params) is not None


async def open_session(
    tx: Transaction,
    *,
    session_id: str,
    tenant: str,
    name: str,
    kind: SessionKind,
    token_sha256: str,
    amr: Sequence[str],
    at: datetime,
    expires_at: datetime,
    label: str = "",
    actor: str | None = None,
) -> None:
    """Let the bearer of a token act for a user until `expires_at`; `actor`: who arranged it, if not they."""
    values: dict[str, Any] = {
        "id": session_id,
        "tenant": tenant,
        "name": name,
        "kind": kind,
        "label": label,
        "token_sha256": token_sha256,
        "amr": list(amr),
        "at": at,
        "expires_at": expires_at,
    }
    await tx.run(_OPEN, values)
    facts = {"id": session_id, "name": name, "kind": kind, "amr": list(amr), "label": label}
    await note(tx, "sessions.opened", tenant, facts, actor or name, at)


async def seen(tx: Transaction, session_id: str, at: datetime) -> None:
    """Keep a session from going idle."""
    await tx.run(_SEEN, {"id": session_id, "at": at})


async def end_sessions(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    at: datetime,
    session_id: str | None = None,
    kind: SessionKind | None = None,
    kept: str | None = None,
) -> int:
    """End one session of a user, or those of a kind, or all but `kept`; answers how many."""
    params = {"tenant": tenant, "name": name, "at": at, "id": session_id, "kind": kind, "kept": kept}
    return len(await tx.rows(_END, params))


async def end_sessions_of(
    tx: Transaction, *, tenant: str, name: str, actor: str, at: datetime, **which: Any
) -> int:
    """`end_sessions` by itself, audited; answers how many."""
    ended = await end_sessions(tx, tenant=tenant, name=name, at=at, **which)
    if ended:
        await note(tx, "sessions.ended", tenant, {"name": name, "count": ended}, actor, at)
    return ended


async def shut_out(tx: Transaction, *, tenant: str, name: str, at: datetime) -> None:
    """End whatever lets a user in by itself: who comes back later brings none of it along."""
    # in this order, as where an invitation is accepted
    await tx.run(_ONLY_NEWEST, {"tenant": tenant, "name": name, "at": at})
    await end_sessions(tx, tenant=tenant, name=name, at=at)


async def check_known(tx: Transaction, tenant: str, name: str) -> None:
    """Raises NotFound unless the tenant has such a user."""
    await require(tx, "users", "user", tenant=tenant, name=name)


async def check_active(tx: Transaction, tenant: str, name: str) -> None:
    """Raises NotFound for an unknown user, Refused for one who has left."""
    await check_known(tx, tenant, name)
    if not await tx.value(_ACTIVE, {"tenant": tenant, "name": name}):
        raise Refused(f"{name} is not active")


async def invite(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    token_sha256: str,
    actor: str,
    at: datetime,
    expires_at: datetime,
) -> None:
    """Let the bearer of a token choose the user's password, once; earlier ones are good no more."""
    await check_known(tx, tenant, name)
    await tx.run(_ONLY_NEWEST, {"tenant": tenant, "name": name, "at": at})
    params = {"tenant": tenant, "name": name, "token_sha256": token_sha256, "actor": actor}
    await tx.run(_INVITE, {**params, "at": at, "expires_at": expires_at})
    await note(tx, "accounts.invited", tenant, {"name": name}, actor, at)


async def invited(tx: Transaction, token_sha256: str, at: datetime) -> tuple[str, str] | None:
    """Whom an invitation is for, (tenant, name), if it is good; it stays so."""
    row = await tx.row(_INVITED, {"token_sha256": token_sha256, "at": at})
    return None if row is None else (row.tenant, row.name)


async def use_invitation(tx: Transaction, token_sha256: str, at: datetime) -> tuple[str, str] | None:
    """Use an invitation up; answers (tenant, name), or None when it is not good any more."""
    row = await tx.row(_USE_INVITATION, {"token_sha256": token_sha256, "at": at})
    return None if row is None else (row.tenant, row.name)


async def note_try(tx: Transaction, *, try_id: str, account: str, address: str, at: datetime) -> None:
    """Write a try down; commit it before `count_tries`, so that tries side by side count each other."""
    await tx.run(_TRY, {"id": try_id, "account": account, "address": address, "at": at})


async def count_tries(tx: Transaction, *, account: str, address: str, at: datetime) -> tuple[int, int, int]:
    """How many tries there were within the window.

    For this account from this address, for this account, from this address.
    """
    row = await tx.row(_TRIES, {"account": account, "address": address, "since": at - TRIES_WINDOW})
    return (0, 0, 0) if row is None else (row.of_both, row.of_account, row.of_address)


async def remove_over(tx: Transaction, *, now: datetime, limit: int) -> tuple[int, int, int]:
    """Remove sessions and invitations that were over a day ago, and tries that no limit counts any more.

    Answers how many of each, at most `limit`; the audit chain keeps what happened.
    """
    params = {"before": now - KEPT, "counted": now - TRIES_WINDOW, "limit": limit}
    row = await tx.row(_OVER, params)
    return (0, 0, 0) if row is None else (row.sessions, row.invitations, row.tries)


async def forget_tries(tx: Transaction, *, account: str, address: str) -> None:
    """Who gets in begins anew."""
    await tx.run(_FORGET, {"account": account, "address": address})
