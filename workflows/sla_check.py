"""The SLA check as a thin workflow, so that each run and its report show in the Web UI."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.sla import CHECK_WORKFLOW, MOST_PASSES, AlertPass, SlaStep
    from domain.sla_report import SlaOutcome

Answer = TypeVar("Answer", SlaOutcome, AlertPass)


@workflow.defn(name=CHECK_WORKFLOW)
class SlaCheckWorkflow:
    """Counts and keeps the figures, then raises SLA_OVERDUE for every stay that has none yet."""

    @workflow.run
    async def run(self) -> SlaOutcome:
        """Look once, at the workflow's own time; a failed look is tried again until the next one is due."""
        step = SlaStep(at=workflow.now())
        found = await _do(steps.SLA_CHECK, step, SlaOutcome, "count what is overdue, keep a snapshot")
        raised = failed = 0
        for _ in range(MOST_PASSES):
            done = await _do(steps.SLA_ALERT, step, AlertPass, "alert about stays that last too long")
            raised, failed = raised + done.raised, failed + done.failed
            if done.behind is None:
                break
            # on behind what could not be raised, however much that is
            step = step.model_copy(update={"behind": done.behind})
        return found.model_copy(update={"alerts": raised, "alerts_failed": failed})


async def _do(name: str, step: SlaStep, answer: type[Answer], summary: str) -> Answer:
    done: Any = await workflow.execute_activity(
        name,
        step,
        result_type=answer,
        task_queue=steps.MAINTENANCE_QUEUE,
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=timedelta(minutes=4),
        # a worker that dies in it must not keep the next runs away
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
        summary=summary,
    )
    result: Answer = done
    return result
