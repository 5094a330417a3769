"""Departments: who answers for some topics, and whose leads hear of what stalls."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from domain.errors import InvalidInput

Code = Annotated[str, typer.Argument(metavar="DEPARTMENT", help="Such as treasury.")]

_COLUMNS = ("code", "name", "slack_channel", "leads")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    department = typer.Typer(no_args_is_help=True, help="Departments, whose leads hear of what stalls.")
    command(department, "list")(list_departments)
    command(department, "show")(show)
    command(department, "set")(set_department)
    command(department, "remove")(remove)
    app.add_typer(department, name="department")


async def list_departments(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's departments."""
    from commands.entries import all_of, table
    from domain.entry import Kind

    found = await all_of(cli, Kind.DEPARTMENT, tenant)
    documents = [{"code": code, **fields} for code, fields in found.items()]
    table(cli, "departments", documents, _COLUMNS, "no departments")


async def show(cli: Cli, code: Code, tenant: Tenant = None) -> None:
    """Show one department."""
    from commands.entries import all_of, fields, one_of
    from domain.entry import Kind

    found = one_of(await all_of(cli, Kind.DEPARTMENT, tenant), Kind.DEPARTMENT, code)
    fields(cli, {"code": code, **found})


async def set_department(
    cli: Cli,
    code: Code,
    name: Annotated[Text, option("--name", "What people read.")] = None,
    leads: Annotated[
        list[str] | None, option("--lead", "A user who hears of what stalls; several times.", "USER")
    ] = None,
    no_leads: Annotated[bool, typer.Option("--no-leads", help="Nobody hears.", show_default=False)] = False,
    slack_channel: Annotated[Text, option("--slack-channel", "Where its leads read.")] = None,
    no_slack_channel: Annotated[
        bool, typer.Option("--no-slack-channel", help="Nowhere.", show_default=False)
    ] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a department, or change what is given of one; its leads are those that are named."""
    from commands.entries import choice, given, put
    from domain.entry import Kind

    if leads and no_leads:
        raise InvalidInput("--no-leads contradicts --lead: give one of them", "leads")
    values = given(name=name, leads=leads or ([] if no_leads else None))
    values |= choice("slack-channel", no_slack_channel, slack_channel=slack_channel)
    outcome = await put(cli, Kind.DEPARTMENT, code, values, tenant, actor)
    cli.emit({"code": code, **outcome.fields}, lambda: f"department {code} is set")


async def remove(cli: Cli, code: Code, tenant: Tenant = None, actor: Actor = None) -> None:
    """Remove a department that has no topics."""
    from commands.entries import take_away
    from domain.entry import Kind

    await take_away(cli, Kind.DEPARTMENT, code, tenant, actor)
    cli.emit({"code": code, "removed": True}, lambda: f"department {code} is removed")
