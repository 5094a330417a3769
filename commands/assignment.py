"""Assignment: give a request to somebody, run the sweep, see who would get what and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from commands.context import Cli, command
from commands.options import AsUser, Id, Tenant

REQUEST = "request"
"""The verb that may be left out: `assign ID --to U` is `assign request ID --to U`."""


class _Assign(TyperGroup):
    """A group whose first word may be a request."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in where none stands."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [REQUEST, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    assign = typer.Typer(
        cls=_Assign, no_args_is_help=True, help="Give requests to approvers: assign ID --to USER --as USER."
    )
    command(assign, REQUEST)(request)
    command(assign, "run")(run)
    command(assign, "explain")(explain)
    command(assign, "load")(load)
    app.add_typer(assign, name="assign")


async def request(
    cli: Cli,
    request_id: Id,
    user: AsUser,
    assignee: Annotated[
        str, typer.Option("--to", metavar="USER", help="Who works on it.", show_default=False)
    ],
) -> None:
    """Give a request to somebody to work on; the word 'request' may be left out."""
    from commands.assigning import assign_request

    await assign_request(cli, request_id, "assign", actor=user, assignee=assignee)


async def run(
    cli: Cli,
    wait: Annotated[
        float, typer.Option("--wait", min=1, max=3600, metavar="SECONDS", help="How long to wait.")
    ] = 120.0,
) -> None:
    """Assign now what nobody took for too long, as the schedule does every hour."""
    from commands.candidates import sweep_table
    from starter.temporal import reachable
    from starter.upkeep import run_sweep

    async with reachable(await cli.temporal()) as client:
        report = await run_sweep(client, wait)
    cli.emit(report.model_dump(mode="json"), lambda: sweep_table(report))


async def explain(cli: Cli, request_id: Id) -> None:
    """Say who would get a request and why: every approver with rank or reason."""
    from commands.candidates import explanation, explanation_table
    from commands.lookup import find_request

    async with cli.transaction() as tx:
        record = await find_request(tx, request_id)
        document = await explanation(tx, record, datetime.now(UTC))
    cli.emit(document, lambda: explanation_table(document))


async def load(cli: Cli, tenant: Tenant = None) -> None:
    """Show how many open requests each approver has."""
    from commands.candidates import load_rows, load_table
    from commands.lookup import check_tenant
    from db.reads.assignment import candidates

    code = cli.tenant(tenant)
    async with cli.transaction() as tx:
        await check_tenant(tx, code)
        rows = load_rows(await candidates(tx, code, datetime.now(UTC)))
    cli.emit({"tenant": code, "approvers": rows}, lambda: load_table(rows))
