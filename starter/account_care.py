"""What is done to accounts without signing in: passwords, invitations, tokens, sessions, authenticators."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from db.reads import accounts as reads
from db.reads.accounts import SessionView
from db.session import Database
from db.writes import accounts as writes
from domain import sessions
from domain.errors import InvalidInput
from domain.sessions import Opened, SessionKind, check_password, token_hash
from domain.text import check_text
from starter.ids import new_session_id
from starter.passwords import hash_password

LONGEST_LABEL = 100
"""Characters."""


async def invite(database: Database, tenant: str, name: str, *, actor: str) -> str:
    """A token by which the user chooses a password, once, within two days; raises NotFound."""
    token, now = secrets.token_urlsafe(32), datetime.now(UTC)
    async with database.transaction() as tx:
        await writes.invite(
            tx,
            tenant=tenant,
            name=name,
            token_sha256=token_hash(token),
            actor=actor,
            at=now,
            expires_at=now + sessions.INVITATION,
        )
    return token


async def set_password(database: Database, tenant: str, name: str, password: str, *, actor: str) -> None:
    """Give a user a password; their sessions and invitations end. Raises InvalidInput, NotFound."""
    hashed = await hash_password(check_password(password, name))
    async with database.transaction() as tx:
        await writes.set_password(
            tx, tenant=tenant, name=name, password_hash=hashed, actor=actor, at=datetime.now(UTC)
        )


async def issue_token(
    database: Database, tenant: str, name: str, *, label: str, days: int, actor: str
) -> Opened:
    """An API token that acts as the user, but decides nothing; raises InvalidInput, NotFound, Refused."""
    if not 1 <= days <= sessions.LONGEST_TOKEN.days:
        raise InvalidInput(f"a token is good for 1 to {sessions.LONGEST_TOKEN.days} days", "days")
    if len(check_text(label, "label")) > LONGEST_LABEL:
        raise InvalidInput(f"a label has at most {LONGEST_LABEL} characters", "label")
    token, now = secrets.token_urlsafe(32), datetime.now(UTC)
    until = now + timedelta(days=days)
    async with database.transaction() as tx:
        await writes.check_active(tx, tenant, name)
        await writes.open_session(
            tx,
            session_id=new_session_id(),
            tenant=tenant,
            name=name,
            kind=SessionKind.TOKEN,
            token_sha256=token_hash(token),
            amr=("token",),
            label=label,
            at=now,
            expires_at=until,
            actor=actor,
        )
    return Opened(token, until)


async def sessions_of(database: Database, tenant: str, name: str) -> list[SessionView]:
    """The browsers and tokens of a user that may act now; raises NotFound."""
    async with database.transaction() as tx:
        await writes.check_known(tx, tenant, name)
        return await reads.sessions_of(tx, tenant, name, datetime.now(UTC))


async def end_sessions(
    database: Database,
    tenant: str,
    name: str,
    *,
    actor: str,
    session_id: str | None = None,
    kind: SessionKind | None = None,
    kept: str | None = None,
) -> int:
    """End one session or token of a user, or those of a kind, or all but `kept`; answers how many."""
    async with database.transaction() as tx:
        return await writes.end_sessions_of(
            tx,
            tenant=tenant,
            name=name,
            actor=actor,
            at=datetime.now(UTC),
            session_id=session_id,
            kind=kind,
            kept=kept,
        )


async def reset_totp(database: Database, tenant: str, name: str, *, actor: str) -> bool:
    """Forget a user's authenticator, which ends their sessions; answers whether there was one."""
    async with database.transaction() as tx:
        await writes.check_known(tx, tenant, name)
        return await writes.remove_totp(tx, tenant=tenant, name=name, actor=actor, at=datetime.now(UTC))
