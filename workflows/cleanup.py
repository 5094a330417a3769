"""Periodic clean-ups: thin workflows that Temporal Schedules start, so that each run shows in the Web UI."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.attachments import UploadsCleaned
    from domain.codes import CodesCleaned

_RETRIES = RetryPolicy(maximum_interval=timedelta(minutes=1))
_HEARTBEAT = timedelta(seconds=10)


@workflow.defn(name="CleanupExpiredOtps")
class CleanupExpiredOtpsWorkflow:
    """Removes one-time codes that ended an hour ago."""

    @workflow.run
    async def run(self) -> CodesCleaned:
        """Clean up once; what fails is tried again until the next run is due."""
        cleaned: CodesCleaned = await workflow.execute_activity(
            steps.CLEANUP_CODES,
            result_type=CodesCleaned,
            task_queue=steps.MAINTENANCE_QUEUE,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(minutes=50),
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=_RETRIES,
            summary="remove one-time codes that have ended",
        )
        return cleaned


@workflow.defn(name="CleanupStaleUploads")
class CleanupStaleUploadsWorkflow:
    """Removes uploads that were announced a day ago and never came, and bytes that belong to no document."""

    @workflow.run
    async def run(self) -> UploadsCleaned:
        """Clean up once; while the storage is away it is tried again."""
        cleaned: UploadsCleaned = await workflow.execute_activity(
            steps.CLEANUP_UPLOADS,
            result_type=UploadsCleaned,
            task_queue=steps.UPLOADS_QUEUE,
            start_to_close_timeout=timedelta(hours=2),
            schedule_to_close_timeout=timedelta(hours=20),
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=_RETRIES,
            summary="remove uploads that never came",
        )
        return cleaned
