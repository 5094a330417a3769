"""Temporal schedules of the periodic tasks, and what else a namespace needs."""

from __future__ import annotations

import typer

from commands.context import Cli, command


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    schedules = typer.Typer(no_args_is_help=True, help="Temporal schedules of the periodic tasks.")
    command(schedules, "apply")(apply)
    command(schedules, "list")(list_schedules)
    app.add_typer(schedules, name="schedules")


async def apply(cli: Cli) -> None:
    """Create or update every schedule, and register the search attributes that are missing."""
    from starter import schedules
    from starter.temporal import reachable, register_search_attributes

    async with reachable(await cli.temporal()) as client:
        registered = await register_search_attributes(client)
        applied = await schedules.apply(client)
    document = {"schedules": applied, "search_attributes": registered}
    cli.emit(
        document, lambda: f"schedules: {', '.join(applied)}; registered: {', '.join(registered) or 'nothing'}"
    )


async def list_schedules(cli: Cli) -> None:
    """List the schedules with their last and next run."""
    from commands.documents import plain
    from commands.render import plain_table
    from starter import schedules
    from starter.temporal import reachable

    async with reachable(await cli.temporal()) as client:
        lines = [plain(vars(line)) for line in await schedules.lines(client)]
    columns = ("id", "every", "last_run", "next_run", "paused", "note")
    rows = [[line[column] for column in columns] for line in lines]
    cli.emit(
        {"schedules": lines},
        lambda: plain_table(columns, rows, "no schedules: run 'mintkeeper schedules apply'"),
    )
