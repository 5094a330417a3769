"""What the workflows of runs share: steps, the wait for what is due, and messages one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from domain import steps
    from domain.ack import AckOutcome, AckRefusal
    from domain.escalation import Due
    from domain.steps import AckAnswer, AckStep, CommandAnswer, CommandOutcome, CommandStep

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")

_DATABASE_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)
)
"""A database that is down is waited for; what is refused for good is marked non-retryable by the activity."""


async def write_step(name: str, step: BaseModel, answer: type[Answer], summary: str | None = None) -> Answer:
    """One transaction in the database: a local activity, since several cost one round trip."""
    result: Answer = await workflow.execute_local_activity(
        name,
        step,
        result_type=answer,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_DATABASE_RETRY,
        summary=summary,
    )
    return result


async def judge_ack(step: AckStep) -> AckAnswer:
    """The answer to an acknowledgement; a failure is one too, since it would fail the whole workflow."""
    try:
        return await write_step(steps.ACKNOWLEDGE, step, AckAnswer)
    except FailureError as error:
        workflow.logger.error("an ack could not be processed: %s", cause_of(error))
        outcome = AckOutcome(reason=AckRefusal.INTERNAL, message=cause_of(error).message)
        return AckAnswer(outcome=outcome)


async def judge_command(step: CommandStep) -> CommandAnswer:
    """The answer to a signed command; a failure is one too."""
    try:
        return await write_step(steps.COMMAND, step, CommandAnswer)
    except FailureError as error:
        workflow.logger.error("a command could not be processed: %s", cause_of(error))
        message = cause_of(error).message
        return CommandAnswer(outcome=CommandOutcome(accepted=False, message=message, reason="internal"))


async def see_through(life: Coroutine[Any, Any, Result], how: str) -> Result:
    """The result of `life`; a cancel sent by Temporal itself ends nothing. `how` names what does."""
    task = asyncio.create_task(life)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            workflow.logger.warning("ignored a workflow cancel: only %s ends it", how)
    return task.result()


async def comes_due(due: Due, overtaken: Callable[[], bool]) -> bool:
    """Wait for the time to begin with `due`; False when a message has overtaken it."""
    left = due.ready_at - workflow.now()
    if left <= timedelta(0):
        return True
    try:
        await workflow.wait_condition(overtaken, timeout=left, timeout_summary=due.name)
    except TimeoutError:
        return True
    return False


def as_json_object(arguments: tuple[Any, ...]) -> dict[str, Any] | None:
    """The one argument if it is a JSON object, as every envelope is.

    Bytes and messages of other encodings can't be passed on, and would fail the workflow task for ever.
    """
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], dict) else None


def cause_of(error: FailureError) -> ApplicationError:
    """What the activity said, without Temporal's wrapping; a local activity's failure comes bare."""
    cause = error.cause if isinstance(error.cause, ApplicationError) else error
    if isinstance(cause, ApplicationError):
        return ApplicationError(cause.message, type=cause.type)
    return ApplicationError(str(error), type="internal")


class Turn:
    """One message at a time, and none before the request is written."""

    def __init__(self, lock: asyncio.Lock, opened: Callable[[], bool]) -> None:
        self._lock = lock
        self._opened = opened

    async def __aenter__(self) -> None:
        await workflow.wait_condition(self._opened)
        await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
