"""Keeps parts running: waits until each serves, starts one that dies again, stops all in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from domain.errors import Unavailable
from starter.local.process import Part, PartProcess

_READY_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_HEALTHY_SECONDS = 30.0
"""A part that ran this long starts again with the shortest pause."""

_log = logging.getLogger("mintkeeper.local")


class Supervisor:
    """The parts of one stack; `on_change` is told whenever a process id changes."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._processes: dict[str, PartProcess] = {}
        self._guards: dict[str, asyncio.Task[None]] = {}

    def pids(self) -> dict[str, int]:
        """Process id by part name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def start(self, part: Part) -> None:
        """Start `part`, wait until it serves, then keep it running; raises Unavailable."""
        process = self._processes[part.name] = await PartProcess.start(part)
        await _until_ready(process)
        self._guards[part.name] = asyncio.create_task(self._guard(part), name=f"guard {part.name}")

    async def stop(self, names: Sequence[str]) -> None:
        """Stop these parts together; those that were never started are left out."""
        for name in names:
            if (guard := self._guards.pop(name, None)) is not None:
                guard.cancel()
                await asyncio.gather(guard, return_exceptions=True)
        stopping = [self._processes.pop(name) for name in names if name in self._processes]
        await asyncio.gather(*(process.stop() for process in stopping))

    async def _guard(self, part: Part) -> None:
        """Start the part again whenever it ends, after a pause that doubles while it keeps failing."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = await self._processes[part.name].wait()
            if time.monotonic() - began > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            _log.warning(
                "%s ended with %d: starting it again in %.1f s (%s)", part.name, code, pause, part.log
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            await self._start_again(part)

    async def _start_again(self, part: Part) -> None:
        try:
            self._processes[part.name] = await PartProcess.start(part)
        except OSError as error:
            # out of memory or processes for the moment: the ended process is met again, and the pause grows
            _log.warning("%s could not be started: %s", part.name, error)
            return
        self._on_change()


async def _until_ready(process: PartProcess) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not await process.part.ready(process.pid):
        if not process.running:
            raise Unavailable(
                f"{process.part.name} ended while starting: {process.last_words()} (see {process.part.log})"
            )
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{process.part.name} is not ready after {_READY_SECONDS:.0f} s: see {process.part.log}"
            )
        await asyncio.sleep(0.05)
