"""What a tenant's admins maintain; every change is audited, writing the same again is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db.models import metadata
from db.session import Transaction
from db.writes import audit
from domain.approvals import ActorRole, ApprovalRule
from domain.channels import check_settings
from domain.dsse import key_id
from domain.errors import InvalidInput, NotFound, Refused
from domain.ledger_options import LedgerOptions
from domain.quiet_hours import QuietHours

_CONTACTS = frozenset({"email", "telegram_chat", "settings"})
"""Never copied into the audit chain, which can't forget."""

_IS_ADMIN = text("""
SELECT 1 FROM users WHERE tenant = :tenant AND name = :name AND active AND 'admin' = ANY (roles)
""")
_TENANT_KNOWN = text("SELECT 1 FROM tenants WHERE code = :tenant")


async def set_tenant(
    tx: Transaction, *, tenant: str, name: str, active: bool = True, actor: str, at: datetime
) -> None:
    """Create or change a tenant."""
    await _put(tx, "tenants", {"code": tenant}, {"name": name, "active": active}, tenant, actor, at)


async def set_ledger_options(
    tx: Transaction, *, tenant: str, options: LedgerOptions, actor: str, at: datetime
) -> None:
    """Change what a tenant allows on the ledger; requests that have an envelope keep theirs.

    Raises NotFound, and Refused unless `actor` is an active admin of the tenant.
    """
    await _require_admin(tx, tenant, actor)
    await _put(tx, "ledger_options", {"tenant": tenant}, options.model_dump(), tenant, actor, at)


async def _require_admin(tx: Transaction, tenant: str, actor: str) -> None:
    if await tx.value(_TENANT_KNOWN, {"tenant": tenant}) is None:
        raise NotFound(f"unknown tenant {tenant!r}: see 'mintkeeper tenant list'")
    if await tx.value(_IS_ADMIN, {"tenant": tenant, "name": actor}) is None:
        raise Refused(f"{actor} is no active admin of tenant {tenant}: only an admin may change its options")


async def set_tenant_quiet_hours(
    tx: Transaction, *, tenant: str, hours: QuietHours, actor: str, at: datetime
) -> None:
    """Change when a tenant's groups, and people without hours of their own, are left alone.

    Raises NotFound, and Refused unless `actor` is an active admin of the tenant.
    """
    await _require_admin(tx, tenant, actor)
    await _set_quiet_hours(tx, "tenants", {"code": tenant}, tenant, hours, actor, at)


async def set_user_quiet_hours(
    tx: Transaction, *, tenant: str, name: str, hours: QuietHours, actor: str, at: datetime
) -> None:
    """Change when a user is left alone; without any the tenant's hours hold. Raises NotFound."""
    await _require(tx, "users", "user", tenant=tenant, name=name)
    await _set_quiet_hours(tx, "users", {"tenant": tenant, "name": name}, tenant, hours, actor, at)


async def _set_quiet_hours(
    tx: Transaction,
    name: str,
    key: Mapping[str, Any],
    tenant: str,
    hours: QuietHours,
    actor: str,
    at: datetime,
) -> None:
    table = metadata.tables[name]
    differs = table.c.quiet_hours.is_distinct_from(hours.raw())
    values = {"quiet_hours": hours.raw()}
    if (await tx.execute(update(table).where(*_equal(table, key), differs).values(**values))).rowcount:
        await _note(tx, f"{name}.set", tenant, {**key, **values}, actor, at)


async def set_department(
    tx: Transaction,
    *,
    tenant: str,
    code: str,
    name: str,
    slack_channel: str | None = None,
    actor: str,
    at: datetime,
) -> None:
    """Create or change a department; `slack_channel` is where its leads read. Raises NotFound."""
    values = {"name": name, "slack_channel": slack_channel}
    await _put(tx, "departments", {"tenant": tenant, "code": code}, values, tenant, actor, at)


