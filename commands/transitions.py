"""Transitions: how long a request of a topic may take from one status to another."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option
from domain.errors import InvalidInput

Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="Such as treasury-eu.")]
From = Annotated[str, typer.Argument(metavar="FROM", help="A status such as PENDING.")]
To = Annotated[str, typer.Argument(metavar="TO", help="Another status, such as APPROVED.")]

_COLUMNS = ("topic", "from", "to", "sla_hours")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    transition = typer.Typer(no_args_is_help=True, help="Transitions of a topic, with their SLA hours.")
    command(transition, "list")(list_transitions)
    command(transition, "show")(show)
    command(transition, "set")(set_transition)
    command(transition, "remove")(remove)
    app.add_typer(transition, name="transition")


async def list_transitions(
    cli: Cli,
    topic: Annotated[Text, option("--topic", "Only those of this topic.")] = None,
    tenant: Tenant = None,
) -> None:
    """List the tenant's transitions; the smallest SLA of those out of a status is its threshold."""
    from commands.entries import all_of, table
    from domain.entry import Kind

    found = await all_of(cli, Kind.TRANSITION, tenant)
    documents = [_document(code, fields) for code, fields in found.items()]
    documents = [document for document in documents if topic in (None, document["topic"])]
    table(cli, "transitions", documents, _COLUMNS, "no transitions: the statuses' own SLA holds")


async def show(cli: Cli, topic: Topic, begin: From, end: To, tenant: Tenant = None) -> None:
    """Show one transition."""
    from commands.entries import all_of, fields, one_of
    from domain.dictionaries import transition_code
    from domain.entry import Kind

    code = transition_code(topic, begin, end)
    fields(cli, _document(code, one_of(await all_of(cli, Kind.TRANSITION, tenant), Kind.TRANSITION, code)))


async def set_transition(
    cli: Cli,
    topic: Topic,
    begin: From,
    end: To,
    sla_hours: Annotated[
        Text, option("--sla-hours", "Whole hours of the topic's business time.", "N")
    ] = None,
    no_sla: Annotated[bool, typer.Option("--no-sla", help="No time of its own.", show_default=False)] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create a transition, or change its SLA."""
    from commands.entries import choice, number, put
    from domain.dictionaries import transition_code
    from domain.entry import Kind

    values = choice("sla", no_sla, sla_hours=number(sla_hours))
    if not values:
        raise InvalidInput("say how long it may take with --sla-hours, or --no-sla", "sla_hours")
    code = transition_code(topic, begin, end)
    outcome = await put(cli, Kind.TRANSITION, code, {**_named(topic, begin, end), **values}, tenant, actor)
    document = {**_named(topic, begin, end), **outcome.fields, "warnings": list(outcome.warnings)}
    cli.emit(document, lambda: f"transition {code} is set")


async def remove(
    cli: Cli, topic: Topic, begin: From, end: To, tenant: Tenant = None, actor: Actor = None
) -> None:
    """Remove a transition: from then on another one's SLA, or the status' own, holds."""
    from commands.entries import take_away
    from domain.dictionaries import transition_code
    from domain.entry import Kind

    code = transition_code(topic, begin, end)
    await take_away(cli, Kind.TRANSITION, code, tenant, actor)
    cli.emit({**_named(topic, begin, end), "removed": True}, lambda: f"transition {code} is removed")


def _named(topic: str, begin: str, end: str) -> dict[str, Any]:
    return {"topic": topic, "from": begin, "to": end}


def _document(code: str, fields: dict[str, Any]) -> dict[str, Any]:
    from domain.dictionaries import TransitionEntry

    return {**TransitionEntry.named(code), **fields}
