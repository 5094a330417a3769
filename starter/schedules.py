"""Temporal Schedules of the periodic tasks: created or updated, never doubled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from domain.steps import MAINTENANCE_QUEUE


@dataclass(frozen=True)
class Task:
    """A periodic task: its schedule's id, the workflow it starts, and how often."""

    id: str
    workflow: str
    every: timedelta
    note: str


TASKS = (
    Task(
        id="audit-pending",
        workflow="AuditPending",
        every=timedelta(minutes=30),
        note="finds open requests whose workflow is missing or late",
    ),
)


@dataclass(frozen=True)
class ScheduleLine:
    """One schedule as `schedules list` shows it."""

    id: str
    note: str
    every: str
    paused: bool
    last_run: datetime | None
    next_run: datetime | None


async def apply(client: Client) -> list[str]:
    """Bring every schedule to what `TASKS` says; a pause set by an operator stays. Raises RPCError."""
    for task in TASKS:
        schedule = _schedule(task)
        try:
            await client.create_schedule(task.id, schedule)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(task.id).update(_updater(schedule))
    return [task.id for task in TASKS]


async def lines(client: Client) -> list[ScheduleLine]:
    """Every schedule of ours that exists. Raises RPCError."""
    found = []
    for task in TASKS:
        description = await client.get_schedule_handle(task.id).describe()
        recent = description.info.recent_actions
        upcoming = description.info.next_action_times
        found.append(
            ScheduleLine(
                id=task.id,
                note=task.note,
                every=f"{task.every.total_seconds() / 60:.0f} min",
                paused=description.schedule.state.paused,
                last_run=recent[-1].started_at if recent else None,
                next_run=upcoming[0] if upcoming else None,
            )
        )
    return found


def _schedule(task: Task) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(task.workflow, id=task.id, task_queue=MAINTENANCE_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=task.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
        state=ScheduleState(note=task.note),
    )


def _updater(schedule: Schedule):  # type: ignore[no-untyped-def] # the SDK types the callback by overloads
    def update(current: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule.state.paused = current.description.schedule.state.paused
        return ScheduleUpdate(schedule=schedule)

    return update
