"""The periodic tasks' schedules on a real server: applied, paused, run by hand, and what came of each run."""

import asyncio
import dataclasses
import re
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import ScheduleOverlapPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker
from ulid import ULID

from domain.errors import NotFound, Unavailable
from domain.steps import MAINTENANCE_QUEUE, UPLOADS_QUEUE
from starter import schedule_runs, schedules
from starter.schedules import TASKS, Task
from tests.support.schedules import forget_schedules
from tests.workflows.test_upkeep import delete_workflow
from worker import maintenance_worker

IDS = [task.id for task in TASKS]
COUNTS = (("overdue_total", "overdue"), ("told", "told"))


@workflow.defn(name="Obedient", sandboxed=False)
class Obedient:
    """Does what its queue is called for: a task that ends well, badly, or not at all."""

    @workflow.run
    async def run(self) -> dict[str, object]:
        if workflow.info().task_queue.startswith("failing"):
            raise ApplicationError("the disk\nis full", type="unavailable", non_retryable=True)
        if workflow.info().task_queue.startswith("slow"):
            await workflow.wait_condition(lambda: False)
        return {"overdue_total": 3, "told": ["a", "b"], "at": "now"}


@pytest.fixture
async def client(temporal_server):
    """A client; the schedules that a test has created are gone after it, and what they started."""
    client = temporal_server.client
    yield client
    await forget_schedules(client)


@asynccontextmanager
async def one_task(client, monkeypatch, kind):
    """A schedule of its own for a task of that kind, and a worker for it."""
    queue = f"{kind}-{ULID()}"
    task = Task(f"task-{ULID()}", "Obedient", timedelta(days=300), "a task", COUNTS, queue)
    monkeypatch.setattr(schedules, "TASKS", (task,))
    monkeypatch.setattr(schedule_runs, "TASKS", (task,))
    await schedules.apply(client)
    async with Worker(client, task_queue=queue, workflows=[Obedient]):
        yield task


async def until(client, reached):
    """Wait for a state of the only schedule, which the server shows a moment after it has answered."""
    async with asyncio.timeout(30):
        while True:
            [line] = await schedule_runs.lines(client)
            if reached(line):
                return line
            await asyncio.sleep(0.05)


async def after_run(client, task, state):
    """The line once a run by hand has come to `state`."""
    await schedule_runs.run_now(client, task.id)
    return await until(client, lambda line: line.outcome.state == state)


def test_the_five_tasks_are_those_of_the_design():
    """Ids, workflows, queues and intervals as operators know them."""
    minutes = {task.id: (task.workflow, task.queue, task.every.total_seconds() / 60) for task in TASKS}
    assert minutes == {
        "audit-pending": ("AuditPending", MAINTENANCE_QUEUE, 30),
        "sla-check": ("SlaCheck", MAINTENANCE_QUEUE, 5),
        "auto-assign-unclaimed": ("AutoAssignUnclaimed", MAINTENANCE_QUEUE, 60),
        "cleanup-expired-otps": ("CleanupExpiredOtps", MAINTENANCE_QUEUE, 60),
        "cleanup-stale-uploads": ("CleanupStaleUploads", UPLOADS_QUEUE, 1440),
    }


def test_the_docs_name_the_same_tasks():
    """The table of docs/schedules.md, in the order of the list."""
    page = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
    told = re.findall(r"^\| `([a-z-]+)` \| `(\w+)` \| .* \| (\w+) \|$", page, re.M)
    assert told == [(task.id, task.workflow, task.queue) for task in TASKS]


def test_every_task_has_a_worker_that_knows_its_workflow():
    """A schedule of a workflow that nobody runs would fail for ever, unseen."""
    import inspect

    import worker

    source = inspect.getsource(worker)
    known = {
        found.__temporal_workflow_definition.name: name
        for name, found in vars(worker).items()
        if hasattr(found, "__temporal_workflow_definition")
    }
    for task in TASKS:
        assert known[task.workflow] in source


async def test_schedules_are_applied_twice_without_doubling_and_keep_a_pause(client):
    """`schedules apply` may run at every deployment; an operator's pause survives it."""
    await schedules.apply(client)
    await client.get_schedule_handle("audit-pending").pause(note="maintenance")
    assert await schedules.apply(client) == [task.id for task in TASKS]
    await _until_paused(client, "audit-pending")
    lines = {line.id: line for line in await schedule_runs.lines(client)}
    assert list(lines) == [task.id for task in TASKS]
    audit = lines["audit-pending"]
    assert (audit.every, audit.paused, audit.note, audit.next_run) == ("30 min", True, "maintenance", None)
    assert (lines["cleanup-stale-uploads"].every, lines["sla-check"].paused) == ("24 h", False)
    assert lines["cleanup-stale-uploads"].next_run.strftime("%H:%M") == "03:00"


async def test_a_missing_schedule_is_shown_with_what_to_do(client):
    """It is no error: the list is what an operator looks at first."""
    await schedules.apply(client)
    await client.get_schedule_handle("sla-check").delete()
    [line] = [line for line in await schedule_runs.lines(client) if line.id == "sla-check"]
    assert (line.missing, line.outcome.state) == (True, "missing")
    assert "schedules apply" in line.outcome.text


async def test_overlap_is_skipped_and_an_outage_makes_up_one_run(client):
    """Whatever somebody set by hand is mended, and the catch-up window is that of the task."""
    await schedules.apply(client)
    for task in TASKS:
        found = (await client.get_schedule_handle(task.id).describe()).schedule
        assert found.policy.overlap is ScheduleOverlapPolicy.SKIP
        assert found.policy.catchup_window == task.every


