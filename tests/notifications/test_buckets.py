"""Rates of channels: what goes out when, from relays beside each other, by the stored moments."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from activities.notifications.buckets import GRACE, admit
from db.session import Database
from db.writes import deliveries, dictionaries
from domain.records import DeliveryState
from sandbox.providers import running_providers
from tests.support.outbox import PATIENCE, Outbox

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


async def limit(outbox, per_minute, burst):
    """Give the Slack channel a rate."""
    settings = {"channel": "#mint", "per_minute": per_minute, "burst": burst}
    async with outbox.database.transaction() as tx:
        await dictionaries.set_channel(
            tx,
            tenant="acme",
            name="slack-mint",
            kind="slack",
            settings=settings,
            actor="adam",
            at=datetime.now(UTC),
        )


async def fill(outbox, count):
    """So many messages for Slack, due one millisecond after the other."""
    await outbox.open()
    columns = [row.column_name for row in await fetch(outbox, _COLUMNS)]
    copied = ", ".join(name for name in columns if name not in ("id", "next_attempt_at"))
    await outbox.run(
        f"INSERT INTO deliveries (id, next_attempt_at, {copied}) "
        f"SELECT lpad(to_hex(n), 64, '0'), next_attempt_at + n * interval '1 millisecond', {copied} "
        f"FROM deliveries, generate_series(1, {count - 1}) n WHERE channel_kind = 'slack'"
    )


_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'deliveries'"


async def fetch(outbox, statement):
    """The rows of a query."""
    async with outbox.database.transaction() as tx:
        return (await tx.execute(text(statement))).all()


async def turn(database, now):
    """What one relay sends at `now`."""
    async with database.transaction() as tx:
        claimed = await deliveries.claim_due(tx, limit=100, lease_seconds=60, now=now)
        return [job for [job] in (await admit(tx, [[job] for job in claimed], now))[0]]


async def take(database, jobs, at):
    """The provider takes all of them."""
    async with database.transaction() as tx:
        await deliveries.accepted(tx, results=[(job.id, "C1:1", "") for job in jobs], at=at)


def most_in_a_minute(moments):
    """The fullest minute."""
    moments = sorted(moments)
    return max(sum(first <= other < first + MINUTE for other in moments) for first in moments)


async def test_a_thousand_rows_from_two_relays_keep_to_the_rate(outbox):
    """60 a minute and 10 at once: in no minute more than 70, in order, nothing lost, nothing doubled."""
    await limit(outbox, 60, 10)
    await fill(outbox, 1000)
    beside, now, sent = Database(outbox.seeded.url), datetime.now(UTC) + timedelta(seconds=5), []
    claims = 0
    while len(sent) < 1000:
        both = await asyncio.gather(turn(outbox.database, now), turn(beside, now))
        for jobs in both:
            await take(outbox.database, jobs, now)
            sent += [(job.id, now) for job in jobs]
        claims += 1
        assert claims < 400
        now += timedelta(seconds=4)
    await beside.close()
    rows = await outbox.rows()
    assert len({id for id, _ in sent}) == len(rows) == 1000
    assert {(row.state, row.attempt) for row in rows} == {("accepted", 1)}
    assert most_in_a_minute([at for _, at in sent]) <= 70
    assert most_in_a_minute([row.slot_at for row in rows]) <= 70
    assert max(row.slot_at for row in rows) - min(row.slot_at for row in rows) == timedelta(seconds=990)
    attempts = await outbox.attempts()
    assert len(attempts) == 1000


async def test_who_waits_for_a_moment_is_claimed_once_more_and_never_between(outbox):
    """What found no room keeps its moment: nothing is due before it, and then nothing else is needed."""
    await limit(outbox, 60, 1)
    await fill(outbox, 3)
    now = datetime.now(UTC) + timedelta(seconds=1)
    [first] = await turn(outbox.database, now)
    await take(outbox.database, [first], now)
    waiting = {row.id: row for row in await outbox.rows() if row.state == "pending"}
    assert sorted(row.slot_at - now for row in waiting.values()) == [
        timedelta(seconds=1),
        timedelta(seconds=2),
    ]
    assert all(row.slot_at == row.next_attempt_at and row.attempt == 0 for row in waiting.values())
    assert await turn(outbox.database, now + timedelta(seconds=0.9)) == []
    [second] = await turn(outbox.database, now + timedelta(seconds=1))
    assert waiting[second.id].slot_at == now + timedelta(seconds=1)
    assert len(await outbox.attempts()) == 2
    [bucket] = await fetch(outbox, "SELECT * FROM channel_buckets")
    assert bucket.free_at == now + timedelta(seconds=3)


async def test_a_second_attempt_takes_room_anew(outbox):
    """A call that failed was a call: its repetition waits for room like any other message."""
    await limit(outbox, 60, 1)
    await fill(outbox, 2)
    now = datetime.now(UTC) + timedelta(seconds=1)
    [first] = await turn(outbox.database, now)
    async with outbox.database.transaction() as tx:
        await deliveries.failed(tx, id=first.id, error="500", retry_at=now, state=DeliveryState.FAILED)
    assert await turn(outbox.database, now) == []
    rows = {row.id: row for row in await outbox.rows()}
    assert rows[first.id].slot_at == now + timedelta(seconds=2)
    assert (rows[first.id].state, rows[first.id].attempt) == ("pending", 1)


async def test_what_a_killed_relay_held_takes_room_anew(outbox):
    """Nobody knows whether its call was made, so it counts as one."""
    await limit(outbox, 60, 1)
    await fill(outbox, 1)
    now = datetime.now(UTC) + timedelta(seconds=1)
    [job] = await turn(outbox.database, now)
    await outbox.run("UPDATE channel_buckets SET free_at = free_at + interval '10 minutes'")
    after = now + timedelta(seconds=61)
    assert await turn(outbox.database, after) == []
    [row] = await outbox.rows()
    assert row.slot_at > after
    assert [attempt.outcome for attempt in await outbox.attempts()] == ["ambiguous"]
    [again] = await turn(outbox.database, row.slot_at)
    assert (again.id, again.attempt) == (job.id, 2)


async def test_moments_that_were_missed_do_not_go_all_at_once(outbox):
    """Relays that stood still for an hour begin at the rate again, not with an hour's worth of messages."""
    await limit(outbox, 60, 2)
    await fill(outbox, 60)
    now = datetime.now(UTC) + timedelta(seconds=1)
    await take(outbox.database, await turn(outbox.database, now), now)
    later = now + timedelta(hours=1)
    assert len(await turn(outbox.database, later)) == 2
    assert len(await turn(outbox.database, later + GRACE)) == 10


