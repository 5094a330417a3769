"""Worker processes of a test: the one that dies at a point, and the product's own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from domain.steps import SETTLE
from settings import TESTNET_PASSPHRASE
from tests.support.desk import Desk

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a test gives up; never an expectation about speed."""

PIPE, Process = asyncio.subprocess.PIPE, asyncio.subprocess.Process


@dataclass
class DoomedWorker:
    """A worker that dies by itself."""

    point: str
    note: Path
    pid: int
    death: asyncio.Task[bytes]

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it lives."""
        return int(self.death.result()) if self.death.done() else None

    @property
    def steps(self) -> list[list[str]]:
        """Every step it has taken and the workflow that took it, oldest first."""
        return [line.split() for line in self.note.read_text().splitlines()] if self.note.exists() else []

    async def dead(self, seconds: float) -> None:
        """Wait for its death, but not longer."""
        await asyncio.wait({self.death}, timeout=seconds)


@dataclass
class Crew:
    """Starts workers that share one desk's Temporal server, database and ledger."""

    desk: Desk
    directory: Path
    window_seconds: int
    processes: list[Process] = field(default_factory=list)
    doomed: list[DoomedWorker] = field(default_factory=list)
    nursery: Process | None = None

    async def healthy(self) -> Process:
        """`mintkeeper worker`, the product's own program, serving `mint` and `stellar`."""
        return await self._start("cli.py", "worker", "--queues", "mint,stellar", "--data-dir", self.directory)

    async def doom(self, point: str) -> DoomedWorker:
        """A worker that will die at the point; one at a time.

        One that is to die in `settle` is hurried: it leaves even the first looks to that activity.
        """
        if self.nursery is None:
            self.nursery = await self._start("-m", "tests.chaos.dying_worker", self.directory)
        name, hurried = f"{len(self.doomed)}.steps", " hurried" if point.startswith(SETTLE) else ""
        self.nursery.stdin.write(f"{name} {point}{hurried}\n".encode())
        pid = int(await self.nursery.stdout.readline())
        death = asyncio.create_task(self.nursery.stdout.readline())
        worker = DoomedWorker(point, self.directory / name, pid, death)
        self.doomed.append(worker)
        return worker

    async def close(self) -> None:
        """End every process that is left."""
        for worker in self.doomed:
            if worker.returncode is None:
                os.kill(worker.pid, signal.SIGKILL)
                await worker.death
        for process in self.processes:
            await kill(process)

    async def _start(self, *command) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, stdin=PIPE, stdout=PIPE, env=self._environment()
        )
        self.processes.append(process)
        return process

    def _environment(self) -> Mapping[str, str]:
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MINTKEEPER_", "TEMPORAL_"))
        }
        ledger, channels = self.desk.ledger, self.desk.ledger.channels
        seeds = {f"SEED_{number}": channel.secret for number, channel in enumerate(channels)}
        return {
            **ours,
            **seeds,
            "SEED": ledger.issuer.secret,
            "TEMPORAL_ADDRESS": self.desk.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.desk.client.namespace,
            "MINTKEEPER_DATABASE_URL": self.desk.seeded.url,
            "MINTKEEPER_HORIZON_URL": ledger.url,
            "MINTKEEPER_NETWORK_PASSPHRASE": TESTNET_PASSPHRASE,
            "MINTKEEPER_ISSUER_SIGNER": "env:SEED",
            "MINTKEEPER_CHANNEL_SIGNER": ",".join(f"env:{name}" for name in seeds),
            "MINTKEEPER_SUBMISSION_WINDOW_SECONDS": str(self.window_seconds),
        }


@asynccontextmanager
async def crew_of(desk: Desk, directory: Path, window_seconds: int) -> AsyncIterator[Crew]:
    """A crew whose workers are all gone at the end."""
    crew = Crew(desk, directory, window_seconds)
    try:
        yield crew
    finally:
        await crew.close()


async def kill(process: Process) -> int:
    """SIGKILL, from outside and at any moment."""
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.communicate()
    return process.returncode