async def test_a_pause_is_kept_while_the_schedule_is_changed(client, monkeypatch):
    """A new version changes a schedule just when an operator pauses it: it is changed, and it is paused."""
    async with one_task(client, monkeypatch, "quick") as task:
        handle = client.get_schedule_handle(task.id)
        for minutes in range(31, 41):
            changed = dataclasses.replace(task, every=timedelta(minutes=minutes))
            monkeypatch.setattr(schedules, "TASKS", (changed,))
            await asyncio.gather(handle.pause(note="maintenance"), schedules.apply(client))
            await _until_paused(client, task.id)
            [line] = await schedule_runs.lines(client)
            assert (line.every, line.paused) == (f"{minutes} min", True)
            await handle.unpause()
            await _until_paused(client, task.id, paused=False)


async def _until_paused(client, schedule_id, *, paused=True):
    """Wait until the server has applied a pause, which it does a moment after it has answered."""
    async with asyncio.timeout(30):
        while (
            next(line for line in await schedule_runs.lines(client) if line.id == schedule_id).paused
            is not paused
        ):
            await asyncio.sleep(0.05)


async def test_a_schedule_that_never_ran_says_so(client, monkeypatch):
    """And when it will."""
    async with one_task(client, monkeypatch, "quick"):
        [line] = await schedule_runs.lines(client)
    assert (line.last_run, line.outcome.state) == (None, "none yet")
    assert line.next_run is not None


async def test_the_outcome_of_a_run_that_went_well_says_what_it_found(client, monkeypatch):
    """Completed, how long it took, and a few words."""
    async with one_task(client, monkeypatch, "quick") as task:
        line = await after_run(client, task, "completed")
    assert line.outcome.text == "3 overdue, 2 told"
    assert line.outcome.seconds >= 0
    assert line.last_run is not None


async def test_the_outcome_of_a_failed_run_is_its_cause_in_one_line(client, monkeypatch):
    """Not Temporal's "workflow execution failed"."""
    async with one_task(client, monkeypatch, "failing") as task:
        line = await after_run(client, task, "failed")
    assert line.outcome.text == "the disk is full"


async def test_a_running_one_is_not_started_twice_and_shows_as_terminated(client, monkeypatch):
    """Running, refused a second time, then ended by hand in the Web UI."""
    async with one_task(client, monkeypatch, "slow") as task:
        line = await after_run(client, task, "running")
        assert line.outcome.seconds is None
        with pytest.raises(Unavailable, match="runs already"):
            await schedule_runs.run_now(client, task.id)
        await client.get_workflow_handle(line.outcome.workflow).terminate("stuck")
        await until(client, lambda line: line.outcome.state == "terminated")


async def test_a_run_that_the_server_has_forgotten_is_said_to_be(client, monkeypatch):
    """Its workflow is gone after the retention; the schedule still says when it ran."""
    async with one_task(client, monkeypatch, "slow") as task:
        line = await after_run(client, task, "running")
        await delete_workflow(client, line.outcome.workflow)
        [line] = await schedule_runs.lines(client)
    assert (line.outcome.state, line.outcome.text) == ("unknown", schedule_runs.FORGOTTEN)
    assert line.last_run is not None


async def test_paused_with_a_reason_resumed_and_run_by_hand(client, monkeypatch):
    """A paused schedule can still be run by hand."""
    async with one_task(client, monkeypatch, "quick") as task:
        await schedule_runs.pause(client, task.id, "the provider is down")
        line = await until(client, lambda line: line.paused)
        assert (line.note, line.next_run) == ("the provider is down", None)
        await after_run(client, task, "completed")
        await schedule_runs.resume(client, task.id, "")
        assert (await until(client, lambda line: not line.paused)).note == "a task"


async def test_an_unknown_schedule_and_one_that_is_not_created(client):
    """Each says what to do."""
    for act in (schedule_runs.pause, schedule_runs.resume):
        with pytest.raises(NotFound, match="there are audit-pending"):
            await act(client, "nonsense", "")
    with pytest.raises(NotFound, match="schedules apply"):
        await schedule_runs.run_now(client, "sla-check")


async def test_a_run_waits_for_its_worker(client, seeded):
    """On a fresh stack the schedule may come first: nothing fails, and it runs with the worker."""
    await schedules.apply(client)
    # else it may run by itself just now
    await schedule_runs.pause(client, "audit-pending", "")
    await schedule_runs.run_now(client, "audit-pending")

    async def audit():
        found = {line.id: line for line in await schedule_runs.lines(client)}
        return found["audit-pending"].outcome

    async with asyncio.timeout(60):
        while (await audit()).state != "running":
            await asyncio.sleep(0.05)
        async with maintenance_worker(client, seeded.database):
            while (await audit()).state == "running":
                await asyncio.sleep(0.05)
    assert ((await audit()).state, (await audit()).text) == ("completed", "0 checked")


def test_the_result_in_a_few_words():
    """What is not zero; the first count if all are; nothing that it does not know."""
    assert schedule_runs.result_text(COUNTS, {"overdue_total": 0, "told": []}) == "0 overdue"
    assert schedule_runs.result_text(COUNTS, {"overdue_total": 0, "told": ["x"]}) == "1 told"
    assert schedule_runs.result_text(COUNTS, None) == "0 overdue"
