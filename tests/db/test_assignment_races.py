"""Sweeps, claims and failures at once: a claim always wins, and nothing is done or told twice."""

import asyncio
import random

import pytest
import pytest_asyncio
from sqlalchemy import text

from activities.assignment import PASS
from db.session import Database
from domain.errors import MintkeeperError, Refused, Unavailable
from tests.db.factories import later, open_one
from tests.support.mortal import Killed, Life, MortalDatabase
from tests.support.sweeping import (
    act,
    claim,
    events_of,
    hire,
    kinds_of,
    loads,
    messages,
    one_pass,
    only,
    record_of,
    run,
)

DUE = later(hours=1)
CLAIMERS = [f"claimer{number:02}" for number in range(20)]
ROUNDS = 25


@pytest_asyncio.fixture
async def database(seeded):
    """Twenty approvers and a pool that lets all of them act at once."""
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    await only(seeded.database, "rita", "adam", "lena")
    for name in CLAIMERS:
        await hire(seeded.database, name)
    wide = Database(seeded.url, pool_size=len(CLAIMERS) + 4)
    yield wide
    await wide.close()


async def opened(database, count=1):
    """Requests that nobody took; their ids."""
    async with database.transaction() as tx:
        return [(await open_one(tx)).request.id for _ in range(count)]


ORDERS = ("sweep first", "claim first", "any", "any", "any")


async def race(database, order, rng):
    """Twenty claims and two sweeps of one request: its id, who was told "claimed", what the sweeps did."""
    [request_id] = await opened(database)
    claimed, swept, answered = [], asyncio.Event(), asyncio.Event()

    async def attempt(name):
        await (swept.wait() if order == "sweep first" else asyncio.sleep(rng.random() * 0.02))
        try:
            claimed.append((await claim(database, request_id, name, DUE)).assignee)
        except Refused:
            return
        finally:
            answered.set()

    async def sweep():
        await (answered.wait() if order == "claim first" else asyncio.sleep(rng.random() * 0.01))
        answer = await one_pass(database, DUE)
        swept.set()
        return answer.report.assigned

    given, also, *_ = await asyncio.gather(sweep(), sweep(), *map(attempt, rng.sample(CLAIMERS, 20)))
    return request_id, claimed, given + also


async def test_twenty_claims_against_the_sweep_never_end_in_an_overridden_claim(database):
    """Whoever was answered "claimed" still has it: exactly one winner a round, sweep or no sweep."""
    ends = set()
    for number in range(ROUNDS):
        order = ORDERS[number % len(ORDERS)]
        request_id, claimed, given = await race(database, order, random.Random(number))
        after = await record_of(database, request_id)
        assert claimed == [after.assignee]
        assert after.assigned_automatically is False
        kinds = await kinds_of(database, request_id)
        assert kinds.count("request.claim") == 1
        assert kinds.count("assignment.automatic") == given <= 1
        ends.add(given)
    # the sweep has come first and was taken over, and it has come too late
    assert ends == {0, 1}


async def test_two_sweeps_at_once_assign_and_tell_everything_once(database):
    """Each request has one event, one assignee and one message a channel, and the loads are even."""
    ids = await opened(database, 40)
    reports = [answer.report for answer in await asyncio.gather(*[one_pass(database, DUE) for _ in range(3)])]
    assert sum(report.assigned for report in reports) == 40
    assert sum(report.failed for report in reports) == 0
    for request_id in ids:
        assert (await kinds_of(database, request_id)).count("assignment.automatic") == 1
    assert len(await messages(database, "assigned")) == 80
    assert sum((await loads(database)).values()) == 40


async def test_two_sweeps_at_once_never_give_anybody_more_than_their_limit(database):
    """The limit holds although each sweep counts for itself."""
    await run(database, "UPDATE users SET max_load = 1 WHERE name LIKE 'claimer%'")
    await opened(database, 30)
    await asyncio.gather(*[one_pass(database, DUE) for _ in range(3)])
    await one_pass(database, DUE)
    assert await loads(database) == dict.fromkeys(CLAIMERS, 1)


