"""Business calendars: in whose working time a topic's SLA counts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from commands.weekly import Always, Hours, read_weekly, weekly_text
from domain.errors import InvalidInput

Code = Annotated[str, typer.Argument(metavar="CALENDAR", help="Such as frankfurt.")]

_COLUMNS = ("code", "name", "time_zone", "hours", "country", "subdivision", "holidays")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    calendar = typer.Typer(no_args_is_help=True, help="Business calendars that topics count their SLA by.")
    command(calendar, "list")(list_calendars)
    command(calendar, "show")(show)
    command(calendar, "set")(set_calendar)
    command(calendar, "remove")(remove)
    app.add_typer(calendar, name="calendar")


async def list_calendars(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's calendars."""
    from commands.entries import all_of, table
    from domain.entry import Kind

    found = await all_of(cli, Kind.CALENDAR, tenant)
    documents = [{"code": code, **fields} for code, fields in found.items()]
    table(cli, "calendars", documents, _COLUMNS, "no calendars: every clock runs always", _readable)


async def show(cli: Cli, code: Code, tenant: Tenant = None) -> None:
    """Show one calendar."""
    from commands.entries import all_of, fields, one_of
    from domain.entry import Kind

    found = one_of(await all_of(cli, Kind.CALENDAR, tenant), Kind.CALENDAR, code)
    fields(cli, {"code": code, **found}, _readable)


async def set_calendar(
    cli: Cli,
    code: Code,
    name: Annotated[Text, option("--name", "What people read.")] = None,
    hours: Hours = None,
    always: Always = False,
    zone: Annotated[Text, option("--zone", "Whose clock it is, such as Europe/Berlin.")] = None,
    country: Annotated[Text, option("--country", "Without its public holidays, such as DE.")] = None,
    subdivision: Annotated[Text, option("--subdivision", "And those of a part of it, such as BY.")] = None,
    no_country: Annotated[
        bool, typer.Option("--no-country", help="No public holidays.", show_default=False)
    ] = False,
    holidays: Annotated[
        list[str] | None, option("--holiday", "A further day off, such as 2026-12-24; several times.", "DATE")
    ] = None,
    no_holidays: Annotated[
        bool, typer.Option("--no-holidays", help="No further days off.", show_default=False)
    ] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a calendar, or change what is given of one."""
    from commands.entries import given, put
    from domain.entry import Kind

    if (no_country and (country or subdivision)) or (no_holidays and holidays):
        raise InvalidInput("an option and its --no-… contradict each other: give one of them", "calendar")
    values = given(name=name, time_zone=zone, country=country, subdivision=subdivision)
    values |= read_weekly(hours, always, "hours")
    values |= {"country": None, "subdivision": None} if no_country else {}
    values |= {"holidays": holidays or []} if holidays or no_holidays else {}
    outcome = await put(cli, Kind.CALENDAR, code, values, tenant, actor)
    cli.emit({"code": code, **outcome.fields}, lambda: f"calendar {code} is set")


async def remove(cli: Cli, code: Code, tenant: Tenant = None, actor: Actor = None) -> None:
    """Remove a calendar that no topic counts by."""
    from commands.entries import take_away
    from domain.entry import Kind

    await take_away(cli, Kind.CALENDAR, code, tenant, actor)
    cli.emit({"code": code, "removed": True}, lambda: f"calendar {code} is removed")


def _readable(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "hours": weekly_text(document["hours"])}
