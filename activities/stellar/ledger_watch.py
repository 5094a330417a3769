"""One watcher for everybody who waits: it follows the ledger stream and reads what landed, once for all.

Each closed ledger costs one page of the issuer's transactions (every mint is among them, since the
issuer is its operation's source), however many requests wait. Nothing is ever concluded from what a
page does *not* show: whoever waits too long looks for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field

from activities.stellar.horizon import Horizon, HorizonUnavailable, Ledger
from activities.stellar.landings import Landings
from activities.stellar.recent import Recent
from domain.submission import Landed, Submission

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
LOOKS_PER_LEDGER = 4

SILENCE_SECONDS = 12.0
"""So long the stream may say nothing: two ledgers of a public network. Then ledgers are asked for."""

LINGER_SECONDS = 60.0
"""So long the stream is followed although nobody waits: the next request comes soon, or not."""


@dataclass(eq=False, slots=True)
class _Waiter:
    """Somebody who waits for a submission to land, or for a ledger at which to do something."""

    seen: int
    until: int
    max_time: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def concerned(self, ledger: Ledger) -> bool:
        late = ledger.close_time > self.max_time
        return ledger.sequence > self.seen and (ledger.sequence >= self.until or late)


class LedgerWatch:
    """The newest ledger, and where the issuer's transactions landed, as the network goes on.

    The local clock only paces the looks; it decides nothing about a submission.
    """

    def __init__(self, horizon: Horizon, issuer: str) -> None:
        self.highest = 0
        """The highest ledger that any answer to this process knew of."""
        self._horizon = horizon
        self._recent = Recent(horizon.newest_ledger)
        self._newest: Ledger | None = None
        self._changed_at = 0.0
        self._pace = 0.0
        self._heard_at = float("-inf")
        self._landings = Landings(horizon, issuer, self._landed)
        self._waiting: dict[str, _Waiter] = {}
        self._interest = 0
        self._left_at = 0.0
        self._following: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """The stream tells of ledgers, and what landed in them can be read."""
        followed = self._following is not None and not self._following.done()
        heard = time.monotonic() - self._heard_at < SILENCE_SECONDS
        return followed and heard and self._landings.readable

    def saw(self, height: int) -> None:
        """Remember that an answer came from a Horizon at this height."""
        self.highest = max(self.highest, height)

    async def newest(self, max_age: float) -> Ledger:
        """The newest closed ledger: by the stream, else as Horizon showed it within `max_age` seconds."""
        if self.live and self._newest is not None:
            return self._newest
        return self._note(await self._recent.get(max_age))

    def pause(self) -> float:
        """Seconds until the next look without the stream: a few looks a ledger, slower while none closes."""
        silent = time.monotonic() - self._changed_at if self._newest else 0.0
        expected = max(self._pace, silent)
        return min(max(expected / LOOKS_PER_LEDGER, SHORTEST_PAUSE), LONGEST_PAUSE)

    @property
    def pace(self) -> float:
        """Seconds between the last two ledgers, 0 before that is known."""
        return self._pace

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """While the block runs, the stream is followed; enter before the envelope is sent."""
        if self._interest == 0:
            self._landings.start_behind(self._newest if self.live else None)
        self._interest += 1
        if self._following is None or self._following.done():
            # a context of its own: it outlives the activity that happens to start it
            self._following = self._horizon.background(self._follow(), Context())
        try:
            yield
        finally:
            self._interest -= 1
            self._left_at = time.monotonic()

    def found(self, submission: Submission) -> Landed | None:
        """Where it landed, if the watcher has seen that. None says nothing."""
        return self._landings.find(submission.hashes())

    async def wait(self, submission: Submission, *, seen: int, until: int, seconds: float) -> None:
        """Return when it landed, at ledger `until`, once its time bound is past, or after so many seconds.

        `seen` is the ledger that the caller knows of already.
        """
        waiter = _Waiter(seen, until, submission.max_time)
        known = self._newest is not None and waiter.concerned(self._newest)
        if known or self.found(submission) is not None:
            return
        hashes = submission.hashes()
        self._waiting.update(dict.fromkeys(hashes, waiter))
        try:
            async with asyncio.timeout(seconds):
                await waiter.woken.wait()
        except TimeoutError:
            return
        finally:
            for hash_ in hashes:
                if self._waiting.get(hash_) is waiter:
                    del self._waiting[hash_]

    # ---- what the watcher does

    async def _follow(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                pages = group.create_task(self._landings.keep_reading())
                while self._wanted():
                    await self._listen()
                pages.cancel()
        finally:
            # whoever waits looks for itself now
            self._wake(self._waiting.values())

    def _wanted(self) -> bool:
        return self._interest > 0 or time.monotonic() - self._left_at < LINGER_SECONDS

    async def _listen(self) -> None:
        """Follow the stream until it breaks, or has nothing to say for long."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._horizon.follow_ledgers(self._closed)
        except TimeoutError:
            return
        except HorizonUnavailable:
            await asyncio.sleep(LONGEST_PAUSE)

    def _closed(self, ledger: Ledger) -> None:
        self._heard_at = time.monotonic()
        self._note(ledger)
        self._wake(waiter for waiter in self._waiting.values() if waiter.concerned(ledger))

    def _note(self, ledger: Ledger) -> Ledger:
        """Keep the newest ledger: a node that lags does not take it back."""
        self.saw(ledger.sequence)
        if self._newest is not None and ledger.sequence <= self._newest.sequence:
            return self._newest
        now = time.monotonic()
        if self._newest is not None:
            self._pace = (now - self._changed_at) / (ledger.sequence - self._newest.sequence)
        self._newest, self._changed_at = ledger, now
        if self._interest:
            self._landings.more(ledger)
        return ledger

    def _landed(self, hashes: Sequence[str]) -> None:
        self._wake(self._waiting[hash_] for hash_ in hashes if hash_ in self._waiting)

    @staticmethod
    def _wake(waiters: Iterable[_Waiter]) -> None:
        for waiter in list(waiters):
            waiter.woken.set()
