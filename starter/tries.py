"""How often somebody may try a password or a code; counted in the database, for all web servers together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from db.session import Database
from db.writes import accounts as writes
from domain import sessions
from domain.errors import AccessRefused
from domain.passes import AccessRefusal
from starter.ids import new_message_id


@dataclass(frozen=True)
class Tried:
    """Under what a try was counted."""

    account: str
    address: str


async def count_try(database: Database, tenant: str, name: str, address: str, apart: str = "") -> Tried:
    """Count a try before it is looked at; raises AccessRefused when there were too many.

    Tries that were made `apart` from others count among themselves only.
    """
    account = hashlib.sha256(f"{tenant}/{name.casefold()}{apart}".encode()).hexdigest()
    tried, now = Tried(account, f"{address}{apart}"), datetime.now(UTC)
    async with database.transaction() as tx:
        await writes.note_try(
            tx, try_id=new_message_id(), account=tried.account, address=tried.address, at=now
        )
    # of tries side by side none is counted before it is written: each one sees all that came before
    async with database.transaction() as tx:
        found = await writes.count_tries(tx, account=tried.account, address=tried.address, at=now)
    most = (sessions.MOST_TRIES, sessions.MOST_TRIES_OF_ACCOUNT, sessions.MOST_TRIES_OF_ADDRESS)
    if any(tries > limit for tries, limit in zip(found, most, strict=True)):
        minutes = sessions.TRIES_WINDOW.seconds // 60
        raise AccessRefused(
            f"too many tries: wait {minutes} minutes, or ask an admin for an invitation",
            AccessRefusal.TOO_MANY_TRIES,
        )
    return tried


async def forget_tries(database: Database, tried: Tried) -> None:
    """Who was right begins anew."""
    async with database.transaction() as tx:
        await writes.forget_tries(tx, account=tried.account, address=tried.address)
