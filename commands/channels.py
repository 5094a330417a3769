"""Notification channels: named ways to reach people, which policies refer to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, option
from domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from db.reads.catalogue import Channel

Name = Annotated[str, typer.Argument(metavar="CHANNEL", help="As policies name it.")]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    channel = typer.Typer(no_args_is_help=True, help="Notification channels that policies refer to.")
    command(channel, "list")(list_channels)
    command(channel, "show")(show)
    command(channel, "set")(set_channel)
    command(channel, "remove")(remove)
    app.add_typer(channel, name="channel")


async def list_channels(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's channels."""
    from commands.render import plain_table

    channels = [channel.model_dump() for channel in await _channels(cli, tenant)]
    columns = ("name", "kind", "settings")
    rows = [[channel[column] for column in columns] for channel in channels]
    cli.emit({"channels": channels}, lambda: plain_table(columns, rows, "no channels"))


async def show(cli: Cli, name: Name, tenant: Tenant = None) -> None:
    """Show one channel."""
    from commands.render import plain_fields

    found = next((channel for channel in await _channels(cli, tenant) if channel.name == name), None)
    if found is None:
        raise NotFound(f"unknown channel {name!r}: see 'mintkeeper channel list'")
    document = found.model_dump()
    cli.emit(document, lambda: plain_fields(document))


async def set_channel(
    cli: Cli,
    name: Name,
    kind: Annotated[str, option("--kind", "in-app, slack, email, telegram, pagerduty, webhook or console.")],
    settings: Annotated[
        list[str] | None,
        option("--setting", "NAME=VALUE, such as channel=#mint or per_minute=60; several times."),
    ] = None,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create or replace a channel."""
    from commands.entries import put
    from domain.entry import Kind

    values = {"kind": kind, "settings": dict(_setting(text) for text in settings or ())}
    outcome = await put(cli, Kind.CHANNEL, name, values, tenant, actor)
    cli.emit({"name": name, **outcome.fields}, lambda: f"channel {name} is set")


async def remove(cli: Cli, name: Name, tenant: Tenant = None, actor: Actor = None) -> None:
    """Remove a channel that no policy in use needs."""
    from db.writes.channels import remove_channel

    async with cli.transaction() as tx:
        await remove_channel(
            tx, tenant=cli.tenant(tenant), name=name, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"name": name, "removed": True}, lambda: f"channel {name} is removed")


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise InvalidInput(f"setting {text!r} is not of the form NAME=VALUE", "setting")
    return name, value


async def _channels(cli: Cli, tenant: str | None) -> list[Channel]:
    from db.reads.catalogue import channels

    async with cli.transaction() as tx:
        return await channels(tx, cli.tenant(tenant))
