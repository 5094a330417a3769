"""One child process: its command, its log, its start and its end."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Ready = Callable[[int], Awaitable[bool]]
"""Asks a part with this process id whether it serves; never raises for 'not yet'."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Part:
    """One program of the stack."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Ready
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    """How long it may take to end after the stop signal before it is killed."""
    run_as: str | None = None
    """System user to run as; None: ours."""


class PartProcess:
    """A running part. It leads a session of its own, so Ctrl-C in the terminal does not reach it."""

    def __init__(self, part: Part, process: asyncio.subprocess.Process, log_start: int) -> None:
        self.part = part
        self._process = process
        self._log_start = log_start

    @classmethod
    async def start(cls, part: Part) -> PartProcess:
        """Start it; its output goes to the end of its log."""
        with part.log.open("ab") as log:
            log_start = log.tell()
            process = await asyncio.create_subprocess_exec(
                *part.command,
                env=dict(part.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent(part.stop_signal),
                user=part.run_as,
                group=part.run_as,
                extra_groups=[] if part.run_as else None,
            )
        return cls(part, process, log_start)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """False once it has ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        return await self._process.wait()

    def last_words(self) -> str:
        """What it wrote about its trouble: this run's last line that speaks of an error, else its last."""
        with self.part.log.open("rb") as log:
            log.seek(self._log_start)
            lines = [
                line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()
            ]
        troubles = [line for line in lines if "error" in line.lower()]
        return (troubles or lines or ["it wrote nothing"])[-1]

    async def stop(self) -> None:
        """Ask it to end, wait for its grace, then kill it and whatever it left in its session."""
        if not self.running:
            return
        self._process.send_signal(self.part.stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), self.part.grace_seconds)
        except TimeoutError:
            os.killpg(self.pid, signal.SIGKILL)
            await self._process.wait()


def _die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """On Linux the kernel sends `stop_signal` to the child when its parent dies, however it dies."""
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        # the parent may have died between fork and prctl
        if os.getppid() != parent:
            os._exit(1)

    return prepare
