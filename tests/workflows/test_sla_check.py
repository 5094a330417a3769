"""The workflow `SlaCheck`: figures, a snapshot, and an alert for each stay, whoever dies meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.boundary import ErrorBoundary
from activities.sla import SlaActivities
from domain.approvals import Verdict
from domain.runs import EventAction, EventKind, RunState
from domain.sla import CHECK_WORKFLOW, SlaStep
from domain.sla_report import SlaOutcome
from domain.steps import MAINTENANCE_QUEUE
from starter.workflows import RequestWorkflows
from tests.db.sla import no_terms, transition
from tests.support.events import messages_of, rule_for, until_run
from tests.workflows.test_upkeep import run_audit
from worker import maintenance_worker, replayer
from workflows.sla_check import SlaCheckWorkflow


async def run_check(desk) -> SlaOutcome:
    """Run the workflow once, as its schedule does; its history can be replayed."""
    async with maintenance_worker(desk.client, desk.seeded.database):
        handle = await start_check(desk)
        outcome = await handle.result()
    await replayer().replay_workflow(await handle.fetch_history())
    return outcome


async def start_check(desk):
    """Start it."""
    return await desk.client.start_workflow(
        CHECK_WORKFLOW,
        id=f"sla-{datetime.now(UTC).timestamp()}",
        task_queue=MAINTENANCE_QUEUE,
        result_type=SlaOutcome,
    )


@pytest.fixture(autouse=True)
async def terms(seeded):
    """None but a test's own."""
    await no_terms(seeded.database)


@pytest.fixture
async def late(desk):
    """A request that has been PENDING for six hours, one more than its SLA allows; its worker runs."""
    async with desk.seeded.database.transaction() as tx:
        await transition(tx, 5)
    async with desk.worker():
        ticket = await desk.submit(created_at=datetime.now(UTC) - timedelta(hours=6))
        await desk.until(ticket, lambda record: True)
        yield ticket


async def run_ids(desk):
    """The runs of SLA_OVERDUE, the oldest first."""
    async with desk.seeded.database.transaction() as tx:
        rows = await tx.rows(
            text("SELECT id FROM escalation_runs WHERE event_kind = 'sla.overdue' ORDER BY 1")
        )
        return [row.id for row in rows]


async def test_the_result_has_the_figures_and_a_snapshot_is_kept(desk, late):
    """Under the names of service.md, for whoever looks at it in the Web UI."""
    outcome = await run_check(desk)
    shown = outcome.model_dump(mode="json")
    assert shown["overdue_total"] == 1
    assert shown["overdue_by_status"] == {"PENDING": 1}
    assert shown["overdue_by_transition"] == {"treasury-eu:PENDING->*": 1}
    assert shown["frt_avg_minutes"] is None
    assert shown["avg_time_in_status_hours"]["PENDING"] == pytest.approx(6, abs=0.1)
    assert shown["tenants"]["acme"]["overdue_total"] == 1
    assert (outcome.alerts, outcome.alerts_failed) == (1, 0)
    async with desk.seeded.database.transaction() as tx:
        [snapshot] = await tx.rows(text("SELECT at, body FROM sla_snapshots"))
    assert snapshot.at == outcome.at
    assert snapshot.body["tenants"]["acme"]["lines"][0]["overdue"] == 1


async def test_the_next_check_alerts_nobody_again(desk, late):
    """A check every five minutes, one alert for the stay."""
    assert (await run_check(desk)).alerts == 1
    second = await run_check(desk)
    assert (second.overdue_total, second.alerts) == (1, 0)
    [run_id] = await run_ids(desk)
    assert [row.recipient for row in await messages_of(desk, run_id)] == ["lena", "lena", "#treasury-leads"]


async def test_a_rule_that_escalates_starts_a_run_that_ends_with_the_stay(desk, late):
    """Its workflow tells stage by stage; once the request is decided, its reason is over."""
    await rule_for(desk, EventKind.SLA_OVERDUE)
    assert (await run_check(desk)).alerts == 1
    [run_id] = await run_ids(desk)
    await until_run(desk, run_id, lambda run: run.next_stage > 0)
    assert {row.kind for row in await messages_of(desk, run_id)} == {"event_overdue"}
    await desk.decide(late, "alice", Verdict.REJECT)
    await desk.client.get_workflow_handle(f"escalation-{run_id}").terminate("to look anew")
    await run_audit(desk)
    run = await until_run(desk, run_id, lambda run: run.state is not RunState.RUNNING)
    assert run.state is RunState.RESOLVED


async def test_a_run_that_nobody_started_is_started_by_the_audit(desk, late):
    """The worker dies between the row and the workflow: nothing is lost, and nobody is alerted twice."""

    class Dying(RequestWorkflows):
        async def start_run(self, run, summary):
            raise ConnectionError("gone")

    await rule_for(desk, EventKind.SLA_OVERDUE)
    dying = SlaActivities(desk.seeded.database, Dying(desk.client))
    with pytest.raises(ConnectionError):
        await ActivityEnvironment().run(dying.sla_alert, SlaStep(at=datetime.now(UTC)))
    assert (await run_check(desk)).alerts == 0
    assert (await run_audit(desk)).restarted_runs == tuple(await run_ids(desk))


async def test_an_event_that_is_ignored_raises_nothing(desk, late):
    """It is counted all the same."""
    await rule_for(desk, EventKind.SLA_OVERDUE, EventAction.IGNORE)
    outcome = await run_check(desk)
    assert (outcome.overdue_total, outcome.alerts) == (1, 0)
    assert await run_ids(desk) == []


async def test_full_passes_are_repeated(desk, late):
    """Three overdue stays, two to a pass: one check alerts about all of them."""
    for _ in range(2):
        ticket = await desk.submit(created_at=datetime.now(UTC) - timedelta(hours=7))
        await desk.until(ticket, lambda record: True)
    activities = SlaActivities(desk.seeded.database, RequestWorkflows(desk.client), most=2)
    async with Worker(
        desk.client,
        task_queue=MAINTENANCE_QUEUE,
        workflows=[SlaCheckWorkflow],
        activities=[activities.sla_check, activities.sla_alert],
        interceptors=[ErrorBoundary()],
    ):
        assert (await (await start_check(desk)).result()).alerts == 3


async def test_one_that_cannot_be_raised_keeps_no_other_back(desk, late):
    """A row that nobody can read any more: it is reported, and the others are alerted about."""
    broken = await desk.submit(created_at=datetime.now(UTC) - timedelta(hours=7))
    await desk.until(broken, lambda record: True)
    async with desk.seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(text("UPDATE mint_requests SET rule = '{}' WHERE id = :id"), {"id": broken.id})
    outcome = await run_check(desk)
    assert (outcome.overdue_total, outcome.alerts, outcome.alerts_failed) == (2, 1, 1)


async def test_a_check_whose_worker_died_is_taken_over_within_seconds(desk):
    """It heartbeats, and a missed heartbeat ends the attempt."""
    async with maintenance_worker(desk.client, desk.seeded.database):
        handle = await start_check(desk)
        await handle.result()
    timeouts = [
        event.activity_task_scheduled_event_attributes.heartbeat_timeout.ToTimedelta()
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert timeouts == [timedelta(seconds=10)] * 2
