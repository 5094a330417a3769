"""What the handlers of messages share: one at a time, of any shape, and failures without wrapping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError


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
