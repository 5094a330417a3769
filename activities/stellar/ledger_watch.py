"""What this process knows of the newest ledger and the issuer, shared by everybody who waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from activities.stellar.horizon import Horizon, Ledger

T = TypeVar("T")

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
LOOKS_PER_LEDGER = 4


class Recent(Generic[T]):
    """A value that is read again only when it is older than a caller accepts; one reader at a time."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._value: T | None = None
        self._read_at = 0.0
        self._lock = asyncio.Lock()

    async def get(self, max_age: float) -> T:
        """The value as it was at most `max_age` seconds ago."""
        asked_at = time.monotonic()
        async with self._lock:
            # whoever waited for the lock takes what was read meanwhile
            if self._value is None or self._read_at < asked_at - max_age:
                started = time.monotonic()
                self._value = await self._read()
                self._read_at = started
            return self._value


class LedgerWatch:
    """The newest ledger, and how long to pause between two looks at the pace ledgers close.

    The local clock only paces the looks; it decides nothing about a submission.
    """

    def __init__(self, horizon: Horizon) -> None:
        self.highest = 0
        """The highest ledger that any answer to this process knew of."""
        self._recent = Recent(horizon.newest_ledger)
        self._newest = 0
        self._changed_at = 0.0
        self._pace = 0.0

    def saw(self, height: int) -> None:
        """Remember that an answer came from a Horizon at this height."""
        self.highest = max(self.highest, height)

    async def newest(self, max_age: float) -> Ledger:
        """The newest closed ledger as Horizon showed it at most `max_age` seconds ago."""
        ledger = await self._recent.get(max_age)
        self.saw(ledger.sequence)
        if ledger.sequence > self._newest:
            now = time.monotonic()
            if self._newest:
                self._pace = (now - self._changed_at) / (ledger.sequence - self._newest)
            self._newest, self._changed_at = ledger.sequence, now
        return ledger

    def pause(self) -> float:
        """Seconds until the next look: a few looks a ledger, and slower the longer none has closed."""
        silent = time.monotonic() - self._changed_at if self._newest else 0.0
        expected = max(self._pace, silent)
        return min(max(expected / LOOKS_PER_LEDGER, SHORTEST_PAUSE), LONGEST_PAUSE)
