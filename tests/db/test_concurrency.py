"""Two at once: locks, not luck, decide."""

import asyncio

from sqlalchemy import text

from db import reads
from db.session import Database
from db.writes import audit, events, submissions
from domain.audit import verify_chain
from domain.errors import DecisionRefused
from domain.mint_request import MintStatus
from domain.runs import EventKind, RunState
from tests.db.factories import approve, later, open_one, submit
from tests.support.postgres import until_waiting


async def in_transaction(database, work, *args):
    """Run `work` in a transaction of its own."""
    async with database.transaction() as tx:
        return await work(tx, *args)


async def test_two_approvals_never_pass_the_daily_cap_together(seeded):
    """Of two approvals that each fit but not both, exactly one is accepted."""
    async with seeded.database.transaction() as tx:
        await tx.execute(
            text("UPDATE approval_rules SET daily_cap_stroops = 30000000000 WHERE position = 10")
        )
        opened = [await open_one(tx, units=2000) for _ in range(2)]

    async def decide(record):
        try:
            return (await in_transaction(seeded.database, approve, record)).status
        except DecisionRefused as refusal:
            return refusal.reason

    assert sorted(await asyncio.gather(*map(decide, opened))) == [MintStatus.APPROVED, "daily_cap"]


async def test_twenty_requests_share_five_channel_accounts(seeded):
    """A channel account never has two holders, and every request gets one in the end."""
    accounts = [f"GCHANNEL{number}" for number in range(5)]
    database = Database(seeded.url, pool_size=20)
    async with database.transaction() as tx:
        waiting = [await approve(tx, await open_one(tx)) for _ in range(20)]
    holders, crowded, sequences = {}, [], iter(range(1, 1000))

    async def work(record):
        while True:
            async with database.transaction() as tx:
                taken = await submissions.reserve(tx, request_id=record.request.id, accounts=accounts)
            if taken is None:
                await asyncio.sleep(0)
                continue
            if holders.setdefault(taken, record.request.id) != record.request.id:
                crowded.append(taken)
            await asyncio.sleep(0.01)
            del holders[taken]
            await in_transaction(database, _fail, record)
            return next(sequences)

    done = await asyncio.gather(*map(work, waiting))
    states = await in_transaction(database, _states)
    await database.close()
    assert len(done) == 20
    assert crowded == []
    assert states == dict.fromkeys(accounts, "FREE")


async def _fail(tx, record):
    return await submissions.fail_before_signing(tx, record=record, reason="enough", at=later(hours=2))


async def _states(tx):
    rows = await tx.execute(text("SELECT account, state FROM stellar_channels"))
    return dict(tuple(row) for row in rows)


async def test_one_request_reserves_once(seeded):
    """Two attempts of one activity get the same channel account."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx))

    async def reserve(tx):
        return await submissions.reserve(tx, request_id=record.request.id, accounts=["GA", "GB", "GC"])

    taken = await asyncio.gather(*(in_transaction(seeded.database, reserve) for _ in range(4)))
    assert len(set(taken)) == 1


async def test_a_record_that_was_waited_for_is_whole(seeded):
    """Whoever waits for the lock sees what the holder wrote: the approvals as well as the version."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx, units=50_000)
    async with seeded.database.transaction() as tx:
        locked = await reads.lock_request(tx, record.request.id)
        waiter = asyncio.create_task(in_transaction(seeded.database, reads.lock_request, record.request.id))
        await until_waiting(seeded.database)
        changed = await approve(tx, locked, satisfied=False)
    assert await waiter == changed


async def test_the_chain_stays_whole_under_concurrency(seeded):
    """Transactions of one tenant append one after the other: no gap, no fork."""

    async def live(_):
        record = await in_transaction(seeded.database, open_one)
        return await in_transaction(seeded.database, approve, record)

    await asyncio.gather(*map(live, range(12)))
    async with seeded.database.transaction() as tx:
        head = await reads.audit_head(tx, "acme")
        report = verify_chain(await reads.audit_events(tx, "acme"), head)
    assert report.fault is None
    assert report.events == head.seq


async def test_the_same_step_at_once_is_written_once(seeded):
    """Two workers that store the same envelope: one writes, the other finds it."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx))
    both = await asyncio.gather(*(in_transaction(seeded.database, submit, record) for _ in range(2)))
    assert both[0] == both[1]
    assert both[0].status is MintStatus.SUBMITTING


async def test_an_event_never_waits_for_its_request_with_the_audit_chain_in_its_hands(seeded):
    """Somebody decides while an alarm is raised: the step that holds the request needs the chain next."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx))
    async with seeded.database.transaction() as deciding:
        await reads.lock_request(deciding, record.request.id)
        async with seeded.database.transaction() as tx:
            # in vain it would wait for ever: whoever it waits for is this very test
            await tx.execute(text("SET LOCAL lock_timeout = '5s'"))
            raised = await events.raise_event(
                tx,
                request_id=record.request.id,
                kind=EventKind.STALLED,
                occurrence="approved",
                at=later(hours=1),
            )
        await audit.append(
            deciding,
            tenant=record.request.tenant,
            request_id=record.request.id,
            step="decided",
            kind="test.decided",
            actor="alice",
            at=later(hours=1),
            details={},
        )
    assert raised.state is RunState.SUPPRESSED
