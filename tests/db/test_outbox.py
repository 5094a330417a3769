"""The outbox: who is told what, written with the step, claimed once, retried, given up."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from activities.notifications.fallback import give_up_exhausted
from db import reads
from db.session import Database
from db.writes import deliveries, dictionaries, requests, submissions
from domain.errors import Refused
from domain.records import DeliveryState
from tests.db.acts import expire, run_stage
from tests.db.factories import START, anomaly, approve, confirmed, later, open_one, submitting


async def told(tx, record, kind):
    """(channel, recipient) of a request's deliveries of a kind, in their order."""
    found = await reads.deliveries(tx, record.request.id)
    return [(delivery.channel, delivery.recipient) for delivery in found if delivery.kind == kind]


async def test_a_rollback_leaves_no_message(seeded):
    """Messages belong to the transaction of their step: rolled back together."""
    with pytest.raises(RuntimeError):
        async with seeded.database.transaction() as tx:
            await open_one(tx)
            raise RuntimeError
    async with seeded.database.transaction() as tx:
        assert await reads.deliveries(tx) == []
        assert await tx.scalar(text("SELECT count(*) FROM notifications")) == 0


async def test_the_first_stage_tells_tier_one(seeded):
    """In-app to both approvers of tier 1, already accepted; one message to the Slack channel."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        assert await told(tx, record, "opened") == [
            ("in-app", "alice"),
            ("in-app", "bob"),
            ("slack-mint", "#mint"),
        ]
        states = {delivery.channel: delivery.state for delivery in await reads.deliveries(tx)}
        assert states == {"in-app": DeliveryState.ACCEPTED, "slack-mint": DeliveryState.PENDING}
        assert [notice.kind for notice in await reads.notifications_for(tx, "alice", "acme")] == ["opened"]
        assert await reads.notifications_for(tx, "carol", "acme") == []


async def test_the_reminder_tells_both_tiers_and_the_leads(seeded):
    """Reminder by Slack and by email to tiers 1 and 2; a stalled alert to the department's leads."""
    async with seeded.database.transaction() as tx:
        record = await run_stage(tx, await open_one(tx))
        assert sorted(await told(tx, record, "reminder")) == [
            ("email", "alice"),
            ("email", "bob"),
            ("email", "carol"),
            ("slack-mint", "#mint"),
        ]
        assert await told(tx, record, "stalled") == [("email", "lena"), ("slack-mint", "#treasury-leads")]
        due = {d.due_at for d in await reads.deliveries(tx) if d.kind == "reminder"}
        assert due == {later(hours=4)}


async def test_recipients_follow_the_topic(seeded):
    """Approvers on the request's topic are told; where a tier has none, all of that tier; never the asker."""
    async with seeded.database.transaction() as tx:
        for name, topic in (("alice", "treasury-us"), ("bob", "treasury-eu")):
            await set_approver(tx, name, topic)
        record = await open_one(tx, topic="treasury-us")
        assert await told(tx, record, "opened") == [("in-app", "alice"), ("slack-mint", "#mint")]
        await set_approver(tx, "alice", "treasury-eu")
        record = await open_one(tx, topic="treasury-us")
        assert len(await told(tx, record, "opened")) == 3
        record = await open_one(tx, requester="bob")
        assert await told(tx, record, "opened") == [("in-app", "alice"), ("slack-mint", "#mint")]


async def set_approver(tx, name, topic, **changes):
    """An approver of tier 1 with one topic."""
    fields = {"roles": ["approver"], "tier": 1, "primary_topic": topic, **changes}
    await dictionaries.set_user(tx, tenant="acme", name=name, actor="adam", at=START, **fields)


async def test_a_stage_with_nobody_reachable_is_recorded_and_passed(seeded):
    """No route: written down, and the next stage runs at once."""
    async with seeded.database.transaction() as tx:
        record = await run_stage(tx, await open_one(tx))
        for name in ("dave", "adam"):
            await dictionaries.deactivate_user(tx, tenant="acme", name=name, actor="adam", at=START)
        await tx.execute(text("UPDATE notification_channels SET kind = 'email' WHERE name = 'pager-mgmt'"))
        record = await run_stage(tx, record, stage=2)
        routed = (await tx.execute(text("SELECT stage, routed FROM stage_runs ORDER BY stage"))).all()
        assert [tuple(row) for row in routed] == [(0, True), (1, True), (2, False)]
        assert (await reads.timeline(tx, record.request.id))[-1]["kind"] != "stage.escalation"


