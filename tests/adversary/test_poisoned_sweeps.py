"""One poisoned row must not stop a sweep for everybody: rules nobody can read, ages and clocks nobody has."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.boundary import ErrorBoundary
from activities.sla import SlaActivities
from domain.calendars import BusinessCalendar
from domain.mint_request import MintStatus
from domain.sla import SlaStep
from domain.steps import MAINTENANCE_QUEUE
from starter.workflows import RequestWorkflows
from tests.db.factories import START, later, open_one
from tests.db.sla import OFFICE, calendar, no_terms, report_at, transition
from tests.support.sweeping import kinds_of, one_pass, run
from tests.workflows.test_sla_check import start_check
from workflows.sla_check import SlaCheckWorkflow

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(seeded):
    """The demo tenant with no SLA but a test's own, whose topics wait an hour for the assignment sweep."""
    await no_terms(seeded.database)
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    return seeded.database


async def opened(database, count, at=START):
    """Requests that nobody took; their ids."""
    async with database.transaction() as tx:
        return [(await open_one(tx, at=at)).request.id for _ in range(count)]


async def spoil(database, ids, change="rule = '{}'"):
    """Change rows as no guard would allow."""
    async with database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(text(f"UPDATE mint_requests SET {change} WHERE id = ANY (:ids)"), {"ids": ids})


@pytest.mark.parametrize("most", [1, 500])
async def test_a_rule_that_nobody_can_read_stops_no_assignment(database, most):
    """It is counted as failed, sweep by sweep; all others are assigned, also those behind it."""
    ids = await opened(database, 3)
    await spoil(database, ids[:1])
    behind, assigned, failed = None, 0, 0
    for _ in range(4):
        answer = await one_pass(database, later(hours=2), behind, most)
        assigned, failed = assigned + answer.report.assigned, failed + answer.report.failed
        behind = answer.behind
        if behind is None:
            break
    assert (assigned, failed) == (2, 1)
    assert await kinds_of(database, ids[0]) == ["request.opened", "stage.opened"]


async def test_more_alerts_that_fail_than_a_pass_holds_keep_no_other_back(desk, database):
    """The next pass goes on behind them: the oldest must not starve the rest check after check."""
    async with database.transaction() as tx:
        await transition(tx, 5)
    ids = await opened(database, 4)
    await spoil(database, ids)
    [healthy] = await opened(database, 1, START + timedelta(hours=1))
    activities = SlaActivities(database, RequestWorkflows(desk.client), most=2)
    async with Worker(
        desk.client,
        task_queue=MAINTENANCE_QUEUE,
        workflows=[SlaCheckWorkflow],
        activities=[activities.sla_check, activities.sla_alert],
        interceptors=[ErrorBoundary()],
    ):
        outcome = await (await start_check(desk)).result()
    assert (outcome.overdue_total, outcome.alerts, outcome.alerts_failed) == (5, 1, 4)
    assert (await kinds_of(database, healthy))[-1] == "escalation.suppressed"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
async def test_a_birth_in_the_year_1_costs_no_check_its_time(seeded, database, zone):
    """Whoever forges a start can say any age: no zone knows that year, and nobody counts its days."""
    async with database.transaction() as tx:
        await calendar(tx, topic="treasury-eu", zone=zone)
        await transition(tx, 5)
        await open_one(tx, at=LONG_AGO)
    assert (await report_at(seeded, START)).overdue_total == 1


async def test_what_began_before_a_calendar_goes_back_counts_from_there():
    """Sums and cutoffs agree: more than thirty years' hours nobody has."""
    office = BusinessCalendar.parse(OFFICE, "America/New_York")
    counted = office.elapsed(LONG_AGO, START)
    assert timedelta(hours=50_000) < counted < timedelta(hours=65_000)
    assert counted == office.elapsed(START - timedelta(days=30 * 366), START)
    assert len(list(office.stretches(LONG_AGO, START))) < 20_000


@pytest.mark.parametrize("born", [START, LONG_AGO])
async def test_a_clock_of_any_speed_can_be_reported(seeded, database, born):
    """A forged scale: times of the SLA longer than a million years are only numbers."""
    async with database.transaction() as tx:
        await transition(tx, 5)
    await spoil(database, await opened(database, 1, born), f"sla_scale = {2**31 - 1}")
    step = SlaStep(at=later(days=2))
    outcome = await ActivityEnvironment().run(SlaActivities(database, None).sla_check, step)
    assert outcome.overdue_by_status == {MintStatus.PENDING.value: 1}
