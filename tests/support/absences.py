"""Absences as people sign them, or somebody forges them."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.writes.absences import end_absence, set_absence
from domain.commands import Command, CommandAction, sign_command
from starter.ids import new_command_id


def wish(delegate=None, *, start=None, until=None, reason=""):
    """The body of `absence.set`: from now on for a day, unless said."""
    now = datetime.now(UTC)
    body = {"from": (start or now).isoformat(), "until": (until or now + timedelta(days=1)).isoformat()}
    return {**body, "reason": reason, **({"delegate": delegate} if delegate else {})}


def signed(seeded, by, action, target, body=None, *, key_of=None, **changes):
    """The HTTP body of a command by `by`, signed with `key_of`'s key where that differs."""
    values = {
        "tenant": seeded.tenant,
        "actor": by,
        "action": action,
        "target": target,
        "body": body or {},
        "id": new_command_id(),
        "issued_at": datetime.now(UTC),
    }
    envelope = sign_command(Command(**(values | changes)), seeded.keys[key_of or by])
    return envelope.model_dump_json(by_alias=True).encode()


async def send_away(seeded, user, delegate=None, *, by=None, **period):
    """Set an absence as CLI and web server do; returns it."""
    document = signed(seeded, by or user, CommandAction.SET_ABSENCE, user, wish(delegate, **period))
    async with seeded.database.transaction() as tx:
        return await set_absence(tx, document, now=datetime.now(UTC))


async def call_back(seeded, absence, by=None):
    """End an absence; returns it."""
    document = signed(seeded, by or absence.user, CommandAction.END_ABSENCE, absence.id)
    async with seeded.database.transaction() as tx:
        return await end_absence(tx, document, absence_id=absence.id, now=datetime.now(UTC))


async def forge_absence(seeded, user, delegate, envelope, *, set_by=None, id_="abs_" + "F" * 26, **period):
    """Write a row past everything, as somebody with the database's password could."""
    now = datetime.now(UTC)
    async with seeded.database.transaction() as tx:
        await tx.run(
            text(
                "INSERT INTO absences (id, tenant, user_name, starts_at, ends_at, delegate, reason, set_by, "
                "set_at, envelope) VALUES (:id, :tenant, :user, :start, :until, :delegate, '', :set_by, "
                ":start, CAST(:envelope AS jsonb))"
            ),
            {
                "id": id_,
                "tenant": seeded.tenant,
                "user": user,
                "delegate": delegate,
                "start": period.get("start", now - timedelta(minutes=1)),
                "until": period.get("until", now + timedelta(days=1)),
                "set_by": set_by or user,
                "envelope": envelope if isinstance(envelope, str) else json.dumps(envelope),
            },
        )
