"""A PostgreSQL server of one's own, to end sessions on, to kill and to start again."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import psycopg

from starter.local.layout import DataDir
from starter.local.postgres import prepare_postgres
from starter.local.process import Part, PartProcess

OTHER_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class MortalServer:
    """One server; it stays dead until it is started again."""

    def __init__(self, part: Part, url: str) -> None:
        self.url = url
        self._part = part
        self._process: PartProcess | None = None

    async def start(self) -> None:
        """Start it, unless it runs, and wait until it serves: what a killed one left may hold it up."""
        while self._process is None or not await self._part.ready(self._process.pid):
            if self._process is None or not self._process.running:
                self._process = await PartProcess.start(self._part)
            await asyncio.sleep(0.05)

    async def end(self, number: signal.Signals) -> None:
        """A signal to the server itself, and wait until it and all its sessions are gone."""
        assert self._process is not None
        sessions = psutil.Process(self._process.pid).children(recursive=True)
        os.kill(self._process.pid, number)
        await self._process.wait()
        # after SIGKILL they are nobody's children, and each notices for itself
        await asyncio.to_thread(psutil.wait_procs, sessions)

    async def end_sessions(self) -> None:
        """End every session but ours, as an administrator does, and wait until they are gone."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(OTHER_SESSIONS)

    async def stop(self) -> None:
        """End it for good."""
        if self._process is not None:
            await self._process.stop()


@asynccontextmanager
async def mortal_server() -> AsyncIterator[MortalServer]:
    """A new server in a directory of its own."""
    # its user has to reach its files
    root = Path(tempfile.mkdtemp(prefix="mintkeeper-mortal-"))
    data = DataDir(root / "data")
    data.create()
    for directory in (root, data.root):
        directory.chmod(0o755)
    part, url = await prepare_postgres(data)
    server = MortalServer(part, url)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(root, ignore_errors=True)
