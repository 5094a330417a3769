"""One look at the ledger for a request, as a workflow of its own: so it leaves a trace in the Web UI."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.steps import Inspection, InspectStep


@workflow.defn(name="LedgerInspection")
class LedgerInspectionWorkflow:
    """Changes nothing; its id is `inspect-<request id>`."""

    @workflow.run
    async def run(self, step: InspectStep) -> Inspection:
        """Look now, or say why that is not possible: somebody is waiting for the answer."""
        inspection: Inspection = await workflow.execute_activity(
            steps.INSPECT,
            step,
            result_type=Inspection,
            task_queue=steps.STELLAR_QUEUE,
            start_to_close_timeout=timedelta(minutes=2),
            schedule_to_close_timeout=timedelta(minutes=3),
            retry_policy=RetryPolicy(maximum_attempts=3),
            summary="look at the ledger",
        )
        finding = inspection.finding
        workflow.set_current_details(f"**{finding.conclusion}** {finding.words}")
        return inspection
