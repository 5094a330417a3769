"""The two activities between approval and the ledger's answer, and the alarm when that takes too long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain import steps
    from domain.run_steps import EventStep, RaisedEvent
    from domain.runs import STALLED_AFTER, EventKind, RunState, run_workflow_id
    from domain.steps import SubmitAnswer, SubmitStep
    from domain.submission import SubmissionResult

Result = TypeVar("Result")

_LEDGER_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)
)
"""Without end: only a ledger record, a proof or a failed pre-check ends a submission."""

_EVENT_RETRY: Final = RetryPolicy(maximum_interval=timedelta(minutes=1))

_LAST_ALARMS: Final = timedelta(seconds=30)
"""For so long the workflow of a request that is over stays for an event that is just being raised."""


async def submit(request_id: str, within: timedelta | None) -> SubmitAnswer:
    """Pre-check, sign once, store, send, look; raises ActivityError when `within` was not enough."""
    answer: SubmitAnswer = await workflow.execute_activity(
        steps.SUBMIT,
        SubmitStep(request_id=request_id),
        result_type=SubmitAnswer,
        task_queue=steps.STELLAR_QUEUE,
        schedule_to_close_timeout=within,
        start_to_close_timeout=timedelta(minutes=2),
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=_LEDGER_RETRY,
        summary="pre-check, sign once, send, look",
    )
    return answer


async def settle(request_id: str) -> SubmissionResult:
    """Find the payment in a closed ledger, or prove that it can never land; as long as that takes."""
    result: SubmissionResult = await workflow.execute_activity(
        steps.SETTLE,
        SubmitStep(request_id=request_id),
        result_type=SubmissionResult,
        task_queue=steps.STELLAR_QUEUE,
        start_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=_LEDGER_RETRY,
        summary="confirm on the ledger, or prove it never landed",
    )
    return result


class Alarms:
    """Raises the operational events of one request, and says when what they were about is over."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._running: list[str] = []
        self._raising: set[asyncio.Task[None]] = set()

    async def watch(self, work: Coroutine[Any, Any, Result], occurrence: str) -> Result:
        """The result of `work`; when it takes longer than STALLED_AFTER, people are told meanwhile."""
        task = asyncio.create_task(work)
        try:
            await workflow.wait_condition(
                task.done, timeout=STALLED_AFTER, timeout_summary="alarm if the ledger has not answered"
            )
        except TimeoutError:
            self.raise_event(EventKind.STALLED, occurrence)
        return await task

    def raise_event(self, kind: EventKind, occurrence: str) -> None:
        """Record an event and start its run, if the tenant's rule asks for one.

        It goes on beside the request, which never waits for it: an alarm that can't be raised must not
        keep a payment from being settled, or an operator's resolution from taking effect.
        """
        task = asyncio.create_task(self._raise(kind, occurrence))
        self._raising.add(task)
        task.add_done_callback(self._raising.discard)

    async def _raise(self, kind: EventKind, occurrence: str) -> None:
        try:
            raised = await workflow.execute_activity(
                steps.RAISE_EVENT,
                EventStep(request_id=self._request_id, kind=kind, occurrence=occurrence),
                result_type=RaisedEvent,
                start_to_close_timeout=timedelta(seconds=30),
                retry_policy=_EVENT_RETRY,
                summary=f"raise {kind}",
            )
        except ActivityError as error:
            workflow.logger.error("the event %s could not be raised: %s", kind, error.cause)
            return
        if raised.run_id is not None and raised.state is RunState.RUNNING:
            self._running.append(raised.run_id)

    async def over(self) -> None:
        """Let every run that was started here see that the request has moved on."""
        if self._raising:
            with contextlib.suppress(TimeoutError):
                # one that comes later still finds at its first look that it has nothing to say
                await workflow.wait_condition(
                    lambda: not self._raising, timeout=_LAST_ALARMS, timeout_summary="alarms under way"
                )
        for run_id in self._running:
            try:
                await workflow.get_external_workflow_handle(run_workflow_id(run_id)).signal("look")
            except ApplicationError as error:
                # it has ended by itself, or will look at its next stage
                workflow.logger.info("run %s was not told: %s", run_id, error)
        self._running.clear()
