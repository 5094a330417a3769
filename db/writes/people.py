"""Users of a tenant, their additional topics, quiet hours and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import delete, insert, select, update

from db.models import metadata
from db.session import Transaction
from db.writes.accounts import shut_out
from db.writes.rows import change, equal, lock_people, lock_tenant, note, put, require
from domain.approvals import ActorRole
from domain.dsse import key_id as id_of_key
from domain.errors import InvalidInput
from domain.quiet_hours import QuietHours


async def set_user(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    roles: Sequence[ActorRole],
    tier: int | None = None,
    email: str | None = None,
    telegram_chat: str | None = None,
    slack_user: str | None = None,
    time_zone: str = "UTC",
    primary_topic: str | None = None,
    topics: Sequence[str] = (),
    active: bool = True,
    working_hours: Mapping[str, Any] | None = None,
    max_load: int | None = None,
    actor: str,
    at: datetime,
) -> None:
    """Create or change a user; `topics` are the additional ones. Raises NotFound, InvalidInput."""
    _check_user(roles, tier, time_zone)
    for topic in (*topics, *filter(None, [primary_topic])):
        await require(tx, "topics", "topic", tenant=tenant, code=topic)
    values = {
        "roles": sorted(roles),
        "tier": tier,
        "active": active,
        "email": email,
        "telegram_chat": telegram_chat,
        "slack_user": slack_user,
        "time_zone": time_zone,
        "primary_topic": primary_topic,
        "working_hours": dict(working_hours or {}),
        "max_load": max_load,
    }
    await lock_tenant(tx, tenant)
    await lock_people(tx, tenant)
    await _check_slack_user(tx, tenant, name, slack_user)
    if not active:
        await shut_out(tx, tenant=tenant, name=name, at=at)
    await put(tx, "users", {"tenant": tenant, "name": name}, values, tenant, actor, at)
    await _set_additional_topics(tx, tenant, name, sorted(set(topics)), actor, at)


def _check_user(roles: Sequence[ActorRole], tier: int | None, time_zone: str) -> None:
    if "approver" in roles and tier not in (1, 2, 3):
        raise InvalidInput("an approver needs a tier: 1, 2 or 3", "tier")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            f"{time_zone!r} is no IANA time zone such as Europe/Berlin", "time_zone"
        ) from error


async def _check_slack_user(tx: Transaction, tenant: str, name: str, slack_user: str | None) -> None:
    """Whoever presses a button in Slack is one user of the tenant; raises InvalidInput."""
    users = metadata.tables["users"]
    linked = equal(users, {"tenant": tenant, "slack_user": slack_user or ""})
    holder = await tx.scalar(select(users.c.name).where(*linked, users.c.name != name))
    if holder is not None:
        raise InvalidInput(f"{slack_user} is linked to {holder} already: unlink them first", "slack_user")


async def _set_additional_topics(
    tx: Transaction, tenant: str, name: str, topics: Sequence[str], actor: str, at: datetime
) -> None:
    table = metadata.tables["user_topics"]
    mine = equal(table, {"tenant": tenant, "user_name": name})
    before = sorted(await tx.scalars(select(table.c.topic).where(*mine)))
    if before == topics:
        return
    await tx.execute(delete(table).where(*mine))
    rows = [{"tenant": tenant, "user_name": name, "topic": topic} for topic in topics]
    if rows:
        await tx.execute(insert(table), rows)
    facts = {"tenant": tenant, "user_name": name, "topics": list(topics)}
    await note(tx, "user_topics.set", tenant, facts, actor, at)


async def deactivate_user(tx: Transaction, *, tenant: str, name: str, actor: str, at: datetime) -> None:
    """A user who is gone decides nothing and is told nothing; what they did stays. Raises NotFound."""
    await require(tx, "users", "user", tenant=tenant, name=name)
    await lock_tenant(tx, tenant)
    await lock_people(tx, tenant)
    await shut_out(tx, tenant=tenant, name=name, at=at)
    await change(tx, "users", {"tenant": tenant, "name": name}, {"active": False}, tenant, actor, at)


async def set_user_quiet_hours(
    tx: Transaction, *, tenant: str, name: str, hours: QuietHours, actor: str, at: datetime
) -> None:
    """Change when a user is left alone; without any the tenant's hours hold. Raises NotFound."""
    await require(tx, "users", "user", tenant=tenant, name=name)
    await lock_tenant(tx, tenant)
    key = {"tenant": tenant, "name": name}
    await change(tx, "users", key, {"quiet_hours": hours.raw()}, tenant, actor, at)


async def register_key(
    tx: Transaction, *, tenant: str, user: str, public_key: bytes, actor: str, at: datetime
) -> str:
    """Let a raw Ed25519 public key sign for a user, and return its id.

    Raises NotFound, and InvalidInput for a malformed key or one that is another user's.
    """
    if len(public_key) != 32:
        raise InvalidInput("an Ed25519 public key has 32 bytes", "public_key")
    await require(tx, "users", "user", tenant=tenant, name=user)
    table = metadata.tables["approver_keys"]
    holder = await tx.scalar(
        select(table.c.user_name).where(table.c.tenant == tenant, table.c.public_key == public_key)
    )
    identifier = id_of_key(public_key)
    if holder not in (None, user):
        raise InvalidInput(f"key {identifier} belongs to {holder}", "public_key")
    if holder is None:
        key = {"tenant": tenant, "user_name": user, "key_id": identifier}
        await tx.execute(insert(table).values(**key, public_key=public_key, registered_at=at))
        await note(tx, "approver_keys.set", tenant, {**key, "publicKey": public_key.hex()}, actor, at)
    return identifier


async def revoke_key(
    tx: Transaction, *, tenant: str, user: str, key_id: str, actor: str, at: datetime
) -> None:
    """From now on the key signs nothing. Raises NotFound."""
    key = {"tenant": tenant, "user_name": user, "key_id": key_id}
    await require(tx, "approver_keys", "key", **key)
    await lock_people(tx, tenant)
    table = metadata.tables["approver_keys"]
    not_yet = table.c.revoked_at.is_(None)
    revoked = await tx.execute(update(table).where(*equal(table, key), not_yet).values(revoked_at=at))
    if revoked.rowcount:
        await note(tx, "approver_keys.revoked", tenant, key, actor, at)