async def test_endings_tell_requester_and_leads(seeded):
    """Expired and anomalous requests are told to the requester and to the leads."""
    async with seeded.database.transaction() as tx:
        expired = await expire(tx, await open_one(tx))
        odd = await submitting(tx)
        odd = await submissions.conclude(tx, record=odd, result=anomaly(odd), at=later(hours=3))
        for record, kind in ((expired, "expired"), (odd, "anomaly")):
            assert sorted(await told(tx, record, kind)) == [
                ("email", "lena"),
                ("email", "rita"),
                ("in-app", "rita"),
                ("slack-mint", "#treasury-leads"),
            ]


async def test_a_confirmation_goes_to_the_requester_only(seeded):
    """Confirmed: in-app and email to the requester, nothing to the leads; the ledger is among the facts."""
    async with seeded.database.transaction() as tx:
        record = await submitting(tx)
        done = await submissions.conclude(tx, record=record, result=confirmed(record), at=later(hours=3))
        assert await told(tx, done, "confirmed") == [("email", "rita"), ("in-app", "rita")]
        facts = await tx.scalar(text("SELECT facts FROM deliveries WHERE kind = 'confirmed' LIMIT 1"))
        inbox = await reads.notifications_for(tx, "rita", "acme")
    assert (facts["ledger"], facts["amount"], facts["status"]) == (42, "2500.0000000", "CONFIRMED")
    assert [(notice.event, notice.kind) for notice in inbox] == [("STATUS", "confirmed")]
    assert inbox[0].body.startswith("CONFIRMED: mint 2500.0000000 EURT")


async def test_a_partial_approval_is_told_in_app(seeded):
    """The requester sees in the app that more approvals are needed."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx, units=50_000), satisfied=False)
        assert await told(tx, record, "partially_approved") == [("in-app", "rita")]


async def test_leaving_pending_skips_what_stages_have_not_sent(seeded):
    """A decided request sends no reminder any more."""
    async with seeded.database.transaction() as tx:
        record = await run_stage(tx, await open_one(tx))
        await approve(tx, record, at=later(hours=5))
        states = {delivery.state for delivery in await reads.deliveries(tx)}
    assert states == {DeliveryState.ACCEPTED, DeliveryState.SKIPPED}


async def test_a_stalled_report_is_written_once_and_moves_nothing(seeded):
    """The sweep's alert: one audit event and messages to the leads, once a step; the record stays."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        for _ in range(2):
            await requests.report_stalled(
                tx, record=record, step="audit.late:2", kind="audit.late", message="late", at=later(hours=5)
            )
        assert await reads.request(tx, record.request.id) == record
        assert len(await told(tx, record, "stalled")) == 2
        kinds = [entry["kind"] for entry in await reads.timeline(tx, record.request.id)]
        assert kinds.count("audit.late") == 1
        moved = await run_stage(tx, record)
        await requests.report_stalled(
            tx, record=record, step="audit.late:9", kind="audit.late", message="late", at=later(hours=5)
        )
        kinds = [entry["kind"] for entry in await reads.timeline(tx, moved.request.id)]
        assert kinds.count("audit.late") == 1


async def test_a_commit_wakes_the_relay(seeded):
    """Writing deliveries notifies the channel that the relay listens on, at the commit."""
    async with await psycopg.AsyncConnection.connect(seeded.url, autocommit=True) as listener:
        await listener.execute("LISTEN mintkeeper_deliveries")
        async with seeded.database.transaction() as tx:
            await open_one(tx)
        async for notification in listener.notifies(timeout=30, stop_after=1):
            assert notification.channel == "mintkeeper_deliveries"
            return
    pytest.fail("nobody was notified")


async def claim(database, now=START, limit=100):
    """What a relay takes, in a transaction of its own."""
    async with database.transaction() as tx:
        return await deliveries.claim_due(tx, limit=limit, lease_seconds=60, now=now)


async def opened(seeded, count=1):
    """Requests with one Slack message each."""
    async with seeded.database.transaction() as tx:
        return [await open_one(tx) for _ in range(count)]


async def state_of(seeded, delivery_id):
    """How a delivery stands."""
    async with seeded.database.transaction() as tx:
        return next(found for found in await reads.deliveries(tx) if found.id == delivery_id)


async def test_a_claim_carries_everything(seeded):
    """A claimed delivery says to whom, what, which attempt, and how the request stands now."""
    (record,) = await opened(seeded)
    (job,) = await claim(seeded.database)
    assert (job.channel, job.channel_kind, job.target, job.kind) == ("slack-mint", "slack", "#mint", "opened")
    assert (job.attempt, job.max_attempts, job.backoff_seconds) == (1, 3, 60)
    assert job.unwanted == ""
    assert job.facts["track_number"] == record.request.track_number
    assert await claim(seeded.database) == []


