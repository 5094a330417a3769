"""Statuses of a request: what a tenant calls them, their type, and their SLA where a topic has none."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option

Code = Annotated[str, typer.Argument(metavar="STATUS", help="Such as ANOMALY.")]

_COLUMNS = ("code", "name", "type", "sla_hours", "own")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    status = typer.Typer(no_args_is_help=True, help="Statuses of a request, with their types and SLA.")
    command(status, "list")(list_statuses)
    command(status, "show")(show)
    command(status, "set")(set_status)
    command(status, "remove")(remove)
    app.add_typer(status, name="status")


async def list_statuses(cli: Cli, tenant: Tenant = None) -> None:
    """List every status; `own` are those of which the tenant has said something."""
    from commands.entries import table

    table(cli, "statuses", list((await _statuses(cli, tenant)).values()), _COLUMNS, "no statuses")


async def show(cli: Cli, code: Code, tenant: Tenant = None) -> None:
    """Show one status."""
    from commands.entries import fields, one_of
    from domain.entry import Kind

    fields(cli, one_of(await _statuses(cli, tenant), Kind.STATUS, code))


async def set_status(
    cli: Cli,
    code: Code,
    name: Annotated[Text, option("--name", "What people read.")] = None,
    kind: Annotated[Text, option("--type", "workflow, settlement or billing.")] = None,
    sla_hours: Annotated[
        Text, option("--sla-hours", "Where no transition of the topic has an SLA.", "N")
    ] = None,
    no_sla: Annotated[bool, typer.Option("--no-sla", help="No SLA of its own.", show_default=False)] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Change what is given of a status; the statuses themselves are fixed."""
    from commands.entries import choice, given, number, put
    from domain.entry import Kind

    values = given(name=name, type=kind) | choice("sla", no_sla, sla_hours=number(sla_hours))
    outcome = await put(cli, Kind.STATUS, code, values, tenant, actor)
    cli.emit({"code": code, **outcome.fields, "own": True}, lambda: f"status {code} is set")


async def remove(cli: Cli, code: Code, tenant: Tenant = None, actor: Actor = None) -> None:
    """Let a status be again what it is by itself."""
    from commands.entries import take_away
    from domain.entry import Kind

    await take_away(cli, Kind.STATUS, code, tenant, actor)
    cli.emit(
        {"code": code, "removed": True}, lambda: f"status {code} has its own name, type and no SLA again"
    )


async def _statuses(cli: Cli, tenant: str | None) -> dict[str, dict[str, Any]]:
    from commands.entries import all_of
    from domain.dictionaries import every_status
    from domain.entry import Kind

    own = await all_of(cli, Kind.STATUS, tenant)
    return {code: {"code": code, **fields, "own": code in own} for code, fields in every_status(own).items()}
