"""The workers of a run: one that is always raised again, and others beside it for a while."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its wheel carries no types

from starter.local.layout import DataDir
from starter.local.stack import RunningStack, StackOptions

_LOOK_SECONDS = 0.2
BESIDE_SECONDS = 2.0
"""So long a thawed worker and the one that took its place run at the same time."""


class Crew:
    """Raises, kills and freezes worker processes."""

    def __init__(self, nursery: asyncio.subprocess.Process, data: DataDir) -> None:
        self.raised = 0
        """How many worker processes there have been."""
        self._nursery = nursery
        self._data = data
        self._turn = asyncio.Lock()
        self._main = 0

    async def keep_one(self) -> None:
        """Raise the worker again whenever it has ended by itself, until cancelled."""
        while True:
            if not _alive(self._main):
                await self.replace(clock=0)
            await asyncio.sleep(_LOOK_SECONDS)

    async def replace(self, clock: int) -> None:
        """SIGKILL to the worker; the next one's clock is so many seconds wrong."""
        async with self._turn:
            _send(self._main, signal.SIGKILL)
            self._main = await self._raise(clock)

    async def hand_over(self) -> None:
        """SIGTERM to the worker: it finishes what it has begun while the next one works already."""
        async with self._turn:
            leaving, self._main = self._main, await self._raise(0)
        _send(leaving, signal.SIGTERM)

    async def freeze(self, seconds: float) -> None:
        """Stop the worker where it is while another one goes on; then it wakes up and knows of nothing."""
        frozen = self._main
        _send(frozen, signal.SIGSTOP)
        try:
            await self.beside(seconds, frozen)
        finally:
            _send(frozen, signal.SIGCONT)

    async def beside(self, seconds: float, thaw: int | None = None) -> None:
        """A second worker for so many seconds, then SIGKILL; `thaw` wakes up a little earlier."""
        async with self._turn:
            pid = await self._raise(0)
        await asyncio.sleep(seconds)
        if thaw is not None:
            _send(thaw, signal.SIGCONT)
            await asyncio.sleep(BESIDE_SECONDS)
        _send(pid, signal.SIGKILL)

    async def _raise(self, clock: int) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        log = self._data.log("worker")
        self._nursery.stdin.write(f"{clock}\t{log}\t{self._data.root}\n".encode())
        await self._nursery.stdin.drain()
        self.raised += 1
        return int(await self._nursery.stdout.readline())


@asynccontextmanager
async def crew_of(stack: RunningStack, options: StackOptions) -> AsyncIterator[Crew]:
    """A crew in place of the stack's own worker; nobody of it is left at the end."""
    # what the stack gives its own worker
    environment = psutil.Process(stack.supervisor.pids()["worker"]).environ()
    await stack.supervisor.stop(["worker", "web"])
    data = DataDir(options.data_dir)
    nursery = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos.nursery"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    crew = Crew(nursery, data)
    keeping = asyncio.create_task(crew.keep_one())
    try:
        yield crew
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        # which ends whoever it has borne
        nursery.stdin.close()  # type: ignore[union-attr]  # it was opened as a pipe above
        await nursery.wait()


def _alive(pid: int) -> bool:
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pid: int, number: signal.Signals) -> None:
    """A signal to a worker that may have died already; process id 0 is nobody."""
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
