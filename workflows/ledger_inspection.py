"""One look at the ledger for a request, as a workflow of its own: so it leaves a trace in the Web UI."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.errors import Unavailable
    from domain.steps import Inspection, InspectStep

_TAKEN_WITHIN = timedelta(seconds=10)
"""A worker that has room takes a task at once."""


@workflow.defn(name="LedgerInspection")
class LedgerInspectionWorkflow:
    """Changes nothing; its id is `inspect-<request id>`."""

    @workflow.run
    async def run(self, step: InspectStep) -> Inspection:
        """Look now, or say why that is not possible: somebody is waiting for the answer."""
        try:
            inspection: Inspection = await workflow.execute_activity(
                steps.INSPECT,
                step,
                result_type=Inspection,
                task_queue=steps.STELLAR_QUEUE,
                start_to_close_timeout=timedelta(minutes=2),
                schedule_to_start_timeout=_TAKEN_WITHIN,
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="look at the ledger",
            )
        except ActivityError as error:
            raise _nobody_came(error) or error from error
        finding = inspection.finding
        workflow.set_current_details(f"**{finding.conclusion}** {finding.words}")
        return inspection


def _nobody_came(error: ActivityError) -> ApplicationError | None:
    """What to tell who waits, if it was that no worker took the activity."""
    cause = error.cause
    if not isinstance(cause, TemporalTimeoutError) or cause.type is not TimeoutType.SCHEDULE_TO_START:
        return None
    return ApplicationError(
        f"no worker of the queue {steps.STELLAR_QUEUE} looked at the ledger: "
        f"start one with 'mintkeeper worker --queues {steps.STELLAR_QUEUE}'",
        type=Unavailable.code,
    )
