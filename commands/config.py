"""A tenant's dictionaries as one file: written out, and read back in all or nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, option
from domain.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from db.writes.configuration import Applied
    from domain.configuration import Change

_HEADER = """\
# Configuration of tenant {tenant}, written by 'mintkeeper config export' at {at}.
# 'mintkeeper config apply FILE' sets what stands here and removes nothing; try it with --dry-run first.
# It holds contacts of people: keep it as you keep those. Secrets of channels are references, never values;
# keys of users and escalation policies are not part of it ('mintkeeper keys register', 'policy publish').
"""


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    config = typer.Typer(no_args_is_help=True, help="All dictionaries of a tenant as one YAML file.")
    command(config, "export")(export)
    command(config, "apply")(apply)
    app.add_typer(config, name="config")


async def export(
    cli: Cli,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where to; to stdout unless said.", show_default=False),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Write the tenant's dictionaries as YAML that 'config apply' reads."""
    from commands.lookup import check_tenant
    from db.reads.entries import every_entry
    from domain.configuration import exported
    from domain.plain_yaml import write_yaml

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await check_tenant(tx, code)
        configuration = await every_entry(tx, code)
    document = exported(configuration)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = _HEADER.format(tenant=code, at=now) + write_yaml(document)
    if file is None:
        cli.emit(document, lambda: text.rstrip("\n"))
        return
    _save(file, text)
    entries = sum(len(section) for section in configuration.values())
    answer = {"tenant": code, "file": str(file), "entries": entries}
    cli.emit(answer, lambda: f"{entries} entries of {code} are in {file}")


async def apply(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML as 'config export' writes it.")],
    dry_run: Annotated[bool, option("--dry-run", "Say what would change, and change nothing.")] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Set what a file says of the tenant's dictionaries: all of it or, if anything is wrong, nothing."""
    from commands.entries import by
    from db.writes.configuration import apply_configuration
    from domain.plain_yaml import read_yaml

    document = read_yaml(_content(file), str(file))
    who = by(cli, tenant, actor)
    async with cli.transaction() as tx:
        applied = await apply_configuration(tx, document, who)
        if dry_run:
            await tx.roll_back()
    for warning in applied.warnings:
        cli.note(f"warning: {warning}")
    cli.emit(applied_document(who.tenant, applied, dry_run), lambda: _show(applied, dry_run))


def applied_document(tenant: str, applied: Applied, dry_run: bool) -> dict[str, Any]:
    """What became of a configuration, for machines."""
    return {
        "tenant": tenant,
        "dry_run": dry_run,
        "added": applied.added,
        "changed": applied.changed,
        "unchanged": applied.unchanged,
        "changes": [change.model_dump(mode="json") for change in applied.changes],
        "warnings": list(applied.warnings),
    }


def _show(applied: Applied, dry_run: bool) -> None:
    from rich.text import Text

    from commands.render import print_rich

    for line in (line for change in applied.changes for line in _lines(change)):
        print_rich(line)
    would = "would be " if dry_run else ""
    counts = f"{applied.added} {would}added, {applied.changed} {would}changed, {applied.unchanged} unchanged"
    print_rich(Text(counts + ("; nothing was written" if dry_run else "")))


def _lines(change: Change) -> list[Any]:
    from rich.text import Text

    if change.is_new:
        fields = [Text(f"+   {name}: {_value(value)}", style="green") for name, value in change.after.items()]
        return [Text(f"+ {change.path}", style="green"), *fields]
    before, after = Text(_value(change.before), style="red"), Text(_value(change.after), style="green")
    return [Text.assemble((f"~ {change.path}: ", "yellow"), before, " -> ", after)]


def _value(value: Any) -> str:
    import json

    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _content(file: Path) -> bytes:
    from domain.plain_yaml import MOST_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}", "file") from error


def _save(file: Path, text: str) -> None:
    """Write it in one step, and for nobody else to read: it holds people's addresses."""
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as new:
            new.write(text)
        beside.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} can't be written: {error.strerror}") from error