async def test_two_sweeps_at_once_tell_the_leads_once_that_nobody_fits(database):
    """One event and one message a channel for each request."""
    await only(database, "rita", "lena")
    ids = await opened(database, 5)
    await asyncio.gather(*[one_pass(database, DUE) for _ in range(3)])
    for request_id in ids:
        assert (await kinds_of(database, request_id)).count("assignment.nobody") == 1
    assert len(await messages(database, "unassigned")) == 15


async def test_a_release_between_the_look_and_the_write_is_another_stint(database):
    """What a sweep has read is not what lies there now: it leaves it to its own time."""
    [request_id] = await opened(database)
    from activities.assignment import _Pass
    from db.reads.assignment import due_requests

    async with database.transaction() as tx:
        due = await due_requests(tx, DUE, behind=(later(days=-1), ""), limit=PASS)
    await claim(database, request_id, CLAIMERS[0], DUE)
    await act(database, request_id, "release", CLAIMERS[0], None, DUE)
    report = await _Pass(database, DUE, lambda _: None).over(due)
    assert (report.overtaken, report.assigned) == (1, 0)
    assert (await record_of(database, request_id)).assignee is None


async def test_one_that_fails_is_left_to_the_next_sweep_and_stops_nobody(database):
    """A row that can't be written is counted and logged; the others are assigned."""
    ids = await opened(database, 3)
    await run(
        database,
        f"""CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id = '{ids[1]}' AND NEW.assignee IS NOT NULL THEN RAISE 'spoiled'; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER spoil BEFORE UPDATE ON mint_requests FOR EACH ROW EXECUTE FUNCTION spoil()""",
    )
    try:
        report = (await one_pass(database, DUE)).report
    finally:
        await run(database, "DROP TRIGGER spoil ON mint_requests; DROP FUNCTION spoil()")
    assert (report.assigned, report.failed) == (2, 1)
    assert (await one_pass(database, DUE)).report.assigned == 1
    assert sum((await loads(database)).values()) == 3


async def test_a_sweep_that_dies_anywhere_is_finished_by_the_next_one(database):
    """Before, inside or after any transaction: in the end each is assigned and told exactly once."""
    ids, died = await opened(database, 4), 0
    for step in range(40):
        life = Life(dies_at=step)
        try:
            await one_pass(MortalDatabase(database, life), DUE)
        except Killed:
            died += 1
        if not life.over:
            break
    assert died > 4
    for request_id in ids:
        assert (await kinds_of(database, request_id)).count("assignment.automatic") == 1
    assert len(await messages(database, "assigned")) == 8


async def test_a_database_that_stays_away_ends_the_pass_with_an_error(seeded, database):
    """Nothing is counted away as failed then: Temporal tries the pass again."""
    await opened(database, 6)

    class Flaky:
        """The real database, gone after the first look."""

        looks = 0

        def transaction(self):
            self.looks += 1
            return database.transaction() if self.looks <= 2 else gone.transaction()

    gone = Database("postgresql://nobody@127.0.0.1:9/none")
    try:
        with pytest.raises(Unavailable):
            await one_pass(Flaky(), DUE)
    finally:
        await gone.close()
    assert await loads(database) == {}
    assert (await one_pass(database, DUE)).report.assigned == 6
    assert issubclass(Unavailable, MintkeeperError)


async def test_the_chain_holds_after_all_of_it(database):
    """Sweeps and claims at once leave one unbroken chain."""
    from db import reads
    from domain.audit import verify_chain

    await opened(database, 10)
    await asyncio.gather(*[one_pass(database, DUE) for _ in range(2)])
    async with database.transaction() as tx:
        events = await reads.audit_events(tx, "acme")
        assert await tx.scalar(text("SELECT count(*) FROM audit_events")) == len(events)
    verify_chain(events)
    assert await events_of(database, "mr_none") == []
