"""Wakes the relay as soon as PostgreSQL announces new deliveries.

The announcement only saves time: the relay looks by itself every few seconds, so that a lost
connection, or a notice sent while there was none, makes a message late but never lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from sqlalchemy import URL

log = logging.getLogger("mintkeeper.relay")

CHANNEL = "mintkeeper_deliveries"
"""What the transaction that writes deliveries notifies."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the first and between later attempts to listen again."""


class Wakeup:
    """An event that anybody may set, and that PostgreSQL sets through a connection of its own."""

    def __init__(self, url: URL) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._event = asyncio.Event()
        self._pause = FIRST_PAUSE

    def set(self) -> None:
        """Wake the waiter."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs; whatever happens to the connection, the block is not disturbed."""
        listener = asyncio.create_task(self._listen_for_ever(), name="deliveries listener")
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.wait([listener])

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                first_line = str(error).strip().partition("\n")[0]
                log.warning("not listening for new deliveries, trying again: %s", first_line)
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._pause = FIRST_PAUSE
            # what was announced while nobody listened is looked for once
            self.set()
            async for _ in connection.notifies():
                self.set()
