"""A value that many ask for and few have to read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
