"""One row of a dictionary: written, audited when something is new, and never twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db.models import metadata
from db.session import Transaction
from db.writes import audit
from domain.errors import NotFound, Refused

_CONTACTS = frozenset({"email", "telegram_chat", "slack_user", "settings"})
"""Never copied into the audit chain, which can't forget."""

_LOCK_TENANT = text("SELECT 1 FROM tenants WHERE code = :tenant FOR NO KEY UPDATE")
_LOCK_PEOPLE = text("SELECT pg_advisory_xact_lock(1633841011, hashtext(:tenant))")
_IS_ADMIN = text("""
SELECT 1 FROM users WHERE tenant = :tenant AND name = :name AND active AND 'admin' = ANY (roles)
""")


async def lock_tenant(tx: Transaction, tenant: str) -> None:
    """Whoever changes a dictionary of a tenant waits here for the others; raises NotFound.

    What is read afterwards stays as it is until the transaction ends. It comes before every row of a
    dictionary, and the audit chain after all of them.
    """
    if await tx.value(_LOCK_TENANT, {"tenant": tenant}) is None:
        raise NotFound(f"unknown tenant {tenant!r}: see 'mintkeeper tenant list'")


async def lock_people(tx: Transaction, tenant: str) -> None:
    """Wait for every decision under way: the next ones see who is who, and who is away, as we leave it.

    Decisions hold the same lock together, in the function `delegations_of`, before the audit chain.
    """
    await tx.run(_LOCK_PEOPLE, {"tenant": tenant})


async def require_admin(tx: Transaction, tenant: str, actor: str) -> None:
    """Raises Refused unless `actor` is an active admin of the tenant, NotFound without a tenant."""
    await lock_tenant(tx, tenant)
    if await tx.value(_IS_ADMIN, {"tenant": tenant, "name": actor}) is None:
        raise Refused(f"{actor} is no active admin of tenant {tenant}: only an admin may change its options")


async def require(tx: Transaction, name: str, word: str, /, **key: str) -> None:
    """Raises NotFound unless there is a row of that key."""
    table = metadata.tables[name]
    if (await tx.execute(select(table.c.tenant).where(*equal(table, key)))).first() is None:
        raise NotFound(f"unknown {word} {list(key.values())[-1]!r} of tenant {key['tenant']}")


async def put(
    tx: Transaction,
    name: str,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    tenant: str,
    actor: str,
    at: datetime,
) -> None:
    """Insert or update one row, and audit it when something is new. Raises NotFound without a tenant."""
    if name != "tenants":
        await lock_tenant(tx, tenant)
    table = metadata.tables[name]
    row = upsert(table).values(**key, **values)
    if values:
        changed = or_(*(table.c[column].is_distinct_from(row.excluded[column]) for column in values))
        row = row.on_conflict_do_update(
            index_elements=list(key), set_={column: row.excluded[column] for column in values}, where=changed
        )
    else:
        row = row.on_conflict_do_nothing()
    if (await tx.execute(row.returning(*table.primary_key))).first() is not None:
        await note(tx, f"{name}.set", tenant, {**key, **values}, actor, at)


async def change(
    tx: Transaction,
    name: str,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    tenant: str,
    actor: str,
    at: datetime,
) -> None:
    """Change some columns of a row, and audit it when one of them is new."""
    table = metadata.tables[name]
    differs = or_(*(table.c[column].is_distinct_from(value) for column, value in values.items()))
    if (await tx.execute(update(table).where(*equal(table, key), differs).values(**values))).rowcount:
        await note(tx, f"{name}.set", tenant, {**key, **values}, actor, at)


async def remove(
    tx: Transaction, name: str, word: str, key: Mapping[str, Any], actor: str, at: datetime
) -> None:
    """Delete one row, and audit it. Raises NotFound."""
    await lock_tenant(tx, key["tenant"])
    table = metadata.tables[name]
    if not (await tx.execute(delete(table).where(*equal(table, key)))).rowcount:
        raise NotFound(f"tenant {key['tenant']} has no {word}")
    await note(tx, f"{name}.removed", key["tenant"], key, actor, at)


def equal(table: Table, key: Mapping[str, Any]) -> list[Any]:
    """The conditions that name a row."""
    return [table.c[column] == value for column, value in key.items()]


async def note(
    tx: Transaction, kind: str, tenant: str, facts: Mapping[str, Any], actor: str, at: datetime
) -> None:
    """Append what was changed to the audit chain, without contacts."""
    # 64-bit numbers travel as text: canonical JSON has only doubles
    details = {
        name: str(value) if name.endswith("_stroops") and value is not None else value
        for name, value in facts.items()
        if name not in _CONTACTS
    }
    await audit.append(
        tx, tenant=tenant, request_id=None, step=None, kind=kind, actor=actor, at=at, details=details
    )
