"""Whether messages are still wanted, known afresh for all that wait for their turn.

Whoever acknowledges a request must not hear of it more than a second later, so what was seen at the
claim is believed for a moment only. A thousand messages that wait would ask a thousand questions;
here one question is about all of them, a few times a second and only while some are about to be sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from db.reads.wanted import unwanted
from db.session import Database
from domain.records import DeliveryJob

FRESH_SECONDS = 0.25
"""For so long it is believed that a message is wanted; after that it is asked again."""

MOST_QUESTIONS = 3
"""An answer that was itself too long on its way is believed no more; so often it is asked again."""


class Asker:
    """What is known about the deliveries that wait, and since when."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, str]] = {}
        self._asking: asyncio.Task[None] | None = None

    @contextmanager
    def waiting(self, jobs: Sequence[DeliveryJob], since: float) -> Iterator[None]:
        """Know of these deliveries while the block runs; what they say was seen after `since`."""
        for job in jobs:
            self._known[job.id] = (since, job.unwanted)
        try:
            yield
        finally:
            for job in jobs:
                self._known.pop(job.id, None)

    async def why_pointless(self, jobs: Sequence[DeliveryJob]) -> dict[str, str] | None:
        """By id why nobody needs a waiting delivery any more, empty: somebody does.

        None: no answer came that was fresh. Raises Unavailable.
        """
        for _ in range(MOST_QUESTIONS):
            if self._is_fresh(jobs):
                break
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(), name="deliveries still wanted")
            # somebody else may wait for the same answer
            await asyncio.shield(self._asking)
        return {job.id: self._known[job.id][1] for job in jobs} if self._is_fresh(jobs) else None

    def _is_fresh(self, jobs: Sequence[DeliveryJob]) -> bool:
        oldest = time.monotonic() - FRESH_SECONDS
        return all(self._known[job.id][0] >= oldest for job in jobs)

    async def _ask(self) -> None:
        asked, ids = time.monotonic(), list(self._known)
        async with self._database.transaction() as tx:
            found = await unwanted(tx, ids)
        self._known.update({id: (asked, why) for id, why in found.items() if id in self._known})
