"""A real worker of the periodic tasks that kills itself with SIGKILL right after one of its commits.

Started as `python -m tests.chaos.dying_sweeper COMMITS`, with the product's own settings in the
environment. Sweeping three requests commits six times: what is due, who there is, each assignment, and
what is to be told; the process dies before anything after the last of COMMITS is done.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from db.session import Database
from settings import Settings
from starter import temporal
from worker import maintenance_worker


class MortalDatabase:
    """The real database; the process dies right after so many commits."""

    def __init__(self, database: Database, commits: int) -> None:
        self._database = database
        self._left = commits

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A transaction that is the last one, or not."""
        async with self._database.transaction() as tx:
            yield tx
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def serve(commits: int) -> None:
    """The queue `maintenance`, as worker.py serves it."""
    client, database = await temporal.connect(), Database(Settings().database_url)
    async with maintenance_worker(client, MortalDatabase(database, commits)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
