"""Periodic tasks: thin workflows that Temporal Schedules start, so that each run shows in the Web UI."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.upkeep import AuditReport


@workflow.defn(name="AuditPending")
class AuditPendingWorkflow:
    """The auditor behind the timers: finds open requests whose workflow is missing or late."""

    @workflow.run
    async def run(self) -> AuditReport:
        """Look once; a failed look is tried again until the next one is due."""
        report: AuditReport = await workflow.execute_activity(
            steps.AUDIT_PENDING,
            result_type=AuditReport,
            task_queue=steps.MAINTENANCE_QUEUE,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(minutes=25),
            # a worker that dies in it must not keep the next runs away for ten minutes
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
            summary="compare open requests with their workflows",
        )
        return report
