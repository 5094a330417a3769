"""Temporal Schedules of the periodic tasks: created or updated, never doubled."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.enums.v1 import ScheduleOverlapPolicy as OverlapProto
from temporalio.api.schedule.v1 import Schedule as ScheduleProto
from temporalio.api.workflowservice.v1 import DescribeScheduleRequest, UpdateScheduleRequest
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
)

from domain.errors import Unavailable
from domain.steps import MAINTENANCE_QUEUE, UPLOADS_QUEUE

OVERLAP_SKIP = OverlapProto.SCHEDULE_OVERLAP_POLICY_SKIP


@dataclass(frozen=True)
class Task:
    """A periodic task: its schedule's id, the workflow it starts and where, and how often."""

    id: str
    workflow: str
    every: timedelta
    note: str
    counts: tuple[tuple[str, str], ...]
    """What its result has that operators want to see: fields and the words for them."""
    queue: str = MAINTENANCE_QUEUE
    offset: timedelta = timedelta()
    """After each multiple of `every` since the epoch, so that the tasks do not all start at once."""

    @property
    def catchup_window(self) -> timedelta:
        """How late a run is still made up after an outage of the server.

        Each run looks at everything, so after the longest outage one is enough: the last that was missed.
        """
        return self.every


TASKS = (
    Task(
        id="audit-pending",
        workflow="AuditPending",
        every=timedelta(minutes=30),
        note="finds open requests whose workflow is missing or late",
        counts=(
            ("checked", "checked"),
            ("restarted", "restarted"),
            ("late", "late"),
            ("restarted_runs", "escalations restarted"),
            ("returned_channels", "channel accounts returned"),
            ("suspect_channels", "channel accounts suspect"),
        ),
    ),
    Task(
        id="sla-check",
        workflow="SlaCheck",
        every=timedelta(minutes=5),
        note="finds requests that are overdue and tells whoever must know",
        counts=(("overdue_total", "overdue"), ("alerts", "alerts"), ("alerts_failed", "alerts failed")),
    ),
    Task(
        id="auto-assign-unclaimed",
        workflow="AutoAssignUnclaimed",
        every=timedelta(minutes=60),
        note="gives requests that nobody has claimed to an approver",
        counts=(
            ("assigned", "assigned"),
            ("waiting", "waiting"),
            ("nobody", "without candidates"),
            ("overtaken", "overtaken"),
            ("failed", "failed"),
        ),
        offset=timedelta(minutes=7),
    ),
    Task(
        id="cleanup-expired-otps",
        workflow="CleanupExpiredOtps",
        every=timedelta(minutes=60),
        note="deletes one-time codes that are used or expired",
        counts=(("deleted", "deleted"),),
        offset=timedelta(minutes=37),
    ),
    Task(
        id="cleanup-stale-uploads",
        workflow="CleanupStaleUploads",
        every=timedelta(hours=24),
        note="removes uploads that were never finished, daily at 03:00 UTC, when few people upload",
        counts=(("uploads", "uploads removed"), ("objects", "stray objects removed")),
        queue=UPLOADS_QUEUE,
        offset=timedelta(hours=3),
    ),
)


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


def _schedule(task: Task) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(task.workflow, id=task.id, task_queue=task.queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=task.every, offset=task.offset)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=task.catchup_window),
        state=ScheduleState(note=task.note),
    )


async def _bring_up_to_date(client: Client, task: Task) -> None:
    """Change a schedule that is not as `task` says, and nothing of what operators set.

    The SDK's own update sends no conflict token and would undo a pause that the server has taken but
    not applied yet (temporalio/sdk-python issue 1367), hence the plain call.
    """
    for _ in range(UPDATE_ATTEMPTS):
        current = await client.workflow_service.describe_schedule(
            DescribeScheduleRequest(namespace=client.namespace, schedule_id=task.id), retry=True
        )
        schedule = current.schedule
        if _is_as_wanted(schedule, task):
            return
        del schedule.spec.interval[:]
        interval = schedule.spec.interval.add()
        interval.interval.FromTimedelta(task.every)
        interval.phase.FromTimedelta(task.offset)
        schedule.action.start_workflow.workflow_type.name = task.workflow
        schedule.action.start_workflow.task_queue.name = task.queue
        schedule.policies.overlap_policy = OVERLAP_SKIP
        schedule.policies.catchup_window.FromTimedelta(task.catchup_window)
        await client.workflow_service.update_schedule(
            UpdateScheduleRequest(
                namespace=client.namespace,
                schedule_id=task.id,
                schedule=schedule,
                conflict_token=current.conflict_token,
                identity=client.identity,
                request_id=str(uuid.uuid4()),
            ),
            retry=True,
        )
        await asyncio.sleep(UPDATE_PAUSE_SECONDS)
    raise Unavailable(f"schedule {task.id} is being changed by somebody else: run 'schedules apply' again")


def _is_as_wanted(schedule: ScheduleProto, task: Task) -> bool:
    started = schedule.action.start_workflow
    return (
        [(spec.interval.ToTimedelta(), spec.phase.ToTimedelta()) for spec in schedule.spec.interval]
        == [(task.every, task.offset)]
        and not schedule.spec.structured_calendar
        and started.workflow_type.name == task.workflow
        and started.task_queue.name == task.queue
        and schedule.policies.overlap_policy == OVERLAP_SKIP
        and schedule.policies.catchup_window.ToTimedelta() == task.catchup_window
    )
