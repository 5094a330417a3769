"""The assignment sweep with real workflows: they are told, a claim wins, nothing is lost with a worker."""

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
)
from ulid import ULID

from domain.assignment_steps import SweepReport
from domain.errors import OutcomeUnknown, Refused, Unavailable
from domain.mint_request import MintStatus
from domain.steps import MAINTENANCE_QUEUE, AssignMessage
from starter import decisions
from starter.ids import new_message_id
from starter.temporal import worker_polls
from starter.upkeep import run_sweep
from tests.support.sweeping import hire, messages, one_pass, only, run
from worker import maintenance_worker, replayer
from workflows.search_attributes import ASSIGNEE

HOUR = 3600
"""The scale at which the topic's hour lasts a second."""


@pytest.fixture(autouse=True)
async def limits(seeded):
    """The demo topics wait an hour."""
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")


async def sweep(desk) -> SweepReport:
    """Run the sweep's workflow once, as `assign run` does."""
    async with sweeping(desk):
        return await run_sweep(desk.client, 60)


@asynccontextmanager
async def sweeping(desk):
    """A worker of the sweep that the server knows of."""
    async with maintenance_worker(desk.client, desk.seeded.database), asyncio.timeout(120):
        while not await worker_polls(desk.client, MAINTENANCE_QUEUE):
            await asyncio.sleep(0.05)
        yield


async def due(desk, ticket):
    """Wait until the request has been open for so long as its topic allows: a second at this scale."""
    record = await desk.until_status(ticket, MintStatus.PENDING)
    until = record.unassigned_since + timedelta(seconds=1) - datetime.now(UTC)
    await asyncio.sleep(max(until.total_seconds(), 0) + 0.01)


async def old(desk, **changes):
    """A request that was asked for two hours ago."""
    ticket = await desk.submit(created_at=datetime.now(UTC) - timedelta(hours=2), **changes)
    await desk.until_status(ticket, MintStatus.PENDING)
    return ticket


async def send(desk, ticket, verb, actor, assignee=None):
    """Send a claim, release or assignment and return how the request stands."""
    message = AssignMessage(actor=actor, assignee=assignee, message_id=new_message_id())
    return await decisions.send_assignment(desk.client, ticket.id, verb, message, 30)


async def shown(desk, ticket):
    """Whom the workflow itself, and its search attribute, call the assignee; waits for both."""
    async with asyncio.timeout(30):
        while True:
            view = await desk.view(ticket)
            attributes = (await ticket.handle.describe()).typed_search_attributes
            if view.assignee == attributes.get(ASSIGNEE) is not None:
                return view.assignee
            await asyncio.sleep(0.05)


async def test_the_workflow_learns_who_has_its_request(desk):
    """View, search attribute and details say it; the report names it."""
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await old(desk)
        report = await sweep(desk)
        assert (report.assigned, report.told, report.missing) == (1, 1, 0)
        assert [(given.request_id, given.assignee) for given in report.given] == [(ticket.id, "alice")]
        assert await shown(desk, ticket) == "alice"
        assert "assignee: alice" in await _details(ticket)
        assert (await send(desk, ticket, "release", "alice")).assignee is None


async def test_sweeps_and_what_they_tell_replay(desk):
    """The histories of both workflows replay under the same code."""
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await old(desk)
        await sweep(desk)
        assert await shown(desk, ticket) == "alice"
        assert (await desk.decide(ticket, "alice")).accepted
    await replayer().replay_workflow(await ticket.handle.fetch_history())
    sweeps = [found async for found in desk.client.list_workflows("WorkflowType = 'AutoAssignUnclaimed'")]
    assert sweeps
    handle = desk.client.get_workflow_handle(sweeps[0].id, run_id=sweeps[0].run_id)
    await replayer().replay_workflow(await handle.fetch_history())


async def _details(ticket):
    metadata = await ticket.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


async def test_an_automatic_assignment_is_no_activity(desk):
    """Under the inactivity clock the reminder stays where it was; a claim moves it."""
    policy = desk.seeded.policy.model_copy(update={"clock": "inactivity", "id": "inactive", "name": "other"})
    from db.writes.publication import publish_policy

    async with desk.seeded.database.transaction() as tx:
        await publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await old(desk, policy=policy)
        before = (await desk.view(ticket)).next_timer
        await sweep(desk)
        assert await shown(desk, ticket) == "alice"
        assert (await desk.view(ticket)).next_timer == before
        await send(desk, ticket, "claim", "alice")
        assert (await desk.view(ticket)).next_timer != before


