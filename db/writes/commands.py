"""Signed commands: verified against the database, and used up in the transaction of their effect."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any

import rfc8785
from sqlalchemy import text

from db.reads.dictionaries import signer
from db.session import Transaction
from domain.approvals import ActorRole
from domain.commands import Command, CommandAction, CommandRefusal, claimed, read_envelope, verify_command
from domain.dsse import Envelope
from domain.errors import CommandRefused

_USE = text("""
INSERT INTO signed_commands (id, tenant, actor, action, envelope, at)
VALUES (:id, :tenant, :actor, :action, CAST(:envelope AS jsonb), :at)
ON CONFLICT (id) DO NOTHING
RETURNING id
""")


async def accept_command(
    tx: Transaction,
    document: bytes,
    *,
    action: CommandAction,
    target: str | None,
    roles: Set[ActorRole],
    now: datetime,
    authority: Sequence[bytes] = (),
) -> Command:
    """The signed command in an HTTP body, verified and used up; raises CommandRefused.

    Call it first in the transaction of the effect: when that is refused or fails, the command is
    unused again. A second one with the same id waits here for the first, and is then refused as a
    replay.

    `target` None: the caller compares it with the body. That the command's tenant owns the target
    is the caller's to check: every effect takes the tenant and finds nothing of another's.

    `authority`: the server's public keys, where it may have signed for somebody who had signed in.
    """
    envelope, command = await _verified(tx, document, action, target, roles, now, authority)
    await _use_up(tx, command, envelope, now)
    return command


async def examine_command(
    tx: Transaction,
    document: bytes,
    *,
    action: CommandAction,
    target: str | None,
    roles: Set[ActorRole],
    now: datetime,
) -> Command:
    """The same without using it up: for an effect that a second one with the same id can't repeat."""
    return (await _verified(tx, document, action, target, roles, now))[1]


async def _verified(
    tx: Transaction,
    document: bytes,
    action: CommandAction,
    target: str | None,
    roles: Set[ActorRole],
    now: datetime,
    authority: Sequence[bytes] = (),
) -> tuple[Envelope, Command]:
    envelope = read_envelope(document)
    said = claimed(envelope)
    person = await signer(tx, said.tenant, said.actor)
    wanted: dict[str, Any] = {"action": action, "target": target, "roles": roles, "now": now}
    return envelope, verify_command(envelope, person, **wanted, authority=authority)


async def _use_up(tx: Transaction, command: Command, envelope: Envelope, at: datetime) -> None:
    params = {
        "id": command.id,
        "tenant": command.tenant,
        "actor": command.actor,
        "action": command.action,
        "envelope": rfc8785.dumps(envelope.model_dump(mode="json", by_alias=True)).decode(),
        "at": at,
    }
    if await tx.value(_USE, params) is None:
        raise CommandRefused("this command has been used: sign a new one", CommandRefusal.REPLAYED)