async def test_two_claimants_never_get_one_row_twice(seeded):
    """Concurrent relays share the work without overlap."""
    await opened(seeded, 12)
    other = Database(seeded.url)
    taken = await asyncio.gather(*(claim(pool, limit=3) for pool in [seeded.database, other] * 3))
    await other.close()
    ids = [job.id for batch in taken for job in batch]
    assert len(ids) == len(set(ids))
    assert len(ids) + len(await claim(seeded.database)) == 12


async def test_what_is_not_due_is_not_claimed(seeded):
    """A retry waits for its time, which `next_due` names."""
    await opened(seeded)
    (job,) = await claim(seeded.database)
    again = START + timedelta(minutes=5)
    async with seeded.database.transaction() as tx:
        await deliveries.failed(tx, id=job.id, error="429", retry_at=again, state=DeliveryState.FAILED)
        assert await deliveries.next_due(tx) == again
    assert await claim(seeded.database, again - timedelta(seconds=1)) == []
    (job,) = await claim(seeded.database, again)
    assert job.attempt == 2


async def test_an_expired_lease_is_claimed_again_until_no_attempt_is_left(seeded):
    """A relay that died lost its answer: ambiguous, tried again, in the end dead."""
    await opened(seeded)
    now = START
    for attempt in (1, 2, 3):
        (job,) = await claim(seeded.database, now)
        assert job.attempt == attempt
        assert await claim(seeded.database, now + timedelta(seconds=59)) == []
        now += timedelta(seconds=60)
    assert await claim(seeded.database, now) == []
    await give_up_exhausted(seeded.database, now - timedelta(seconds=1))
    assert (await state_of(seeded, job.id)).state is DeliveryState.SENDING
    await give_up_exhausted(seeded.database, now)
    assert (await state_of(seeded, job.id)).state is DeliveryState.DEAD
    async with seeded.database.transaction() as tx:
        outcomes = (await tx.scalars(text("SELECT outcome FROM delivery_attempts ORDER BY attempt"))).all()
    assert outcomes == ["ambiguous", "ambiguous", "ambiguous"]


async def test_accepted_deliveries_are_done(seeded):
    """The provider's id is kept, and nothing more is due."""
    await opened(seeded, 2)
    jobs = await claim(seeded.database)
    async with seeded.database.transaction() as tx:
        await deliveries.accepted(tx, results=[(job.id, "ts-1", "mock") for job in jobs], at=later(seconds=3))
        await deliveries.accepted(tx, results=[], at=later(seconds=4))
        assert await deliveries.next_due(tx) is None
    found = await state_of(seeded, jobs[0].id)
    assert (found.state, found.provider_id, found.note) == (DeliveryState.ACCEPTED, "ts-1", "mock")
    assert found.accepted_at == later(seconds=3)


async def test_a_late_answer_wins_over_a_lost_one(seeded):
    """What a provider took is accepted, even when its lease had run out meanwhile."""
    await opened(seeded)
    (job,) = await claim(seeded.database)
    async with seeded.database.transaction() as tx:
        await deliveries.failed(
            tx, id=job.id, error="reset", retry_at=later(minutes=1), state=DeliveryState.AMBIGUOUS
        )
        await deliveries.accepted(tx, results=[(job.id, "ts-1", "")], at=later(seconds=3))
    assert (await state_of(seeded, job.id)).state is DeliveryState.ACCEPTED


async def test_dead_deliveries_get_one_more_attempt_by_hand(seeded):
    """`retry_dead` brings a dead delivery back, and refuses any other."""
    await opened(seeded, 2)
    first, second = await claim(seeded.database)
    async with seeded.database.transaction() as tx:
        await deliveries.dead(tx, id=first.id, error="channel_not_found")
        await deliveries.skipped(tx, ids=[second.id], why="decided meanwhile")
        with pytest.raises(Refused, match="no dead delivery"):
            await deliveries.retry_dead(tx, id=second.id, at=later(hours=1))
        await deliveries.retry_dead(tx, id=first.id, at=later(hours=1))
    (job,) = await claim(seeded.database, later(hours=1))
    assert (job.id, job.attempt, job.max_attempts) == (first.id, 2, 2)
    assert (await state_of(seeded, second.id)).note == "decided meanwhile"
