"""Approval rules: who has to approve a mint, by asset and amount."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Actor, Tenant, Text, option

if TYPE_CHECKING:
    from domain.approvals import ApprovalRule

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
    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        documents = [_document(rule) for rule in await reads.rules(tx, cli.tenant(tenant))]
    columns = list(documents[0]) if documents else []
    rows = [list(document.values()) for document in documents]
    cli.emit({"rules": documents}, lambda: plain_table(columns, rows, "no rules: every mint is denied"))


async def show(cli: Cli, position: Position, tenant: Tenant = None) -> None:
    """Show one rule."""
    from commands.render import plain_fields
    from db import reads
    from domain.errors import NotFound

    async with cli.transaction() as tx:
        rules = await reads.rules(tx, cli.tenant(tenant))
    found = next((rule for rule in rules if rule.position == position), None)
    if found is None:
        raise NotFound(f"there is no approval rule at position {position}: see 'mintkeeper rule list'")
    document = _document(found)
    cli.emit(document, lambda: plain_fields(document))


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
    tenant: Tenant = None,
    actor: Actor = None,
) -> None:
    """Create or replace the rule at a position."""
    from pydantic import ValidationError

    from db.writes import dictionaries
    from domain.amounts import parse_amount
    from domain.approvals import ApprovalRule
    from domain.errors import InvalidInput

    values: dict[str, Any] = {
        "tenant": cli.tenant(tenant), "position": position, "asset": asset, "approvals": approvals,
        "min_tier": min_tier, "at_least_one_of_tier": at_least_one_of_tier,
    }  # fmt: skip
    amounts = {"min_stroops": minimum, "max_stroops": maximum, "daily_cap_stroops": daily_cap}
    values |= {name: parse_amount(text) for name, text in amounts.items() if text is not None}
    try:
        rule = ApprovalRule(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "rule"
        raise InvalidInput(f"{where}: {first['msg']}", where) from error
    async with cli.transaction() as tx:
        await dictionaries.set_rule(tx, rule=rule, actor=cli.actor(actor), at=datetime.now(UTC))
    cli.emit(_document(rule), lambda: f"rule {position} of {rule.tenant} is set")


async def remove(cli: Cli, position: Position, tenant: Tenant = None, actor: Actor = None) -> None:
    """Remove a rule; requests that were opened under it keep it."""
    from db.writes import dictionaries

    async with cli.transaction() as tx:
        await dictionaries.remove_rule(
            tx, tenant=cli.tenant(tenant), position=position, actor=cli.actor(actor), at=datetime.now(UTC)
        )
    cli.emit({"position": position, "removed": True}, lambda: f"rule {position} is removed")


def _document(rule: ApprovalRule) -> dict[str, Any]:
    from domain.amounts import MAX_STROOPS, format_amount

    cap, highest = rule.daily_cap_stroops, rule.max_stroops
    return {
        "position": rule.position,
        "asset": rule.asset,
        "min": format_amount(rule.min_stroops),
        "max": None if highest == MAX_STROOPS else format_amount(highest),
        "approvals": rule.approvals,
        "min_tier": rule.min_tier,
        "at_least_one_of_tier": rule.at_least_one_of_tier,
        "daily_cap": None if cap is None else format_amount(cap),
    }
