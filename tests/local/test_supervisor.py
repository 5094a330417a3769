"""Parts as child processes: started, watched, started again, stopped."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from domain.errors import Unavailable
from starter.local.process import Part, PartProcess
from starter.local.supervisor import Supervisor
from tests.local.stacks import alive

LASTING = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LASTING}"


def _part(tmp_path: Path, code: str, name: str = "part", **options) -> Part:
    log = tmp_path / f"{name}.log"

    async def ready(_pid: int) -> bool:
        return "up" in log.read_text()

    return Part(name, [sys.executable, "-c", code], log, ready, dict(os.environ), **options)


async def _changed(supervisor: Supervisor, name: str, pid: int) -> int:
    while supervisor.pids()[name] == pid:
        await asyncio.sleep(0.02)
    return supervisor.pids()[name]


async def test_part_is_started_again(tmp_path):
    """A part that dies comes back as a new process, and whoever keeps the ids is told."""
    told = []
    supervisor = Supervisor(lambda: told.append(True))
    await supervisor.start(_part(tmp_path, LASTING))
    first = supervisor.pids()["part"]
    os.kill(first, signal.SIGKILL)
    second = await _changed(supervisor, "part", first)
    assert alive(second)
    assert told == [True]
    await supervisor.stop(["part"])
    assert not alive(second)


async def test_stopped_part_stays_stopped(tmp_path):
    """Stopping is no death: nothing is started again."""
    supervisor = Supervisor(lambda: None)
    await supervisor.start(_part(tmp_path, LASTING))
    pid = supervisor.pids()["part"]
    await supervisor.stop(["part", "never started"])
    assert not alive(pid)
    assert supervisor.pids() == {}


async def test_stubborn_part_is_killed(tmp_path):
    """A part that does not heed its stop signal is killed after its grace."""
    process = await PartProcess.start(_part(tmp_path, STUBBORN, grace_seconds=0.3))
    while not await process.part.ready(process.pid):
        await asyncio.sleep(0.02)
    await process.stop()
    assert not alive(process.pid)
    assert await process.wait() == -signal.SIGKILL


async def test_part_that_ends_while_starting_says_why(tmp_path):
    """The error carries what the part wrote about its trouble, from this run only."""
    log = tmp_path / "part.log"
    log.write_text("error: of yesterday\n")
    supervisor = Supervisor(lambda: None)
    broken = "import sys; print('error: no luck'); print('bye'); sys.exit(3)"
    with pytest.raises(Unavailable, match="part ended while starting: error: no luck"):
        await supervisor.start(_part(tmp_path, broken))
    await supervisor.stop(["part"])
    assert supervisor.pids() == {}
