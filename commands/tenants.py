"""Tenants: what each allows on the ledger beside the plain payment, and when its people are left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import AsUser, Text
from commands.quiet import NoQuiet, Quiet, quiet_text, read_quiet
from domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from db.session import Transaction

Code = Annotated[
    Text,
    typer.Argument(metavar="TENANT", help="The local stack's demo tenant unless said.", show_default=False),
]


def _switch(name: str, explained: str) -> Any:
    return typer.Option(f"--{name}/--no-{name}", help=explained, show_default=False)


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    tenant = typer.Typer(no_args_is_help=True, help="Tenants: ledger options, quiet hours.")
    command(tenant, "list")(list_tenants)
    command(tenant, "show")(show)
    command(tenant, "set")(set_options)
    app.add_typer(tenant, name="tenant")


async def list_tenants(cli: Cli) -> None:
    """List the tenants."""
    from commands.render import plain_table
    from db import reads

    async with cli.transaction() as tx:
        tenants = [tenant.model_dump(mode="json") for tenant in await reads.tenants(tx)]
    columns = ("code", "name", "active", "quiet_hours")
    rows = [[_readable(tenant)[column] for column in columns] for tenant in tenants]
    cli.emit({"tenants": tenants}, lambda: plain_table(columns, rows, "no tenants"))


async def show(cli: Cli, code: Code = None) -> None:
    """Show a tenant with its ledger options and quiet hours."""
    from commands.render import plain_fields

    async with cli.transaction() as tx:
        document = await _document(tx, cli.tenant(code))
    cli.emit(document, lambda: plain_fields(_readable(document)))


async def set_options(
    cli: Cli,
    actor: AsUser,
    code: Code = None,
    auth_sandwich: Annotated[
        bool | None, _switch("auth-sandwich", "Authorise an unauthorised trustline for the mint alone.")
    ] = None,
    claimable_balance: Annotated[
        bool | None, _switch("claimable-balance", "Mint claimable where there is no trustline yet.")
    ] = None,
    reclaim_after_days: Annotated[
        int | None,
        typer.Option(
            "--reclaim-after-days", min=1, max=3650, metavar="DAYS", show_default=False,
            help="When the issuer may take back what nobody claimed.",
        ),
    ] = None,
    one_shot_ticket: Annotated[
        bool | None, _switch("one-shot-ticket", "Let the ledger itself refuse a second mint of a request.")
    ] = None,
    quiet: Quiet = None,
    no_quiet: NoQuiet = False,
) -> None:  # fmt: skip
    """Change what is given of a tenant's ledger options and quiet hours, as one of its admins."""
    from commands.render import plain_fields
    from db import reads
    from db.writes import dictionaries
    from domain.ledger_options import LedgerOptions

    given = {
        "auth_sandwich": auth_sandwich, "claimable_balance": claimable_balance,
        "reclaim_after_days": reclaim_after_days, "one_shot_ticket": one_shot_ticket,
    }  # fmt: skip
    hours = read_quiet(quiet, no_quiet)
    if hours is None and all(value is None for value in given.values()):
        raise InvalidInput("say which option to change: see 'mintkeeper tenant set --help'", "options")
    by: dict[str, Any] = {"tenant": cli.tenant(code), "actor": actor, "at": datetime.now(UTC)}
    async with cli.transaction() as tx:
        if changed := {name: value for name, value in given.items() if value is not None}:
            before = await reads.ledger_options(tx, by["tenant"])
            options = LedgerOptions(**{**before.model_dump(), **changed})
            await dictionaries.set_ledger_options(tx, **by, options=options)
        if hours is not None:
            await dictionaries.set_tenant_quiet_hours(tx, **by, hours=hours)
        document = await _document(tx, by["tenant"])
    cli.emit(document, lambda: plain_fields(_readable(document)))


async def _document(tx: Transaction, code: str) -> dict[str, Any]:
    from db import reads

    found = next((tenant for tenant in await reads.tenants(tx) if tenant.code == code), None)
    if found is None:
        raise NotFound(f"unknown tenant {code!r}: see 'mintkeeper tenant list'")
    return {**found.model_dump(mode="json"), **(await reads.ledger_options(tx, code)).model_dump()}


def _readable(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "quiet_hours": quiet_text(document["quiet_hours"])}
