"""Where requests of this process wait for a channel account: first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST_WAITING = 100
"""So many wait here; more would take up every activity slot. The others come back by Temporal's timer."""

WAIT_SECONDS = 20.0
"""So long a request waits here at most, then it comes back by Temporal's timer: within its time-out."""

LOOK_SECONDS = 1.0
"""After so long the first in the line looks again: another process may have freed a channel account."""


class ChannelGate:
    """A line in which only the first one tries to get a channel account, and hears when one is freed."""

    def __init__(self, seconds: float = WAIT_SECONDS) -> None:
        self.seconds = seconds
        """So long each one may wait here."""
        self._head = asyncio.Lock()
        self._freed = asyncio.Event()
        self._waiting = 0

    @property
    def waited_for(self) -> bool:
        """Somebody waits, so that a newcomer has to get in line."""
        return self._waiting > 0

    @property
    def full(self) -> bool:
        """Nobody else may get in line."""
        return self._waiting >= MOST_WAITING

    def freed(self) -> None:
        """A channel account may be free again."""
        self._freed.set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Be the first in the line while the block runs."""
        self._waiting += 1
        try:
            async with self._head:
                yield
        finally:
            self._waiting -= 1

    async def wait_for_freed(self) -> None:
        """As the first in the line: until a channel account is freed here, or it is time to look again."""
        self._freed.clear()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._freed.wait()
        except TimeoutError:
            return
