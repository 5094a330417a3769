"""Sending somebody out of office and back: signed commands, and never two absences at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from db.reads.absences import absence as read_absence
from db.session import Transaction
from db.writes import audit
from db.writes.commands import accept_command
from db.writes.entries import By
from db.writes.rows import lock_people
from domain.absences import MOST_PLANNED, Absence, Party, Wish, absence_id
from domain.authority import may_set
from domain.commands import ADMINS_AND_APPROVERS, Command, CommandAction, CommandRefusal, read_envelope
from domain.errors import CommandRefused, InvalidInput, NotFound, Refused

_PARTIES = text("""
SELECT name, active, roles, tier FROM users WHERE tenant = :tenant AND name = ANY (CAST(:names AS varchar[]))
""")
_OVERLAPPING = text("""
SELECT id, starts_at, ends_at FROM absences
WHERE tenant = :tenant AND user_name = :user AND starts_at < :ends_at
    AND ends_at > greatest(:starts_at, starts_at)
LIMIT 1
""")
_PLANNED = text("""
SELECT count(*) FROM absences WHERE tenant = :tenant AND user_name = :user AND ends_at > :set_at
    AND ends_at > starts_at
""")
_INSERT = text("""
INSERT INTO absences (id, tenant, user_name, starts_at, ends_at, delegate, reason, set_by, set_at, envelope)
VALUES (:id, :tenant, :user, :starts_at, :ends_at, :delegate, :reason, :set_by, :set_at,
    CAST(:envelope AS jsonb))
""")
_END = text("UPDATE absences SET ends_at = :ends_at, ended_by = :ended_by WHERE id = :id")


async def set_absence(tx: Transaction, document: bytes, *, now: datetime) -> Absence:
    """Send the target of a signed command `absence.set` out of office, with or without a delegate.

    Authority moves from `starts_at` on, which is never before the moment of acceptance. Raises
    CommandRefused, InvalidInput (period, delegate), NotFound, Refused (another in the period, too many).
    """
    command = await accept_command(
        tx, document, action=CommandAction.SET_ABSENCE, target=None, roles=ADMINS_AND_APPROVERS, now=now
    )
    wish = Wish.parse(command.body)
    accepted_at = await _alone(tx, command.tenant, now)
    await _check_parties(tx, command, wish)
    envelope = read_envelope(document).model_dump(mode="json", by_alias=True)
    own = By(command.tenant, command.actor, accepted_at)
    return await _insert(tx, absence_id(command.id), command.target, wish, own, envelope)


async def set_own_absence(
    tx: Transaction, *, tenant: str, user: str, wish: Wish, message_id: str, now: datetime
) -> Absence:
    """Send a signed-in approver out of office without a delegate: that moves no authority to anybody.

    Raises as `set_absence` does, and Refused for a delegate: that takes a signature with one's own key.
    """
    if wish.delegate is not None:
        raise Refused("who stands in is signed with one's own key: use 'mintkeeper absence set'")
    accepted_at = await _alone(tx, tenant, now)
    _check_approver((await _parties(tx, tenant, [user])).get(user), user, tenant, "user")
    return await _insert(tx, absence_id(message_id), user, wish, By(tenant, user, accepted_at), None)


async def end_own_absence(
    tx: Transaction, *, tenant: str, user: str, absence_id: str, now: datetime
) -> Absence:
    """End a signed-in approver's own absence that has no delegate; raises NotFound, Refused."""
    ended_at = await _alone(tx, tenant, now)
    absence = await read_absence(tx, tenant, absence_id)
    if absence is None or absence.user != user:
        raise NotFound(f"there is no absence {absence_id}")
    if absence.delegate is not None:
        raise Refused("authority is taken back with one's own key: use 'mintkeeper absence end'")
    return await _end(tx, absence, By(tenant, user, ended_at), None)


async def end_absence(tx: Transaction, document: bytes, *, absence_id: str, now: datetime) -> Absence:
    """End an absence now, or before it starts, by a signed command `absence.end`; the authority is back.

    Raises CommandRefused, NotFound, Refused when it is over already.
    """
    command = await accept_command(
        tx,
        document,
        action=CommandAction.END_ABSENCE,
        target=absence_id,
        roles=ADMINS_AND_APPROVERS,
        now=now,
    )
    ended_at = await _alone(tx, command.tenant, now)
    absence = await read_absence(tx, command.tenant, absence_id)
    if absence is None:
        raise NotFound(f"there is no absence {absence_id}: see 'mintkeeper absence list'")
    actor = (await _parties(tx, command.tenant, [command.actor]))[command.actor]
    if not may_set(actor, absence.user, None):
        raise _not_entitled(command)
    envelope = read_envelope(document).model_dump(mode="json", by_alias=True)
    return await _end(tx, absence, By(command.tenant, command.actor, ended_at), envelope)


