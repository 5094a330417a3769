"""What the commands of all dictionaries share: list, show, set and remove an entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from commands.context import Cli
from domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from db.writes.entries import By, Outcome
    from domain.entry import Kind

Fields = dict[str, Any]

_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)


def by(cli: Cli, tenant: str | None, actor: str | None) -> By:
    """Whose dictionary, and who changes it now."""
    from db.writes.entries import By

    return By(tenant=cli.tenant(tenant), actor=cli.actor(actor), at=datetime.now(UTC))


async def all_of(cli: Cli, kind: Kind, tenant: str | None) -> dict[str, Fields]:
    """The entries by code; raises NotFound for an unknown tenant."""
    from commands.lookup import check_tenant
    from db.reads.entries import entries

    async with cli.transaction() as tx:
        await check_tenant(tx, cli.tenant(tenant))
        return await entries(tx, cli.tenant(tenant), kind)


def one_of(entries: Mapping[str, Fields], kind: Kind, code: str) -> Fields:
    """The entry of that code; raises NotFound."""
    if code not in entries:
        raise NotFound(f"unknown {kind} {code!r}: see 'mintkeeper {kind} list'")
    return entries[code]


async def put(
    cli: Cli, kind: Kind, code: str, given: Mapping[str, Any], tenant: str | None, actor: str | None
) -> Outcome:
    """Create an entry or change the fields that are given; tells people what has no effect."""
    from db.writes.entries import set_entry

    async with cli.transaction() as tx:
        outcome = await set_entry(tx, kind, code, given, by(cli, tenant, actor))
    for warning in outcome.warnings:
        cli.note(f"warning: {warning}")
    return outcome


async def take_away(cli: Cli, kind: Kind, code: str, tenant: str | None, actor: str | None) -> None:
    """Remove an entry; raises NotFound, and Refused while something needs it."""
    from db.writes.entries import remove_entry

    async with cli.transaction() as tx:
        await remove_entry(tx, kind, code, by(cli, tenant, actor))


def given(**fields: Any) -> Fields:
    """The options that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def choice(option: str, none: bool, **field: Any) -> Fields:
    """A field that an option sets and `--no-OPTION` clears; raises InvalidInput for both."""
    ((name, value),) = field.items()
    if value is not None and none:
        raise InvalidInput(f"--no-{option} contradicts the option that sets it: give one of them", name)
    return {name: None} if none else given(**field)


def number(text: str | None) -> int | str | None:
    """A number where it is one; else the text, so that the entry's own check refuses it with the rest."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else text


def table(
    cli: Cli,
    name: str,
    documents: Sequence[Fields],
    columns: Sequence[str],
    empty: str,
    readable: Callable[[Fields], Fields] = dict,
) -> None:
    """Answer with a list of documents under a name."""

    def print_them() -> None:
        from commands.render import plain_table

        rows = [[_cell(readable(document)[column]) for column in columns] for document in documents]
        plain_table(columns, rows, empty)

    cli.emit({name: list(documents)}, print_them)


def fields(cli: Cli, document: Fields, readable: Callable[[Fields], Fields] = dict) -> None:
    """Answer with one document."""

    def print_it() -> None:
        from commands.render import plain_fields

        plain_fields(readable(document))

    cli.emit(document, print_it)


def _cell(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
