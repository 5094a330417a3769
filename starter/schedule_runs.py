"""Schedules as operators see them: when each ran last, what came of it, when it runs next; and by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
    ScheduleHandle,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import NotFound, Unavailable
from starter.failures import domain_error
from starter.schedules import TASKS, Task

MISSING = "missing: run 'mintkeeper schedules apply'"
FORGOTTEN = "unknown: the run is older than the namespace's retention"

_ENDED_BADLY = {
    WorkflowExecutionStatus.TIMED_OUT: "timed out",
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.CANCELED: "cancelled",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a run: a word, and what there is to say about it in one line."""

    state: str
    """completed, failed, running, timed out, terminated, cancelled, unknown, or none yet."""
    text: str = ""
    seconds: float | None = None
    """How long it took; None while it runs."""
    workflow: str | None = None
    """Id of its workflow."""


@dataclass(frozen=True)
class ScheduleLine:
    """One schedule as `schedules list` shows it."""

    id: str
    note: str
    """What it is for; of a paused one, why it is paused."""
    every: str
    paused: bool
    last_run: datetime | None
    outcome: Outcome
    next_run: datetime | None
    """None: it is paused, or missing."""
    missing: bool = False


async def lines(client: Client) -> list[ScheduleLine]:
    """Every schedule of ours, whether it exists or not. Raises RPCError."""
    return [await _line(client, task) for task in TASKS]


async def pause(client: Client, schedule_id: str, reason: str) -> None:
    """Start no further run until it is resumed; one that runs goes on. Raises NotFound, RPCError."""
    await (await _existing(client, schedule_id)).pause(note=reason or None)


async def resume(client: Client, schedule_id: str, reason: str) -> None:
    """Let it run again when it is due; what was missed is not made up. Raises NotFound, RPCError."""
    await (await _existing(client, schedule_id)).unpause(note=reason or None)


async def run_now(client: Client, schedule_id: str) -> None:
    """Start a run at once, paused or not, unless one runs already. Raises NotFound, RPCError, Unavailable."""
    handle = await _existing(client, schedule_id)
    running = (await handle.describe()).info.running_actions
    if running:
        raise Unavailable(f"{schedule_id} runs already: see 'mintkeeper schedules list'")
    await handle.trigger()


async def _existing(client: Client, schedule_id: str) -> ScheduleHandle:
    """Raises NotFound for what is no schedule of ours, or has not been created."""
    if schedule_id not in {task.id for task in TASKS}:
        known = ", ".join(task.id for task in TASKS)
        raise NotFound(f"there is no schedule {schedule_id!r}; there are {known}")
    handle = client.get_schedule_handle(schedule_id)
    if await _description(handle) is None:
        raise NotFound(f"schedule {schedule_id} has not been created: run 'mintkeeper schedules apply'")
    return handle


async def _description(handle: ScheduleHandle) -> ScheduleDescription | None:
    try:
        return await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _line(client: Client, task: Task) -> ScheduleLine:
    found = await _description(client.get_schedule_handle(task.id))
    if found is None:
        never = Outcome("missing", MISSING)
        return ScheduleLine(task.id, task.note, _words(task.every), False, None, never, None, missing=True)
    state, recent = found.schedule.state, found.info.recent_actions
    upcoming = [] if state.paused else found.info.next_action_times
    return ScheduleLine(
        id=task.id,
        note=(state.note or task.note) if state.paused else task.note,
        every=_words(_interval(found)),
        paused=state.paused,
        last_run=recent[-1].started_at if recent else None,
        outcome=await _outcome(client, task, recent[-1].action) if recent else Outcome("none yet"),
        next_run=upcoming[0] if upcoming else None,
    )


async def _outcome(client: Client, task: Task, action: object) -> Outcome:
    if not isinstance(action, ScheduleActionExecutionStartWorkflow):
        return Outcome("unknown", "it started no workflow")
    handle = client.get_workflow_handle(action.workflow_id, run_id=action.first_execution_run_id)
    try:
        return await _ended(handle, task, await handle.describe())
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return Outcome("unknown", FORGOTTEN, workflow=action.workflow_id)
        raise


async def _ended(
    handle: WorkflowHandle[Any, Any], task: Task, found: WorkflowExecutionDescription
) -> Outcome:
    took = (found.close_time - found.start_time).total_seconds() if found.close_time else None
    if found.status is WorkflowExecutionStatus.COMPLETED:
        return Outcome("completed", result_text(task.counts, await handle.result()), took, found.id)
    if found.status is WorkflowExecutionStatus.FAILED:
        return Outcome("failed", await _cause(handle), took, found.id)
    ended = _ENDED_BADLY.get(found.status) if found.status else None
    return Outcome(ended or "running", "", took, found.id)


async def _cause(handle: WorkflowHandle[Any, Any]) -> str:
    try:
        await handle.result(follow_runs=False)
    except WorkflowFailureError as error:
        return " ".join(domain_error(error).message.split())
    return ""


def result_text(counts: Iterable[tuple[str, str]], result: object) -> str:
    """What a run found, in a few words: everything that is not zero, or that the first one is."""
    given = result if isinstance(result, Mapping) else {}
    found = [(_count(given.get(name)), word) for name, word in counts]
    shown = [pair for pair in found if pair[0]] or found[:1]
    return ", ".join(f"{count} {word}" for count, word in shown)


def _count(value: object) -> int:
    return value if isinstance(value, int) else len(value) if isinstance(value, list | tuple) else 0


def _interval(description: ScheduleDescription) -> timedelta:
    """How often it really runs, which `schedules apply` may have to mend."""
    intervals = description.schedule.spec.intervals
    return intervals[0].every if intervals else timedelta()


def _words(every: timedelta) -> str:
    minutes = every.total_seconds() / 60
    return f"{minutes / 60:.0f} h" if minutes >= 120 else f"{minutes:.0f} min"
