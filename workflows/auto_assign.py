"""The sweep that gives requests which nobody took to somebody who may."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.assignment_steps import (
        Behind,
        PassAnswer,
        SweepReport,
        SweepStep,
        TellAnswer,
        TellStep,
    )

MOST_PASSES: Final = 100
"""Of one sweep; the next one begins again with the longest unassigned."""

_RETRY: Final = RetryPolicy(maximum_interval=timedelta(minutes=1))
_HEARTBEAT: Final = timedelta(seconds=10)


@workflow.defn(name="AutoAssignUnclaimed")
class AutoAssignWorkflow:
    """Assigns what has been unassigned for too long, then tells the workflows of the requests."""

    @workflow.run
    async def run(self) -> SweepReport:
        """Pass by pass, for as long as one was full."""
        started_at = workflow.now()
        report, behind = SweepReport(), None
        for number in range(MOST_PASSES):
            answer = await self._pass(behind, number + 1)
            report, behind = report.plus(answer.report), answer.behind
            if behind is None:
                break
        return await self._tell(report, TellStep(since=started_at))

    async def _pass(self, behind: Behind | None, number: int) -> PassAnswer:
        # the workflow's clock, so that an attempt made again looks at the same moment
        step = SweepStep(at=workflow.now(), behind=behind)
        answer: PassAnswer = await workflow.execute_activity(
            steps.AUTO_ASSIGN,
            step,
            result_type=PassAnswer,
            task_queue=steps.MAINTENANCE_QUEUE,
            start_to_close_timeout=timedelta(minutes=5),
            schedule_to_close_timeout=timedelta(minutes=25),
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=_RETRY,
            summary=f"assign what nobody took, pass {number}",
        )
        return answer

    async def _tell(self, report: SweepReport, step: TellStep) -> SweepReport:
        told: TellAnswer = await workflow.execute_activity(
            steps.TELL_ASSIGNED,
            step,
            result_type=TellAnswer,
            task_queue=steps.MAINTENANCE_QUEUE,
            start_to_close_timeout=timedelta(minutes=5),
            schedule_to_close_timeout=timedelta(minutes=25),
            heartbeat_timeout=_HEARTBEAT,
            # the next sweeps repeat it for hours
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1), maximum_attempts=8),
            summary="tell the workflows who has their request",
        )
        return report.plus(SweepReport(told=told.told, missing=told.missing))