async def test_a_message_of_the_last_stage_overtakes_those_that_wait(outbox):
    """It changes places with the first that waits; a second one with the second."""
    await limit(outbox, 60, 1)
    await fill(outbox, 20)
    now = datetime.now(UTC) + timedelta(seconds=1)
    await take(outbox.database, await turn(outbox.database, now), now)
    before = sorted(row.slot_at for row in await outbox.rows())
    await outbox.open(2)
    await outbox.run("UPDATE deliveries SET stage = 2 WHERE channel_kind = 'slack' AND slot_at IS NULL")
    later = now + timedelta(seconds=0.5)
    assert await turn(outbox.database, later) == []
    rows = await outbox.rows()
    urgent = sorted(row.slot_at for row in rows if row.stage == 2)
    assert urgent == before[1:3]
    assert sorted(row.slot_at for row in rows) == [
        *before,
        before[-1] + timedelta(seconds=1),
        before[-1] + timedelta(seconds=2),
    ]


async def test_two_running_relays_keep_to_the_rate(outbox):
    """The same with relays as they run: every message arrives once, by its moment."""
    await limit(outbox, 1200, 3)
    await outbox.open(30)
    async with outbox.relay().running(), outbox.relay().running():
        rows = await outbox.until("accepted")
    moments = sorted(row.slot_at for row in rows)
    gaps = [later - first for first, later in zip(moments, moments[3:], strict=False)]
    assert min(gaps) >= timedelta(milliseconds=50)
    assert sorted(await outbox.received_ids()) == [row.id for row in rows]


async def test_channels_without_a_rate_have_no_bucket(outbox):
    """Nothing is written for them."""
    await outbox.open(3)
    async with outbox.relay().running(), asyncio.timeout(PATIENCE):
        rows = await outbox.until("accepted")
    assert {row.slot_at for row in rows} == {None}
    assert await fetch(outbox, "SELECT * FROM channel_buckets") == []


async def test_a_merged_message_takes_one_turn(outbox):
    """Three requests in one message after quiet hours: one call, one token, one moment for all."""
    await limit(outbox, 60, 1)
    await outbox.open(4)
    await outbox.run(
        "UPDATE deliveries SET state = 'deferred', deferred_until = '2026-01-01T00:00Z', "
        "next_attempt_at = now() - interval '1 minute' WHERE channel_kind = 'slack' AND id <> "
        "(SELECT min(id) FROM deliveries WHERE channel_kind = 'slack')"
    )
    now = datetime.now(UTC) + timedelta(seconds=1)
    first = await admitted(outbox.database, now)
    second = await admitted(outbox.database, now + timedelta(seconds=1))
    assert sorted(len(jobs) for jobs in first + second) == [1, 3]
    assert (len(first), len(second)) == (1, 1)
    [bucket] = await fetch(outbox, "SELECT * FROM channel_buckets")
    assert bucket.free_at == now + timedelta(seconds=2)


async def admitted(database, now):
    """The messages that one relay sends at `now`."""
    async with database.transaction() as tx:
        claimed = await deliveries.claim_due(tx, limit=100, lease_seconds=60, now=now)
        together = {}
        for job in claimed:
            together.setdefault(job.merges_with, []).append(job)
        return (await admit(tx, list(together.values()), now))[0]
