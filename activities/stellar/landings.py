"""What landed: the issuer's transactions, read page by page as ledgers close.

Every mint is among them, since the issuer is its operation's source. What a page does not show means
nothing: it may come from a node that lags.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from activities.stellar.horizon import PAGE_SIZE, Horizon, HorizonUnavailable, Ledger
from domain.submission import Landed

REMEMBERED = 10_000
"""So many transactions that landed are remembered, for those who ask a moment later."""

RETRY_SECONDS = 1.0

LEDGER_SHIFT = 32
"""A paging token of Horizon is the ledger's number in the upper 32 bits, then the place in the ledger."""


class Landings:
    """The issuer's transactions that landed; `tell` hears the hashes of each as it is read."""

    def __init__(self, horizon: Horizon, issuer: str, tell: Callable[[Sequence[str]], None]) -> None:
        self.readable = True
        """The last page could be read."""
        self._horizon = horizon
        self._issuer = issuer
        self._tell = tell
        self._cursor: str | None = None
        self._fresh = asyncio.Event()
        self._landed: OrderedDict[str, Landed] = OrderedDict()

    def start_behind(self, ledger: Ledger | None) -> None:
        """Read what lands after this ledger; None: after the next one that closes."""
        self._cursor = None if ledger is None else str((ledger.sequence + 1) << LEDGER_SHIFT)

    def more(self, ledger: Ledger) -> None:
        """A ledger has closed: there may be more to read."""
        if self._cursor is None:
            self.start_behind(ledger)
        self._fresh.set()

    def find(self, hashes: Iterable[str]) -> Landed | None:
        """The first of them that is known to have landed."""
        return next((self._landed[hash_] for hash_ in hashes if hash_ in self._landed), None)

    async def keep_reading(self) -> None:
        """Read whenever there may be more; after a failure again a little later."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            try:
                await self._read()
                self.readable = True
            except HorizonUnavailable as error:
                self.readable = False
                await asyncio.sleep(max(error.retry_after or 0.0, RETRY_SECONDS))
                self._fresh.set()

    async def _read(self) -> None:
        while self._cursor is not None:
            page = await self._horizon.transactions_of(self._issuer, self._cursor)
            for listed in page:
                self._cursor = listed.cursor
                self._remember(listed.hashes, listed.landed)
            if len(page) < PAGE_SIZE:
                return

    def _remember(self, hashes: Sequence[str], landed: Landed) -> None:
        self._landed.update(dict.fromkeys(hashes, landed))
        while len(self._landed) > REMEMBERED:
            self._landed.popitem(last=False)
        self._tell(hashes)
