"""Approval rules: who has to approve a mint, by asset and amount."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option

Position = Annotated[int, typer.Argument(min=0, metavar="POSITION", help="The first match counts.")]


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    rule = typer.Typer(no_args_is_help=True, help="Approval rules, in their order; no match: denied.")
    command(rule, "list")(list_rules)
    command(rule, "show")(show)
    command(rule, "set")(set_rule)
    command(rule, "remove")(remove)
    app.add_typer(rule, name="rule")


async def list_rules(cli: Cli, tenant: Tenant = None) -> None:
    """List the tenant's rules."""
    from commands.entries import table

    documents = await _documents(cli, tenant)
    table(cli, "rules", documents, list(documents[0]) if documents else [], "no rules: every mint is denied")


async def show(cli: Cli, position: Position, tenant: Tenant = None) -> None:
    """Show one rule."""
    from commands.entries import fields
    from domain.errors import NotFound

    found = [rule for rule in await _documents(cli, tenant) if rule["position"] == position]
    if not found:
        raise NotFound(f"there is no approval rule at position {position}: see 'mintkeeper rule list'")
    fields(cli, found[0])


async def set_rule(
    cli: Cli,
    position: Position,
    approvals: Annotated[int, option("--approvals", "How many approvers are needed.")],
    asset: Annotated[str, typer.Option("--asset", help="CODE:ISSUER, or * for every asset.")] = "*",
    minimum: Annotated[Text, option("--min", "Lowest amount of the band, inclusive.")] = None,
    maximum: Annotated[Text, option("--max", "Highest amount of the band, inclusive.")] = None,
    min_tier: Annotated[int, typer.Option("--min-tier", help="Lowest tier that counts.")] = 1,
    at_least_one_of_tier: Annotated[
        int | None, option("--at-least-one-of-tier", "One approver has this tier or a higher one.")
    ] = None,
    daily_cap: Annotated[Text, option("--daily-cap", "At most so much of an asset in 24 h.")] = None,
    step_up_above: Annotated[
        Text, option("--step-up-above", "Who approves more needs a one-time code too; kept unless said.")
    ] = None,
    no_step_up: Annotated[
        bool, typer.Option("--no-step-up", help="Nobody needs a one-time code.", show_default=False)
    ] = False,
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create or replace the rule at a position."""
    from commands.entries import choice, put
    from domain.entry import Kind

    values: dict[str, Any] = {
        "asset": asset, "approvals": approvals, "min_tier": min_tier,
        "at_least_one_of_tier": at_least_one_of_tier, "min": minimum or "0", "max": maximum,
        "daily_cap": daily_cap, **choice("step-up", no_step_up, step_up_above=step_up_above),
    }  # fmt: skip
    outcome = await put(cli, Kind.RULE, str(position), values, tenant, actor)
    cli.emit(
        {"position": position, **outcome.fields}, lambda: f"rule {position} of {cli.tenant(tenant)} is set"
    )


async def remove(cli: Cli, position: Position, tenant: Tenant = None, actor: Actor = None) -> None:
    """Remove a rule; requests that were opened under it keep it."""
    from db.writes import dictionaries

    async with cli.transaction() as tx:
        await dictionaries.remove_rule(
            tx, tenant=cli.tenant(tenant), position=position, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"position": position, "removed": True}, lambda: f"rule {position} is removed")


async def _documents(cli: Cli, tenant: str | None) -> list[dict[str, Any]]:
    from commands.entries import all_of
    from domain.entry import Kind

    found = await all_of(cli, Kind.RULE, tenant)
    return [{"position": int(code), **fields} for code, fields in found.items()]
