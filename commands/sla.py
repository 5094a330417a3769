"""The SLA: check it now, and report what is overdue and how long things take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.context import Cli, command
from commands.options import AnyTenant, Wait, option
from domain.errors import InvalidInput

CHARTED = timedelta(days=7)
"""How far back the chart goes unless somebody says, if there were checks so long ago."""

NARROWEST = timedelta(minutes=30)


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    sla = typer.Typer(no_args_is_help=True, help="The SLA of requests: overdue, first responses, averages.")
    command(sla, "check")(check)
    command(sla, "report")(report)
    app.add_typer(sla, name="sla")


async def check(cli: Cli, wait: Wait = 60.0) -> None:
    """Check now, beside the schedule: keeps a snapshot, and alerts about stays that last too long."""
    from commands.sla_table import outcome_text
    from starter.temporal import reachable
    from starter.upkeep import check_sla

    async with reachable(await cli.temporal()) as client:
        outcome = await check_sla(client, wait)
    cli.emit(outcome.model_dump(mode="json"), lambda: outcome_text(outcome))


async def report(
    cli: Cli,
    tenant: AnyTenant = None,
    since: Annotated[
        str | None,
        option("--since", "Begin of the chart, such as 2026-03-01; a week ago unless said.", "WHEN"),
    ] = None,
    csv: Annotated[
        Path | None, option("--csv", "Also write the lines of the table into this file.", "FILE")
    ] = None,
    svg: Annotated[
        Path | None, option("--svg", "Also draw what was overdue when into this file.", "FILE")
    ] = None,
) -> None:
    """Report as of now: each topic's statuses, the figures, and the last checks' as a chart."""
    from commands.lookup import check_tenant
    from commands.sla_chart import draw
    from commands.sla_table import as_csv, print_report
    from db.reads.sla import findings
    from db.reads.sla_history import history
    from domain.sla_report import TenantSla, build_report

    now = datetime.now(UTC)
    begin = _moment(since) if since else now - CHARTED
    if begin >= now:
        raise InvalidInput("--since must lie in the past", "since")
    async with cli.database() as database:
        async with database.transaction() as tx:
            found = build_report(await findings(tx, now))
        async with database.transaction() as tx:
            if tenant is not None:
                await check_tenant(tx, tenant)
            moments = await history(tx, begin, now, tenant)
    if csv is not None:
        _write(csv, as_csv(found, tenant), "csv")
    if svg is not None:
        if since is None and moments:
            # a young house has no week to show
            begin = min(moments[0].at, now - NARROWEST)
        _write(svg, draw(moments, begin, now, tenant), "svg")
    # a tenant without topics has nothing to count
    figures = found if tenant is None else found.tenants.get(tenant, TenantSla())
    document = {
        "tenant": tenant,
        **figures.model_dump(mode="json"),
        "at": now.isoformat(),
        "history": [{"at": one.at.isoformat(), "overdue_by_status": dict(one.overdue)} for one in moments],
    }
    cli.emit(document, lambda: print_report(found, tenant, moments))


def _moment(written: str) -> datetime:
    try:
        found = datetime.fromisoformat(written)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{written!r} is no time such as 2026-03-01 or 2026-03-01T09:00Z", "since"
        ) from error


def _write(file: Path, content: str, field: str) -> None:
    try:
        file.write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(f"{file} can't be written: {error.strerror}", field) from error
