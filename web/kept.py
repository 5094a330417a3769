"""Answers that take long to count: kept for a while, then shown once more while new ones are counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from domain.errors import MintkeeperError
from web.background import Background

log = logging.getLogger("mintkeeper.web")

OLDEST: Final = 600.0
"""Seconds; what is older is not shown any more, and whoever asks waits for new figures."""

PATIENCE: Final = 0.1
"""Seconds that a reader waits for new figures before the last ones are shown."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """The last answer for each key; `seconds` says for how long it is as good as new.

    An older one is counted anew once somebody asks, never by itself, and one at a time for each key.
    """

    def __init__(
        self,
        make: Callable[[Key], Awaitable[Value]],
        seconds: Callable[[Key], float],
        background: Background,
    ) -> None:
        self._make, self._seconds, self._background = make, seconds, background
        self._kept: dict[Key, tuple[float, Value]] = {}
        self._turns: dict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refreshing: set[Key] = set()

    async def get(self, key: Key) -> Value:
        """The answer for a key, no older than OLDEST; raises what counting does, where there is none yet."""
        if self._age(key) > OLDEST:
            # whoever asks for the first time at the same moment waits for the same
            async with self._turns[key]:
                if self._age(key) > OLDEST:
                    await self._count(key)
        elif self._age(key) > self._seconds(key) and key not in self._refreshing:
            self._refreshing.add(key)
            await self._background.within(self._refresh(key), PATIENCE)
        return self._kept[key][1]

    def _age(self, key: Key) -> float:
        kept = self._kept.get(key)
        return float("inf") if kept is None else time.monotonic() - kept[0]

    async def _count(self, key: Key) -> None:
        # it is as old as the moment it was begun at
        begun = time.monotonic()
        self._kept[key] = begun, await self._make(key)

    async def _refresh(self, key: Key) -> None:
        try:
            await self._count(key)
        except MintkeeperError as error:
            log.warning("the last figures are shown, new ones could not be counted: %s", error.message)
        finally:
            self._refreshing.discard(key)
