"""Departments with their leads, business calendars and topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text

from db.models import metadata
from db.session import Transaction
from db.writes.rows import change, equal, lock_tenant, note, put, remove, require
from domain.errors import Refused

_TOPICS_OF_DEPARTMENT = text(
    "SELECT code FROM topics WHERE tenant = :tenant AND department = :code ORDER BY code"
)
_TOPICS_OF_CALENDAR = text(
    "SELECT code FROM topics WHERE tenant = :tenant AND calendar = :code ORDER BY code"
)


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
    await put(tx, "departments", {"tenant": tenant, "code": code}, values, tenant, actor, at)


async def remove_department(tx: Transaction, *, tenant: str, code: str, actor: str, at: datetime) -> None:
    """Remove a department and its leads. Raises NotFound, and Refused while topics belong to it."""
    await lock_tenant(tx, tenant)
    key = {"tenant": tenant, "code": code}
    if topics := [row.code for row in await tx.rows(_TOPICS_OF_DEPARTMENT, key)]:
        raise Refused(f"department {code!r} has topics: give {', '.join(topics)} another one first")
    table = metadata.tables["department_leads"]
    await tx.execute(delete(table).where(*equal(table, {"tenant": tenant, "department": code})))
    await remove(tx, "departments", f"department {code!r}", key, actor, at)


async def set_lead(
    tx: Transaction, *, tenant: str, department: str, user: str, actor: str, at: datetime
) -> None:
    """Make a user a lead of a department. Raises NotFound."""
    await require(tx, "departments", "department", tenant=tenant, code=department)
    await require(tx, "users", "user", tenant=tenant, name=user)
    key = {"tenant": tenant, "department": department, "user_name": user}
    await put(tx, "department_leads", key, {}, tenant, actor, at)


async def set_leads(
    tx: Transaction, *, tenant: str, department: str, users: Sequence[str], actor: str, at: datetime
) -> None:
    """Make these users, and nobody else, the leads of a department. Raises NotFound."""
    await lock_tenant(tx, tenant)
    table = metadata.tables["department_leads"]
    theirs = equal(table, {"tenant": tenant, "department": department})
    for former in sorted(set(await tx.scalars(select(table.c.user_name).where(*theirs))) - set(users)):
        await tx.execute(delete(table).where(*theirs, table.c.user_name == former))
        facts = {"tenant": tenant, "department": department, "user_name": former}
        await note(tx, "department_leads.removed", tenant, facts, actor, at)
    for user in sorted(users):
        await set_lead(tx, tenant=tenant, department=department, user=user, actor=actor, at=at)


async def set_calendar(
    tx: Transaction,
    *,
    tenant: str,
    code: str,
    name: str,
    time_zone: str,
    hours: Mapping[str, Any],
    country: str | None = None,
    subdivision: str | None = None,
    holidays: Sequence[str] = (),
    actor: str,
    at: datetime,
) -> None:
    """Create or change a business calendar; topics that have it count by it from the next check on."""
    values = {
        "name": name,
        "time_zone": time_zone,
        "hours": dict(hours),
        "country": country,
        "subdivision": subdivision,
        "holidays": sorted(holidays),
    }
    await put(tx, "calendars", {"tenant": tenant, "code": code}, values, tenant, actor, at)


async def remove_calendar(tx: Transaction, *, tenant: str, code: str, actor: str, at: datetime) -> None:
    """Remove a calendar. Raises NotFound, and Refused while topics count by it."""
    await lock_tenant(tx, tenant)
    key = {"tenant": tenant, "code": code}
    if topics := [row.code for row in await tx.rows(_TOPICS_OF_CALENDAR, key)]:
        raise Refused(
            f"calendar {code!r} is in use by {', '.join(topics)}: "
            "give them another with 'mintkeeper topic set', or --no-calendar"
        )
    await remove(tx, "calendars", f"calendar {code!r}", key, actor, at)


async def set_topic(
    tx: Transaction,
    *,
    tenant: str,
    code: str,
    name: str,
    department: str,
    calendar: str | None = None,
    auto_assign_after_hours: int = 24,
    active: bool = True,
    actor: str,
    at: datetime,
) -> None:
    """Create or change a topic. Raises NotFound for an unknown department or calendar."""
    await require(tx, "departments", "department", tenant=tenant, code=department)
    if calendar is not None:
        await require(tx, "calendars", "calendar", tenant=tenant, code=calendar)
    values = {
        "name": name,
        "department": department,
        "calendar": calendar,
        "auto_assign_after_hours": auto_assign_after_hours,
        "active": active,
    }
    await put(tx, "topics", {"tenant": tenant, "code": code}, values, tenant, actor, at)


async def deactivate_topic(tx: Transaction, *, tenant: str, code: str, actor: str, at: datetime) -> None:
    """Close a topic for new requests; those that belong to it stay. Raises NotFound."""
    await require(tx, "topics", "topic", tenant=tenant, code=code)
    await lock_tenant(tx, tenant)
    await change(tx, "topics", {"tenant": tenant, "code": code}, {"active": False}, tenant, actor, at)
