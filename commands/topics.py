"""Topics: the desks that requests belong to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from db.reads.dictionaries import Topic

Code = Annotated[str, typer.Argument(metavar="TOPIC", help="Such as treasury-eu.")]


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
    from commands.render import plain_table

    topics = [topic.model_dump() for topic in await _topics(cli, cli.tenant(tenant))]
    columns = ("code", "name", "department", "active")
    rows = [[topic[column] for column in columns] for topic in topics]
    cli.emit({"topics": topics}, lambda: plain_table(columns, rows, "no topics"))


async def show(cli: Cli, code: Code, tenant: Tenant = None) -> None:
    """Show one topic."""
    from commands.render import plain_fields

    document = _find(await _topics(cli, cli.tenant(tenant)), code).model_dump()
    cli.emit(document, lambda: plain_fields(document))


async def set_topic(
    cli: Cli,
    code: Code,
    name: Annotated[Text, option("--name", "What people read.")] = None,
    department: Annotated[Text, option("--department", "Whose leads hear of stalled requests.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Takes new requests.", show_default=False)
    ] = None,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a topic, or change what is given of one."""
    known = next((topic for topic in await _topics(cli, cli.tenant(tenant)) if topic.code == code), None)
    if known is None and department is None:
        raise InvalidInput("a new topic needs its --department", "department")
    topic = {
        "code": code,
        "name": name or (known.name if known else code),
        "department": department or (known.department if known else ""),
        "active": active if active is not None else (known.active if known else True),
    }
    await _write(cli, topic, tenant, actor)
    cli.emit(topic, lambda: f"topic {code} is set")


async def remove(cli: Cli, code: Code, tenant: Tenant = None, actor: Actor = None) -> None:
    """Close a topic for new requests; those that belong to it stay."""
    known = _find(await _topics(cli, cli.tenant(tenant)), code)
    await _write(cli, {**known.model_dump(), "active": False}, tenant, actor)
    cli.emit({"code": code, "active": False}, lambda: f"topic {code} takes no new requests")


async def _topics(cli: Cli, tenant: str) -> list[Topic]:
    from db import reads

    async with cli.transaction() as tx:
        return await reads.topics(tx, tenant)


def _find(topics: list[Topic], code: str) -> Topic:
    for topic in topics:
        if topic.code == code:
            return topic
    raise NotFound(f"unknown topic {code!r}: see 'mintkeeper topic list'")


async def _write(cli: Cli, topic: dict[str, object], tenant: str | None, actor: str | None) -> None:
    from db.writes import dictionaries

    async with cli.transaction() as tx:
        await dictionaries.set_topic(
            tx,
            tenant=cli.tenant(tenant),
            code=str(topic["code"]),
            name=str(topic["name"]),
            department=str(topic["department"]),
            active=bool(topic["active"]),
            actor=cli.actor(actor),
            at=datetime.now(UTC),
        )