async def set_topic(
    tx: Transaction,
    *,
    tenant: str,
    code: str,
    name: str,
    department: str,
    active: bool = True,
    actor: str,
    at: datetime,
) -> None:
    """Create or change a topic. Raises NotFound for an unknown department."""
    await _require(tx, "departments", "department", tenant=tenant, code=department)
    values = {"name": name, "department": department, "active": active}
    await _put(tx, "topics", {"tenant": tenant, "code": code}, values, tenant, actor, at)


async def set_user(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    roles: Sequence[ActorRole],
    tier: int | None = None,
    email: str | None = None,
    telegram_chat: str | None = None,
    time_zone: str = "UTC",
    primary_topic: str | None = None,
    topics: Sequence[str] = (),
    active: bool = True,
    actor: str,
    at: datetime,
) -> None:
    """Create or change a user; `topics` are the additional ones. Raises NotFound, InvalidInput."""
    _check_user(roles, tier, time_zone)
    for topic in (*topics, *filter(None, [primary_topic])):
        await _require(tx, "topics", "topic", tenant=tenant, code=topic)
    values = {
        "roles": sorted(roles),
        "tier": tier,
        "active": active,
        "email": email,
        "telegram_chat": telegram_chat,
        "time_zone": time_zone,
        "primary_topic": primary_topic,
    }
    await _put(tx, "users", {"tenant": tenant, "name": name}, values, tenant, actor, at)
    await _set_additional_topics(tx, tenant, name, topics)


def _check_user(roles: Sequence[ActorRole], tier: int | None, time_zone: str) -> None:
    if "approver" in roles and tier not in (1, 2, 3):
        raise InvalidInput("an approver needs a tier: 1, 2 or 3", "tier")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(
            f"{time_zone!r} is no IANA time zone such as Europe/Berlin", "time_zone"
        ) from error


async def _set_additional_topics(tx: Transaction, tenant: str, name: str, topics: Sequence[str]) -> None:
    table = metadata.tables["user_topics"]
    await tx.execute(delete(table).where(table.c.tenant == tenant, table.c.user_name == name))
    rows = [{"tenant": tenant, "user_name": name, "topic": topic} for topic in sorted(set(topics))]
    if rows:
        await tx.execute(insert(table), rows)


async def deactivate_user(tx: Transaction, *, tenant: str, name: str, actor: str, at: datetime) -> None:
    """A user who is gone decides nothing and is told nothing; what they did stays. Raises NotFound."""
    await _require(tx, "users", "user", tenant=tenant, name=name)
    await _change(tx, "users", {"tenant": tenant, "name": name}, {"active": False}, actor, at)


async def set_lead(
    tx: Transaction, *, tenant: str, department: str, user: str, actor: str, at: datetime
) -> None:
    """Make a user a lead of a department. Raises NotFound."""
    await _require(tx, "departments", "department", tenant=tenant, code=department)
    await _require(tx, "users", "user", tenant=tenant, name=user)
    key = {"tenant": tenant, "department": department, "user_name": user}
    await _put(tx, "department_leads", key, {}, tenant, actor, at)


