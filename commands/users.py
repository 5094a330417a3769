"""Users of a tenant: requesters, approvers with a tier, admins, auditors."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from commands.quiet import NoQuiet, Quiet, quiet_text, read_quiet
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
    app.add_typer(user, name="user")


async def list_users(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's users."""
    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        users = [user.model_dump(mode="json") for user in await reads.users(tx, cli.tenant(tenant))]
    columns = (
        "name", "roles", "tier", "active", "email", "time_zone", "quiet_hours", "primary_topic", "topics",
        "keys",
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
    time_zone: Annotated[Text, option("--time-zone", "Such as Europe/Berlin.")] = None,
    primary_topic: Annotated[Text, option("--primary-topic", "The desk they belong to.")] = None,
    topics: Annotated[list[str] | None, option("--topic", "An additional topic; several times.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="May act at all.", show_default=False)
    ] = None,
    quiet: Quiet = None,
    no_quiet: NoQuiet = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a user, or change what is given of one."""
    from db import reads
    from db.writes import dictionaries

    code = cli.tenant(tenant)
    given: dict[str, Any] = {
        "roles": [role.value for role in roles] if roles else None, "tier": tier, "email": email,
        "telegram_chat": telegram_chat, "time_zone": time_zone, "primary_topic": primary_topic,
        "topics": topics or None, "active": active,
    }  # fmt: skip
    async with cli.transaction() as tx:
        known = _find(await reads.users(tx, code), name)
        before = known.model_dump(exclude={"name", "keys", "quiet_hours"}) if known else {"roles": ()}
        values = {**before, **{key: value for key, value in given.items() if value is not None}}
        hours = read_quiet(quiet, no_quiet, values.get("time_zone", "UTC"))
        by: dict[str, Any] = {
            "tenant": code, "name": _valid(name), "actor": cli.actor(actor), "at": datetime.now(UTC)
        }  # fmt: skip
        await dictionaries.set_user(tx, **by, **values)
        if hours is not None:
            await dictionaries.set_user_quiet_hours(tx, **by, hours=hours)
        after = _find(await reads.users(tx, code), name)
    cli.emit(after.model_dump(mode="json") if after else {}, lambda: f"user {name} of {code} is set")


async def remove(cli: Cli, name: Name, tenant: Tenant = None, actor: Actor = None) -> None:
    """Deactivate a user: decides nothing, is told nothing; what they did stays."""
    from db.writes import dictionaries

    async with cli.transaction() as tx:
        await dictionaries.deactivate_user(
            tx, tenant=cli.tenant(tenant), name=name, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"name": name, "active": False}, lambda: f"user {name} is not active any more")


def _find(users: list[User], name: str) -> User | None:
    return next((user for user in users if user.name == name), None)


def _valid(name: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from domain.errors import InvalidInput
    from domain.text import UserName

    try:
        return TypeAdapter[str](UserName).validate_python(name)
    except ValidationError as error:
        raise InvalidInput(f"user name {name!r} is not valid: {error.errors()[0]['msg']}", "user") from error


def _readable(user: dict[str, Any]) -> dict[str, Any]:
    return {**user, "quiet_hours": quiet_text(user["quiet_hours"])}


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
