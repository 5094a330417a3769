"""Topics: the desks that requests belong to."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option

Code = Annotated[str, typer.Argument(metavar="TOPIC", help="Such as treasury-eu.")]

_COLUMNS = ("code", "name", "department", "calendar", "auto_assign_after_hours", "active")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    topic = typer.Typer(no_args_is_help=True, help="Topics: the desks that requests belong to.")
    command(topic, "list")(list_topics)
    command(topic, "show")(show)
    command(topic, "set")(set_topic)
    command(topic, "remove")(remove)
    app.add_typer(topic, name="topic")


async def list_topics(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's topics."""
    from commands.entries import all_of, table
    from domain.entry import Kind

    found = await all_of(cli, Kind.TOPIC, tenant)
    table(cli, "topics", [{"code": code, **fields} for code, fields in found.items()], _COLUMNS, "no topics")


async def show(cli: Cli, code: Code, tenant: Tenant = None) -> None:
    """Show one topic."""
    from commands.entries import all_of, fields, one_of
    from domain.entry import Kind

    fields(cli, {"code": code, **one_of(await all_of(cli, Kind.TOPIC, tenant), Kind.TOPIC, code)})


async def set_topic(
    cli: Cli,
    code: Code,
    name: Annotated[Text, option("--name", "What people read.")] = None,
    department: Annotated[Text, option("--department", "Whose leads hear of stalled requests.")] = None,
    calendar: Annotated[Text, option("--calendar", "In whose working time its SLA counts.")] = None,
    no_calendar: Annotated[
        bool, typer.Option("--no-calendar", help="Its SLA counts always.", show_default=False)
    ] = False,
    auto_assign_after: Annotated[
        Text, option("--auto-assign-after", "Give to somebody what nobody has claimed for so long.", "HOURS")
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Takes new requests.", show_default=False)
    ] = None,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a topic, or change what is given of one."""
    from commands.entries import choice, given, number, put
    from domain.entry import Kind

    values = given(
        name=name, department=department, active=active, auto_assign_after_hours=number(auto_assign_after)
    ) | choice("calendar", no_calendar, calendar=calendar)
    outcome = await put(cli, Kind.TOPIC, code, values, tenant, actor)
    cli.emit({"code": code, **outcome.fields}, lambda: f"topic {code} is set")


async def remove(cli: Cli, code: Code, tenant: Tenant = None, actor: Actor = None) -> None:
    """Close a topic for new requests; those that belong to it stay."""
    from commands.entries import take_away
    from domain.entry import Kind

    await take_away(cli, Kind.TOPIC, code, tenant, actor)
    cli.emit({"code": code, "active": False}, lambda: f"topic {code} takes no new requests")