@pytest.mark.parametrize("arguments", [(), ("alice",), ({"assignee": "mallory"}, 1), (None,)], ids=str)
async def test_a_signal_is_believed_nothing(desk, arguments):
    """Whoever sends it, and whatever it carries: the workflow looks for itself, and goes on."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        await ticket.handle.signal("assigned", args=list(arguments))
        assert (await desk.view(ticket)).assignee is None
        assert (await desk.decide(ticket, "alice")).accepted
        await ticket.handle.signal("assigned")
    assert (await desk.record(ticket)).status is MintStatus.APPROVED


async def test_a_claim_in_between_wins_in_the_workflow_too(desk):
    """Swept, claimed by another before the workflow is told: it shows the claim, then and afterwards."""
    await only(desk.seeded.database, "alice", "bob", "rita")
    async with desk.worker():
        ticket = await old(desk)
        await one_pass(desk.seeded.database, datetime.now(UTC))
        assert (await desk.record(ticket)).assigned_automatically
        await send(desk, ticket, "claim", "bob")
        await sweep(desk)
        assert await shown(desk, ticket) == "bob"
    assert (await desk.record(ticket)).assigned_automatically is False


async def test_claims_by_real_workflows_against_sweeps(desk):
    """Twenty people claim by update while two sweeps run: one winner, who still has it, each time."""
    people = [f"claimer{number:02}" for number in range(20)]
    await only(desk.seeded.database, "rita")
    for name in people:
        await hire(desk.seeded.database, name)
    async with desk.worker(), sweeping(desk):
        for number in range(4):
            rng, ticket, claimed = random.Random(number), await old(desk), []

            async def attempt(name, rng=rng, ticket=ticket, claimed=claimed):
                await asyncio.sleep(rng.random() * 0.3)
                try:
                    claimed.append((await send(desk, ticket, "claim", name)).assignee)
                except (Refused, WorkflowUpdateFailedError):
                    return

            await asyncio.gather(
                run_sweep(desk.client, 60), run_sweep(desk.client, 60), *map(attempt, people)
            )
            after = await desk.record(ticket)
            assert claimed == [after.assignee]
            assert after.assigned_automatically is False
            await run_sweep(desk.client, 60)
            assert await shown(desk, ticket) == after.assignee
            assert (await desk.kinds(ticket)).count("request.claim") == 1


async def test_what_a_sweep_could_not_tell_is_told_by_the_next_one(desk):
    """Assigned, and then nobody signalled: the next sweep looks at the last hours, not at its own work."""
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await old(desk)
        await one_pass(desk.seeded.database, datetime.now(UTC))
        assert (await desk.view(ticket)).assignee is None
        report = await sweep(desk)
        assert (report.assigned, report.told) == (0, 1)
        assert await shown(desk, ticket) == "alice"
    assert len(await messages(desk.seeded.database, "assigned")) == 2


async def test_a_request_without_a_workflow_is_assigned_and_left_to_the_pending_audit(desk):
    """It can't be told; the sweep says so, and the restarted workflow reads who has it."""
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await old(desk)
        await ticket.handle.terminate("by mistake")
        report = await sweep(desk)
        assert (report.assigned, report.told, report.missing) == (1, 0, 1)
        async with maintenance_worker(desk.client, desk.seeded.database):
            await desk.client.execute_workflow(
                "AuditPending", id=f"audit-{ULID()}", task_queue=MAINTENANCE_QUEUE
            )
        assert (await desk.view(ticket)).assignee == "alice"


async def test_a_sweep_of_a_skipped_hour_assigns(skipping_desk):
    """Nothing is due when it is asked for; the sweep's own clock moved by an hour makes it due."""
    desk = skipping_desk
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        assert (await sweep(desk)).looked_at == 0
        handle = await desk.client.start_workflow(
            "AutoAssignUnclaimed",
            id=f"sweep-{ULID()}",
            task_queue=MAINTENANCE_QUEUE,
            result_type=SweepReport,
            start_delay=timedelta(hours=1),
        )
        await desk.env.fast_forward(handle, timedelta(hours=1, seconds=5))
        async with maintenance_worker(desk.client, desk.seeded.database):
            report = await handle.result()
    assert (report.assigned, (await desk.record(ticket)).assignee) == (1, "alice")


async def test_a_schedule_starts_it_without_any_argument(desk):
    """As `schedules apply` creates it: triggered now, its report is the workflow's result."""
    await only(desk.seeded.database, "alice", "rita")
    schedule_id = f"auto-assign-{ULID()}"
    action = ScheduleActionStartWorkflow("AutoAssignUnclaimed", id=schedule_id, task_queue=MAINTENANCE_QUEUE)
    async with desk.worker():
        ticket = await old(desk)
        schedule = await desk.client.create_schedule(
            schedule_id,
            Schedule(action=action, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(hours=1))])),
        )
        try:
            async with maintenance_worker(desk.client, desk.seeded.database):
                await schedule.trigger()
                await desk.until(ticket, lambda record: record.assignee == "alice")
                assert await shown(desk, ticket) == "alice"
        finally:
            await schedule.delete()


async def test_without_a_worker_nobody_waits_for_ever(desk):
    """The error says what to start or, while the server still believes in a worker, where to look."""
    with pytest.raises((Unavailable, OutcomeUnknown), match=r"no worker serves the queue|goes on after 1 s"):
        await run_sweep(desk.client, 1)
    async for left in desk.client.list_workflows("WorkflowType = 'AutoAssignUnclaimed'"):
        if left.status is WorkflowExecutionStatus.RUNNING:
            await desk.client.get_workflow_handle(left.id).terminate()


async def test_a_fast_request_is_assigned_within_its_scaled_hour(desk):
    """The whole way on the wall clock: opened, a scaled hour passed, swept, claimed by the assignee."""
    await only(desk.seeded.database, "alice", "rita")
    async with desk.worker():
        ticket = await desk.submit(sla_scale=HOUR)
        await due(desk, ticket)
        assert (await sweep(desk)).assigned == 1
        assert await shown(desk, ticket) == "alice"
        assert (await desk.decide(ticket, "alice")).accepted
