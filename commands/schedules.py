"""Temporal schedules of the periodic tasks, and what else a namespace needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.context import Cli, command
from commands.options import Reason

if TYPE_CHECKING:
    from starter.schedule_runs import ScheduleLine

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its id, as 'schedules list' shows it.")]

_COLUMNS = ("id", "every", "last run", "took", "outcome", "next run", "note")


def register(app: typer.Typer) -> None:
    """Add this subject's commands."""
    schedules = typer.Typer(no_args_is_help=True, help="Temporal schedules of the periodic tasks.")
    command(schedules, "apply")(apply)
    command(schedules, "list")(list_schedules)
    command(schedules, "pause")(pause)
    command(schedules, "resume")(resume)
    command(schedules, "run")(run_now)
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
    """List the schedules: how often, when last and with what outcome, when next, and where to see it."""
    from commands.render import plain_table
    from starter.schedule_runs import lines
    from starter.temporal import reachable

    async with reachable(await cli.temporal()) as client:
        found = await lines(client)
    documents = [_document(cli, line) for line in found]

    def show() -> str | None:
        plain_table(_COLUMNS, [_row(document) for document in documents], "no schedules")
        # below the table: a link that is folded can't be followed
        links = [f"{document['id']}: {document['url']}" for document in documents if document["url"]]
        return "\n".join(links) or None

    cli.emit({"schedules": documents}, show)


async def pause(cli: Cli, schedule_id: ScheduleId, reason: Reason = "") -> None:
    """Start no further run until it is resumed; one that runs goes on."""
    from starter import schedule_runs
    from starter.temporal import reachable

    async with reachable(await cli.temporal()) as client:
        await schedule_runs.pause(client, schedule_id, reason)
    cli.emit({"id": schedule_id, "paused": True}, lambda: f"{schedule_id} is paused")


async def resume(cli: Cli, schedule_id: ScheduleId, reason: Reason = "") -> None:
    """Let a schedule run again when it is due; what was missed is not made up."""
    from starter import schedule_runs
    from starter.temporal import reachable

    async with reachable(await cli.temporal()) as client:
        await schedule_runs.resume(client, schedule_id, reason)
    cli.emit({"id": schedule_id, "paused": False}, lambda: f"{schedule_id} runs again when it is due")


async def run_now(cli: Cli, schedule_id: ScheduleId) -> None:
    """Start a run at once, paused or not; refused while one runs."""
    from starter import schedule_runs
    from starter.temporal import reachable

    async with reachable(await cli.temporal()) as client:
        await schedule_runs.run_now(client, schedule_id)
    look = "mintkeeper schedules list"
    cli.emit(
        {"id": schedule_id, "started": True, "look": look},
        lambda: f"{schedule_id} is started; its outcome: {look}",
    )


def _document(cli: Cli, line: ScheduleLine) -> dict[str, Any]:
    from dataclasses import asdict

    from commands.documents import plain

    document: dict[str, Any] = plain(asdict(line))
    return {**document, "url": _url(cli, line)}


def _url(cli: Cli, line: ScheduleLine) -> str | None:
    """The schedule in the Temporal Web UI, where one is configured."""
    base = cli.settings().temporal_ui_url.rstrip("/")
    namespace = cli.stack.temporal_namespace if cli.stack else os.environ.get("TEMPORAL_NAMESPACE")
    if not base or line.missing:
        return None
    return f"{base}/namespaces/{namespace or 'default'}/schedules/{line.id}"


def _row(document: dict[str, Any]) -> list[object]:
    outcome = document["outcome"]
    words = ": ".join(filter(None, (outcome["state"], outcome["text"])))
    return [
        document["id"],
        document["every"],
        document["last_run"] or "never",
        "" if outcome["seconds"] is None else f"{outcome['seconds']:.1f} s",
        outcome["text"] if document["missing"] else words,
        "paused" if document["paused"] else document["next_run"] or "",
        document["note"],
    ]
