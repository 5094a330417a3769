"""Temporal Schedules of the periodic tasks: created or updated, never doubled."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.api.enums.v1 import ScheduleOverlapPolicy as OverlapProto
from temporalio.api.schedule.v1 import Schedule as ScheduleProto
from temporalio.api.workflowservice.v1 import DescribeScheduleRequest, UpdateScheduleRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

from domain.errors import Unavailable
from domain.steps import MAINTENANCE_QUEUE

OVERLAP_SKIP = OverlapProto.SCHEDULE_OVERLAP_POLICY_SKIP


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


UPDATE_ATTEMPTS = 20
"""An update that met another change is dropped by the server, so it is looked at and tried again."""

UPDATE_PAUSE_SECONDS = 0.25
"""The server applies a change a moment after it has answered."""


async def apply(client: Client) -> list[str]:
    """Bring every schedule to what `TASKS` says; a pause set by an operator stays.

    Raises RPCError, or Unavailable when a schedule keeps changing under our hands.
    """
    for task in TASKS:
        try:
            await client.create_schedule(task.id, _schedule(task))
        except ScheduleAlreadyRunningError:
            await _bring_up_to_date(client, task)
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
                every=f"{_interval(description).total_seconds() / 60:.0f} min",
                paused=description.schedule.state.paused,
                last_run=recent[-1].started_at if recent else None,
                next_run=upcoming[0] if upcoming else None,
            )
        )
    return found


def _interval(description: ScheduleDescription) -> timedelta:
    """How often it really runs, which `schedules apply` may have to mend."""
    return (
        description.schedule.spec.intervals[0].every if description.schedule.spec.intervals else timedelta()
    )


def _schedule(task: Task) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(task.workflow, id=task.id, task_queue=MAINTENANCE_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=task.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
        state=ScheduleState(note=task.note),
    )


async def _bring_up_to_date(client: Client, task: Task) -> None:
    """Change a schedule that is not as `task` says, and nothing of what operators set.

    The SDK's own update sends no conflict token and would undo a pause that the server has taken but
    not applied yet (temporalio/sdk-python issue 1367), hence the plain call.
    """
    for _ in range(UPDATE_ATTEMPTS):
        current = await client.workflow_service.describe_schedule(
            DescribeScheduleRequest(namespace=client.namespace, schedule_id=task.id)
        )
        schedule = current.schedule
        if _is_as_wanted(schedule, task):
            return
        del schedule.spec.interval[:]
        schedule.spec.interval.add().interval.FromTimedelta(task.every)
        schedule.action.start_workflow.workflow_type.name = task.workflow
        schedule.action.start_workflow.task_queue.name = MAINTENANCE_QUEUE
        schedule.policies.overlap_policy = OVERLAP_SKIP
        await client.workflow_service.update_schedule(
            UpdateScheduleRequest(
                namespace=client.namespace,
                schedule_id=task.id,
                schedule=schedule,
                conflict_token=current.conflict_token,
                identity=client.identity,
                request_id=str(uuid.uuid4()),
            )
        )
        await asyncio.sleep(UPDATE_PAUSE_SECONDS)
    raise Unavailable(f"schedule {task.id} is being changed by somebody else: run 'schedules apply' again")


def _is_as_wanted(schedule: ScheduleProto, task: Task) -> bool:
    started = schedule.action.start_workflow
    return (
        [spec.interval.ToTimedelta() for spec in schedule.spec.interval] == [task.every]
        and not schedule.spec.structured_calendar
        and started.workflow_type.name == task.workflow
        and started.task_queue.name == MAINTENANCE_QUEUE
        and schedule.policies.overlap_policy == OVERLAP_SKIP
    )
