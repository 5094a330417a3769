"""A change of an entry as a form brings it: with what its sender saw, so that nobody overwrites unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db.reads.entries import Entries, entries, known
from db.session import Transaction
from db.writes.entries import By, Outcome, remove_entry, set_entry
from db.writes.rows import lock_tenant
from domain.dictionaries import StatusEntry
from domain.entry import Kind, Known
from domain.errors import MintkeeperError, NotFound
from domain.mint_request import MintStatus
from domain.sessions import Person
from web.pages.admin.guard import by
from web.state import State

Fields = dict[str, Any]

SENSITIVE = frozenset({Kind.RULE, Kind.USER})
"""Who may decide, and how: a change asks for a second factor."""


class Overtaken(MintkeeperError):
    """Somebody else has changed the entry since the form was opened; `now` is how it stands, None: gone."""

    code = "overtaken"

    def __init__(self, now: Fields | None) -> None:
        super().__init__("somebody else has changed this meanwhile: compare, and save again if yours holds")
        self.now = now


@dataclass(frozen=True)
class Change:
    """An entry as somebody wants it; `seen` is the fingerprint of what they saw."""

    kind: Kind
    code: str
    fields: Mapping[str, Any]
    seen: str


@dataclass(frozen=True)
class Shown:
    """An entry as it stands, and everything it may refer to; `fields` None: there is none of that name."""

    fields: Fields | None
    known: Known


def fingerprint(state: State, fields: Mapping[str, Any] | None) -> str:
    """Differs as soon as the entry does; tells nothing about what is in it."""
    told = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return state.secret.mac("entry", told).hex()[:32]


async def listed(state: State, person: Person, kind: Kind) -> Entries:
    """The entries of a dictionary of the person's tenant."""
    async with state.database.transaction() as tx:
        return await entries(tx, person.tenant, kind)


async def look(state: State, person: Person, kind: Kind, code: str) -> Shown:
    """One entry of the person's tenant."""
    async with state.database.transaction() as tx:
        found = (await entries(tx, person.tenant, kind)).get(code)
        return Shown(found, await known(tx, person.tenant))


async def save(state: State, person: Person, change: Change, *, dry: bool = False) -> Outcome:
    """Write it, unless the entry is not as its sender saw it: raises Overtaken, and as `set_entry` does.

    `dry` only tells what would come of it.
    """
    async with state.database.transaction() as tx:
        who = by(person)
        await _as_seen(state, tx, change, who)
        outcome = await set_entry(tx, change.kind, change.code, change.fields, who)
        if dry:
            await tx.roll_back()
    return outcome


async def take_away(state: State, person: Person, change: Change, *, dry: bool = False) -> str:
    """Remove or deactivate it, likewise; answers which of both was done."""
    async with state.database.transaction() as tx:
        who = by(person)
        await _as_seen(state, tx, change, who)
        done = await remove_entry(tx, change.kind, change.code, who)
        if dry:
            await tx.roll_back()
    return done


async def _as_seen(state: State, tx: Transaction, change: Change, who: By) -> None:
    """Wait for whoever changes a dictionary of the tenant, then compare."""
    await lock_tenant(tx, who.tenant)
    now = (await entries(tx, who.tenant, change.kind)).get(change.code)
    if fingerprint(state, now) != change.seen:
        raise Overtaken(now)


def as_it_holds(kind: Kind, code: str, fields: Fields | None) -> Fields:
    """The entry; a status holds without one. Raises NotFound."""
    if fields is not None:
        return fields
    if kind is Kind.STATUS and code in set(MintStatus):
        return {**StatusEntry.defaults(code), "sla_hours": None}
    raise NotFound(f"there is no {kind} {code[:80]}")