async def set_channel(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> None:
    """Create or change a channel. Raises InvalidInput for an unknown kind, or settings that can't work."""
    values = {"kind": kind, "settings": check_settings(kind, settings)}
    await _put(tx, "notification_channels", {"tenant": tenant, "name": name}, values, tenant, actor, at)


async def register_key(
    tx: Transaction, *, tenant: str, user: str, public_key: bytes, actor: str, at: datetime
) -> str:
    """Let a raw Ed25519 public key sign for a user, and return its id.

    Raises NotFound, and InvalidInput for a malformed key or one that is another user's.
    """
    if len(public_key) != 32:
        raise InvalidInput("an Ed25519 public key has 32 bytes", "public_key")
    await _require(tx, "users", "user", tenant=tenant, name=user)
    table = metadata.tables["approver_keys"]
    holder = await tx.scalar(
        select(table.c.user_name).where(table.c.tenant == tenant, table.c.public_key == public_key)
    )
    identifier = key_id(public_key)
    if holder not in (None, user):
        raise InvalidInput(f"key {identifier} belongs to {holder}", "public_key")
    if holder is None:
        key = {"tenant": tenant, "user_name": user, "key_id": identifier}
        await tx.execute(insert(table).values(**key, public_key=public_key, registered_at=at))
        await _note(tx, "approver_keys.set", tenant, {**key, "publicKey": public_key.hex()}, actor, at)
    return identifier


async def revoke_key(
    tx: Transaction, *, tenant: str, user: str, key_id: str, actor: str, at: datetime
) -> None:
    """From now on the key signs nothing. Raises NotFound."""
    key = {"tenant": tenant, "user_name": user, "key_id": key_id}
    await _require(tx, "approver_keys", "key", **key)
    table = metadata.tables["approver_keys"]
    not_yet = table.c.revoked_at.is_(None)
    revoked = await tx.execute(update(table).where(*_equal(table, key), not_yet).values(revoked_at=at))
    if revoked.rowcount:
        await _note(tx, "approver_keys.revoked", tenant, key, actor, at)


async def set_rule(tx: Transaction, *, rule: ApprovalRule, actor: str, at: datetime) -> None:
    """Create or replace the rule at its position. Raises NotFound for an unknown tenant."""
    values = rule.model_dump(exclude={"tenant", "position"})
    key = {"tenant": rule.tenant, "position": rule.position}
    await _put(tx, "approval_rules", key, values, rule.tenant, actor, at)


async def remove_rule(tx: Transaction, *, tenant: str, position: int, actor: str, at: datetime) -> None:
    """Remove the rule at a position; requests that were opened under it keep it. Raises NotFound."""
    table = metadata.tables["approval_rules"]
    key = {"tenant": tenant, "position": position}
    removed = await tx.execute(delete(table).where(*_equal(table, key)))
    if not removed.rowcount:
        raise NotFound(f"tenant {tenant} has no approval rule at position {position}")
    await _note(tx, "approval_rules.removed", tenant, key, actor, at)


async def _put(
    tx: Transaction,
    name: str,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    tenant: str,
    actor: str,
    at: datetime,
) -> None:
    """Insert or update one row, and audit it when something is new."""
    if name != "tenants" and await tx.value(_TENANT_KNOWN, {"tenant": tenant}) is None:
        raise NotFound(f"unknown tenant {tenant!r}")
    table = metadata.tables[name]
    row = upsert(table).values(**key, **values)
    if values:
        differs = [table.c[column].is_distinct_from(row.excluded[column]) for column in values]
        changed = differs[0]
        for difference in differs[1:]:
            changed = changed | difference
        row = row.on_conflict_do_update(
            index_elements=list(key), set_={column: row.excluded[column] for column in values}, where=changed
        )
    else:
        row = row.on_conflict_do_nothing()
    if (await tx.execute(row.returning(*table.primary_key))).first() is not None:
        await _note(tx, f"{name}.set", tenant, {**key, **values}, actor, at)


async def _change(
    tx: Transaction,
    name: str,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> None:
    table = metadata.tables[name]
    await tx.execute(update(table).where(*_equal(table, key)).values(**values))
    await _note(tx, f"{name}.set", key["tenant"], {**key, **values}, actor, at)


async def _require(tx: Transaction, name: str, word: str, /, **key: str) -> None:
    table = metadata.tables[name]
    if (await tx.execute(select(table.c.tenant).where(*_equal(table, key)))).first() is None:
        raise NotFound(f"unknown {word} {list(key.values())[-1]!r} of tenant {key['tenant']}")


def _equal(table: Table, key: Mapping[str, Any]) -> list[Any]:
    return [table.c[column] == value for column, value in key.items()]


async def _note(
    tx: Transaction, kind: str, tenant: str, facts: Mapping[str, Any], actor: str, at: datetime
) -> None:
    # 64-bit numbers travel as text: canonical JSON has only doubles
    details = {
        name: str(value) if name.endswith("_stroops") and value is not None else value
        for name, value in facts.items()
        if name not in _CONTACTS
    }
    await audit.append(
        tx, tenant=tenant, request_id=None, step=None, kind=kind, actor=actor, at=at, details=details
    )
