"""Work whose caller gets an answer before it is done; the server waits for it before it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger("mintkeeper.web")

DRAIN_SECONDS = 25.0
"""A decision waits up to 15 s for its workflow's answer."""

T = TypeVar("T")


class Background:
    """What is under way in this process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Go on with it beside everything else; a failure is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def within(
        self,
        work: Coroutine[Any, Any, T],
        seconds: float,
        late: Callable[[T], Awaitable[None]] | None = None,
    ) -> T | None:
        """The result if it is there in time; None: the work goes on, and `late` gets its result."""
        task = self.start(work)
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        if late is not None:
            self.start(_tell(task, late))
        return None

    async def drain(self) -> None:
        """Wait until nothing is under way any more, but not for ever."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=DRAIN_SECONDS)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work in the background failed", exc_info=task.exception())


async def _tell(task: asyncio.Task[T], late: Callable[[T], Awaitable[None]]) -> None:
    await late(await task)
