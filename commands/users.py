"""Users of a tenant: requesters, approvers with a tier, admins, auditors."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import accounts
from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from commands.quiet import NoQuiet, Quiet, quiet_text, read_quiet
from commands.weekly import Always, WorkingHours, read_weekly, weekly_text
from domain.errors import NotFound

if TYPE_CHECKING:
    from db.reads.dictionaries import User

Name = Annotated[str, typer.Argument(metavar="USER", help="The user's name within the tenant.")]


class Role(StrEnum):
    """What a user may be; a user can have several."""

    REQUESTER = "requester"
    APPROVER = "approver"
    ADMIN = "admin"
    AUDITOR = "auditor"


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    user = typer.Typer(no_args_is_help=True, help="Users: requesters, approvers, admins, auditors.")
    command(user, "list")(list_users)
    command(user, "show")(show)
    command(user, "set")(set_user)
    command(user, "remove")(remove)
    accounts.register(user)
    app.add_typer(user, name="user")


async def list_users(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's users."""
    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        users = [user.model_dump(mode="json") for user in await reads.users(tx, cli.tenant(tenant))]
    columns = (
        "name", "roles", "tier", "active", "email", "time_zone", "working_hours", "quiet_hours",
        "primary_topic", "topics", "max_load", "keys",
    )  # fmt: skip
    rows = [[_cell(_readable(user)[column]) for column in columns] for user in users]
    cli.emit({"users": users}, lambda: plain_table(columns, rows, "no users"))


async def show(cli: Cli, name: Name, tenant: Tenant = None) -> None:
    """Show one user."""
    from commands.render import plain_fields
    from db import reads

    async with cli.transaction() as tx:
        found = _find(await reads.users(tx, cli.tenant(tenant)), name)
    if found is None:
        raise NotFound(f"unknown user {name!r}: see 'mintkeeper user list'")
    document = found.model_dump(mode="json")
    cli.emit(document, lambda: plain_fields(_readable(document)))


async def set_user(
    cli: Cli,
    name: Name,
    roles: Annotated[list[Role] | None, option("--role", "May be given several times.")] = None,
    tier: Annotated[int | None, typer.Option("--tier", min=1, max=3, show_default=False)] = None,
    email: Annotated[Text, option("--email", "Where email goes.")] = None,
    telegram_chat: Annotated[Text, option("--telegram-chat", "Chat id.")] = None,
    slack_user: Annotated[Text, option("--slack-user", "Member ID of their Slack profile.")] = None,
    no_slack_user: Annotated[
        bool, typer.Option("--no-slack-user", help="They press no buttons in Slack.", show_default=False)
    ] = False,
    time_zone: Annotated[Text, option("--time-zone", "Such as Europe/Berlin.")] = None,
    primary_topic: Annotated[Text, option("--primary-topic", "The desk they belong to.")] = None,
    topics: Annotated[list[str] | None, option("--topic", "An additional topic; several times.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="May act at all.", show_default=False)
    ] = None,
    working_hours: WorkingHours = None,
    always: Always = False,
    max_load: Annotated[
        Text, option("--max-load", "The sweep gives them no more open requests than this.", "N")
    ] = None,
    no_max_load: Annotated[
        bool, typer.Option("--no-max-load", help="As many as there are.", show_default=False)
    ] = False,
    quiet: Quiet = None,
    no_quiet: NoQuiet = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a user, or change what is given of one."""
    from commands.entries import by, choice, given, number
    from db import reads
    from db.reads.entries import entries
    from db.writes.entries import set_entry
    from domain.entry import Kind

    values = given(
        roles=[role.value for role in roles] if roles else None,
        tier=tier,
        email=email,
        telegram_chat=telegram_chat,
        time_zone=time_zone,
        primary_topic=primary_topic,
        topics=topics or None,
        active=active,
    )
    values |= choice("slack-user", no_slack_user, slack_user=slack_user)
    values |= choice("max-load", no_max_load, max_load=number(max_load))
    values |= read_weekly(working_hours, always, "working_hours")
    who = by(cli, tenant, actor)
    async with cli.transaction() as tx:
        known = (await entries(tx, who.tenant, Kind.USER)).get(name, {})
        # a window that names no zone is in the user's own
        hours = read_quiet(quiet, no_quiet, time_zone or known.get("time_zone", "UTC"))
        values |= {} if hours is None else {"quiet_hours": hours.raw()}
        await set_entry(tx, Kind.USER, name, values, who)
        after = _find(await reads.users(tx, who.tenant), name)
    document = after.model_dump(mode="json") if after else {}
    cli.emit(document, lambda: f"user {name} of {who.tenant} is set")


async def remove(cli: Cli, name: Name, tenant: Tenant = None, actor: Actor = None) -> None:
    """Deactivate a user: decides nothing, is told nothing; what they did stays."""
    from commands.entries import take_away
    from domain.entry import Kind

    await take_away(cli, Kind.USER, name, tenant, actor)
    cli.emit({"name": name, "active": False}, lambda: f"user {name} is not active any more")


def _find(users: list[User], name: str) -> User | None:
    return next((user for user in users if user.name == name), None)


def _readable(user: dict[str, Any]) -> dict[str, Any]:
    hours = weekly_text(user["working_hours"])
    return {**user, "quiet_hours": quiet_text(user["quiet_hours"]), "working_hours": hours}


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
