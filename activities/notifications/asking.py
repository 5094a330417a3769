"""Asks the database whether messages are still wanted, many in one query.

A thousand messages that wait for their turn ask within a second; a query each would cost more than
sending them. While one query is under way the next questions gather, so that every answer is from
after its question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from db.reads.wanted import unwanted
from db.session import Database


class Asker:
    """Answers for deliveries by id why nobody needs them any more; empty: somebody does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Sequence[str], asyncio.Future[dict[str, str]]]] = []
        self._busy = asyncio.Lock()

    async def __call__(self, ids: Sequence[str]) -> dict[str, str]:
        """As things are now; raises Unavailable."""
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._waiting.append((ids, answer))
        async with self._busy:
            if not answer.done():
                await self._ask()
        return await answer

    async def _ask(self) -> None:
        batch = tuple(self._waiting)
        try:
            async with self._database.transaction() as tx:
                found = await unwanted(tx, [id for ids, _ in batch for id in ids])
        except Exception as error:  # noqa: BLE001 - each of those who wait gets it
            for _, answer in batch:
                answer.set_exception(error)
        else:
            for ids, answer in batch:
                answer.set_result({id: found[id] for id in ids})
        # whoever was cancelled in the query has left the questions to the next one
        del self._waiting[: len(batch)]
