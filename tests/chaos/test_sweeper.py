"""The sweep's worker killed with SIGKILL: everything is assigned and told once, and every workflow knows."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from ulid import ULID

from domain.assignment_steps import SweepReport
from domain.mint_request import MintStatus
from domain.steps import MAINTENANCE_QUEUE
from tests.support.desk import Desk
from tests.support.sweeping import loads, messages, only, run
from worker import maintenance_worker

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


@pytest_asyncio.fixture
async def desk(temporal_server, seeded):
    """A desk without a ledger."""
    opened = Desk(temporal_server, temporal_server.client, seeded)
    yield opened
    await opened.close()


async def doomed(desk, commits) -> asyncio.subprocess.Process:
    """A worker process that dies after so many commits."""
    theirs = {
        "TEMPORAL_ADDRESS": desk.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": desk.client.namespace,
        "MINTKEEPER_DATABASE_URL": desk.seeded.url,
    }
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("MINTKEEPER_", "TEMPORAL_"))
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.dying_sweeper", str(commits), cwd=ROOT, env=ours | theirs
    )


@pytest.mark.parametrize("commits", [4, 5, 6], ids=["between two", "after all", "before it tells"])
async def test_a_killed_sweep_is_finished_by_another_worker(desk, commits):
    """Killed between the commits, between the last one and the telling, and while telling."""
    await run(desk.seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        created_at = datetime.now(UTC) - timedelta(hours=2)
        tickets = [await desk.submit(created_at=created_at) for _ in range(3)]
        for ticket in tickets:
            await desk.until_status(ticket, MintStatus.PENDING)
        handle = await desk.client.start_workflow(
            "AutoAssignUnclaimed",
            id=f"sweep-{ULID()}",
            task_queue=MAINTENANCE_QUEUE,
            result_type=SweepReport,
        )
        process = await doomed(desk, commits)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == -signal.SIGKILL
            async with maintenance_worker(desk.client, desk.seeded.database):
                report = await handle.result()
        assert (report.told, report.failed) == (3, 0)
        for ticket in tickets:
            await _until_shown(desk, ticket, "alice")
            assert (await desk.kinds(ticket)).count("assignment.automatic") == 1
    assert await loads(desk.seeded.database) == {"alice": 3}
    assert len(await messages(desk.seeded.database, "assigned")) == 6


async def _until_shown(desk, ticket, name):
    async with asyncio.timeout(PATIENCE):
        while (await desk.view(ticket)).assignee != name:
            await asyncio.sleep(0.05)
