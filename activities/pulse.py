"""Signs of life: a worker that died is noticed within seconds, one that only waits is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

BEAT_SECONDS = 2.0
"""Far below the heartbeat time-out in the workflow: one question to Horizon may take longer than that."""


class Pulse:
    """What the running activity says of itself; called, it says something new."""

    def __init__(self) -> None:
        self._said: tuple[object, ...] = ()

    def __call__(self, details: object) -> None:
        """Keep these details for the next beat, for operators to read; most activities end before it."""
        self._said = (details,)

    def beat(self) -> None:
        """Heartbeat with what was said last."""
        activity.heartbeat(*self._said)


@asynccontextmanager
async def beating() -> AsyncIterator[Pulse]:
    """Heartbeat for as long as the block runs and the event loop turns."""
    pulse = Pulse()
    beat = asyncio.create_task(_beat(pulse))
    try:
        yield pulse
    finally:
        beat.cancel()


async def _beat(pulse: Pulse) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        pulse.beat()
