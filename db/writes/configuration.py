"""A whole configuration in one transaction: everything it says, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from db.reads.entries import every_entry, known
from db.session import Transaction
from db.writes.admins import keeping_an_admin
from db.writes.entries import By, write
from db.writes.rows import lock_people, lock_tenant
from domain.configuration import Change, differences, entry_path, read_configuration
from domain.dictionaries import DepartmentEntry
from domain.entry import Entry, Kind, Known
from domain.entry_checks import check, warnings
from domain.errors import FieldsError, InvalidInput, Refused

_LOCK_USERS = text("SELECT 1 FROM users WHERE tenant = :tenant ORDER BY name FOR NO KEY UPDATE")
_LOCK_POLICIES = text(
    "SELECT 1 FROM escalation_policies WHERE tenant = :tenant AND deleted_at IS NULL ORDER BY id FOR SHARE"
)
_CHECK_ALL = text("SET CONSTRAINTS ALL IMMEDIATE")


@dataclass(frozen=True)
class Applied:
    """What became of a configuration."""

    changes: tuple[Change, ...]
    unchanged: int
    """Entries that it names and that were as it says."""
    warnings: tuple[str, ...]

    @property
    def added(self) -> int:
        """Entries that are new."""
        return sum(change.is_new for change in self.changes)

    @property
    def changed(self) -> int:
        """Entries that are not as they were."""
        return len({change.entry for change in self.changes if not change.is_new})


async def apply_configuration(tx: Transaction, document: Any, by: By) -> Applied:
    """Set what a document says; what it does not name stays. For a dry run, roll the transaction back.

    Raises InvalidInput with a message for each path that is wrong, NotFound for an unknown tenant, and
    Refused where a change needs an admin. Entries may refer to others of the same document.
    """
    wanted = read_configuration(document, by.tenant)
    await _lock(tx, wanted, by.tenant)
    before = await every_entry(tx, by.tenant)
    entries = _checked(wanted, before, await known(tx, by.tenant))
    async with keeping_an_admin(tx, by.tenant, Kind.USER):
        await _write_all(tx, entries, before, by)
    await tx.run(_CHECK_ALL)
    changes = differences(before, await every_entry(tx, by.tenant))
    touched = {change.entry for change in changes}
    return Applied(
        changes=tuple(changes),
        unchanged=sum(entry_path(kind, code) not in touched for kind, code in entries),
        warnings=tuple(
            f"{entry_path(kind, code)}: {told}"
            for (kind, code), entry in entries.items()
            for told in warnings(entry)
        ),
    )


async def _lock(tx: Transaction, wanted: Collection[Kind], tenant: str) -> None:
    """All that others hold before they wait for the audit chain: we are to write there many times."""
    await lock_tenant(tx, tenant)
    if Kind.USER in wanted:
        await lock_people(tx, tenant)
        await tx.run(_LOCK_USERS, {"tenant": tenant})
    if Kind.EVENT_RULE in wanted:
        await tx.run(_LOCK_POLICIES, {"tenant": tenant})


def _checked(
    wanted: Mapping[Kind, Mapping[str, Mapping[str, Any]]],
    before: Mapping[Kind, Mapping[str, Mapping[str, Any]]],
    today: Known,
) -> dict[tuple[Kind, str], Entry]:
    """Every entry, in an order in which each finds what it refers to."""
    soon = Known(
        {kind: today.codes.get(kind, frozenset()) | wanted.get(kind, {}).keys() for kind in Kind}
        | {"policy": today.codes.get("policy", frozenset())}
    )
    found: dict[tuple[Kind, str], Entry] = {}
    problems: dict[str, str] = {}
    for kind in Kind:
        for code, fields in sorted(wanted.get(kind, {}).items()):
            try:
                found[kind, code] = check(kind, code, {**before[kind].get(code, {}), **fields}, soon)
            except FieldsError as error:
                path = entry_path(kind, code)
                problems |= {f"{path}.{name}": told for name, told in error.fields.items()}
    if problems:
        raise InvalidInput("the configuration can't be applied", fields=problems)
    return found


async def _write_all(
    tx: Transaction,
    entries: Mapping[tuple[Kind, str], Entry],
    before: Mapping[Kind, Mapping[str, Mapping[str, Any]]],
    by: By,
) -> None:
    departments = {key: entry for key, entry in entries.items() if isinstance(entry, DepartmentEntry)}
    for (kind, code), entry in entries.items():
        known_before = before[kind].get(code, {})
        first = _with_leads(entry, before[Kind.USER].keys()) if (kind, code) in departments else entry
        await _write(tx, kind, code, first, known_before, by)
    # their leads may be users of the same document
    for (kind, code), entry in departments.items():
        await _write(tx, kind, code, entry, before[kind].get(code, {}), by)


def _with_leads(entry: Entry, known_users: Collection[str]) -> Entry:
    leads = [lead for lead in entry.fields()["leads"] if lead in known_users]
    return entry.model_copy(update={"leads": leads})


async def _write(
    tx: Transaction, kind: Kind, code: str, entry: Entry, before: Mapping[str, Any], by: By
) -> None:
    try:
        await write(tx, kind, code, entry, before, by)
    except Refused as error:
        raise Refused(f"{entry_path(kind, code)}: {error.message}") from error
