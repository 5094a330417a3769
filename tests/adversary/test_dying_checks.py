"""SLA checks that die, meet each other and people at work: each stay is told of once, the chain holds."""

import asyncio
import random

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.sla import SlaActivities
from db import reads
from db.session import Database
from db.writes import requests
from domain.audit import verify_chain
from domain.errors import Refused
from domain.mint_request import MintStatus
from domain.sla import SlaStep, occurrence_of
from tests.db.factories import START, later, open_one
from tests.db.sla import no_terms, status, transition
from tests.support.mortal import Killed, Life, MortalDatabase
from tests.support.sweeping import act, claim, one_pass, run

LATE = later(hours=6)


@pytest.fixture
async def database(seeded):
    """The demo tenant: PENDING is overdue after five hours, and its topics wait an hour for the sweep."""
    await no_terms(seeded.database)
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        await status(tx, "REJECTED", 1)
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    wide = Database(seeded.url, pool_size=20)
    yield wide
    await wide.close()


async def opened(database, count):
    """Requests that are overdue at LATE; their ids."""
    async with database.transaction() as tx:
        return [(await open_one(tx)).request.id for _ in range(count)]


async def check(database, at=LATE):
    """Both activities of a check, as its workflow runs them."""
    activities, step = SlaActivities(database, None), SlaStep(at=at)
    await ActivityEnvironment().run(activities.sla_check, step)
    return await ActivityEnvironment().run(activities.sla_alert, step)


async def told(database):
    """Request and occurrence of every run, and how many messages it has."""
    async with database.transaction() as tx:
        found = await tx.rows(
            text("""SELECT e.request_id, e.occurrence, count(d.id) AS messages FROM escalation_runs e
                LEFT JOIN deliveries d ON d.run_id = e.id GROUP BY e.id ORDER BY 1, 2""")
        )
        verify_chain(await reads.audit_events(tx, "acme"))
    return [tuple(row) for row in found]


async def test_a_check_that_dies_anywhere_is_finished_by_the_next_one(database):
    """Before, inside or after any transaction: one snapshot, a run for each stay, no message twice."""
    ids, died = await opened(database, 3), 0
    for step in range(40):
        life = Life(dies_at=step)
        try:
            await check(MortalDatabase(database, life))
        except Killed:
            died += 1
        if not life.over:
            break
    assert died > 4
    pending = occurrence_of(MintStatus.PENDING, START)
    assert await told(database) == [(request_id, pending, 3) for request_id in sorted(ids)]
    async with database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM sla_snapshots")) == 1


async def test_checks_sweeps_and_people_at_once(database):
    """Claimed, released, rejected and swept while checks run: no stay is told of twice, none is forgotten."""
    ids, dice = await opened(database, 12), random.Random(7)

    async def person(request_id):
        for number in range(3):
            await asyncio.sleep(dice.random() / 20)
            try:
                await claim(database, request_id, "bob", LATE)
                await act(database, request_id, "release", "bob", None, LATE, key=str(number))
            except Refused:
                continue
        async with database.transaction() as tx:
            record = await reads.lock_request(tx, request_id)
            await requests.change_status(
                tx, record=record, to=MintStatus.REJECTED, step="no", kind="request.no", actor="bob", at=LATE
            )

    await asyncio.gather(
        *[person(request_id) for request_id in ids[:8]],
        *[check(database) for _ in range(3)],
        *[one_pass(database, LATE) for _ in range(2)],
        return_exceptions=False,
    )
    await check(database, later(hours=8))
    runs = await told(database)
    assert len({run[:2] for run in runs}) == len(runs)
    ended = occurrence_of(MintStatus.REJECTED, LATE)
    assert {run[0] for run in runs if run[1] == ended} == set(ids[:8])
    pending = {run[0] for run in runs if run[1] == occurrence_of(MintStatus.PENDING, START)}
    assert set(ids[8:]) <= pending
    assert all(run[2] >= 3 for run in runs)