async def _insert(
    tx: Transaction, new_id: str, user: str, wish: Wish, by: By, envelope: Mapping[str, Any] | None
) -> Absence:
    wish.check(user, by.at)
    absence = Absence(
        id=new_id,
        tenant=by.tenant,
        user=user,
        starts_at=max(wish.starts_at, by.at),
        ends_at=wish.ends_at,
        delegate=wish.delegate,
        reason=wish.reason,
        set_by=by.actor,
        set_at=by.at,
    )
    await _check_free(tx, absence)
    kept = None if envelope is None else json.dumps(envelope)
    await tx.run(_INSERT, {**absence.model_dump(exclude={"ended_by"}), "envelope": kept})
    await _note(tx, "absence.set", absence, by.actor, by.at, envelope)
    return absence


async def _end(tx: Transaction, absence: Absence, by: By, envelope: Mapping[str, Any] | None) -> Absence:
    if absence.ended_by is not None or absence.ends_at <= by.at:
        raise Refused(f"absence {absence.id} is over since {absence.ends_at:%Y-%m-%d %H:%MZ}")
    # one that has not begun keeps an empty period
    ended = absence.model_copy(update={"ends_at": max(by.at, absence.starts_at), "ended_by": by.actor})
    await tx.run(_END, ended.model_dump(include={"id", "ends_at", "ended_by"}))
    await _note(tx, "absence.end", ended, by.actor, by.at, envelope)
    return ended


async def _alone(tx: Transaction, tenant: str, now: datetime) -> datetime:
    """Wait for every decision under way; the moment from which on the next ones know of the change."""
    await lock_people(tx, tenant)
    return max(now, datetime.now(UTC))


async def _parties(tx: Transaction, tenant: str, names: list[str]) -> Mapping[str, Party]:
    rows = await tx.rows(_PARTIES, {"tenant": tenant, "names": names})
    return {row.name: Party(**row._asdict()) for row in rows}


async def _check_parties(tx: Transaction, command: Command, wish: Wish) -> None:
    people = await _parties(
        tx, command.tenant, [command.actor, command.target, *([wish.delegate] if wish.delegate else [])]
    )
    if not may_set(people[command.actor], command.target, wish.delegate):
        raise _not_entitled(command)
    _check_approver(people.get(command.target), command.target, command.tenant, "user")
    if wish.delegate is not None:
        _check_approver(people.get(wish.delegate), wish.delegate, command.tenant, "delegate")


def _check_approver(found: Party | None, name: str, tenant: str, field: str) -> None:
    if found is None:
        raise NotFound(f"unknown user {name!r} of tenant {tenant}")
    if not found.active or "approver" not in found.roles or found.tier is None:
        raise InvalidInput(f"{name} is no active approver of {tenant}", field)


def _not_entitled(command: Command) -> CommandRefused:
    return CommandRefused(
        f"{command.actor} may not do this: it takes the absent approver, or an admin who does not stand in",
        CommandRefusal.NOT_ENTITLED,
    )


async def _check_free(tx: Transaction, absence: Absence) -> None:
    found = await tx.row(_OVERLAPPING, absence.model_dump())
    if found is not None:
        raise Refused(
            f"{absence.user} is away from {found.starts_at:%Y-%m-%d %H:%MZ} to "
            f"{found.ends_at:%Y-%m-%d %H:%MZ} already: end {found.id} first with 'mintkeeper absence end'"
        )
    if int(await tx.value(_PLANNED, absence.model_dump()) or 0) >= MOST_PLANNED:
        raise Refused(
            f"{absence.user} has {MOST_PLANNED} absences to come: end one with 'mintkeeper absence end'"
        )


async def _note(
    tx: Transaction,
    kind: str,
    absence: Absence,
    actor: str,
    at: datetime,
    envelope: Mapping[str, Any] | None,
) -> None:
    """The absence as it is now and the command that made it so, for auditors; the chain comes last."""
    details = {**absence.model_dump(mode="json", exclude={"tenant"}), "envelope": envelope}
    await audit.append(
        tx,
        tenant=absence.tenant,
        request_id=None,
        step=None,
        kind=kind,
        actor=actor,
        at=at,
        details=details,
    )
