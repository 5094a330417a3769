"""Ways in which a stage's people could hear nothing although somebody could be told: none of them is left."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from activities.notifications.outcome import Outcome
from activities.notifications.recorder import Recorder
from db.writes import receipts
from db.writes.dictionaries import deactivate_user
from domain.commands import CommandAction
from domain.mint_request import MintStatus
from domain.records import DeliveryState
from sandbox.providers import running_providers
from tests.notifications.test_fallback import channels, fallbacks
from tests.notifications.test_quiet_hours import around_now, everywhere, morning, quiet, rows_of
from tests.support.commands import command
from tests.support.events import raised, rule_for, until_run
from tests.support.outbox import PATIENCE, Outbox
from tests.workflows.test_acks import acknowledge


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


async def until_received(outbox, count):
    """Wait for so many messages at the console."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await outbox.received()) < count:
            await asyncio.sleep(0.05)
        return found


@pytest.mark.parametrize("held_by", ["ack", "cancel"])
async def test_what_was_skipped_goes_out_when_the_run_is_resumed(desk, outbox, held_by):
    """Acknowledged by mistake before the group had heard: taken back, the group hears, once."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        for jti in ("e" * 64, "f" * 64):
            if held_by == "ack":
                await acknowledge(desk, ticket, jti=jti)
            else:
                await command(desk, ticket.id)
            assert [row.state for row in await outbox.rows()] == ["skipped"]
            await command(desk, ticket.id, action=CommandAction.RESUME_ESCALATION)
    async with outbox.relay().running():
        await outbox.until("accepted")
    assert len(await outbox.received()) == 1


async def test_what_a_run_has_skipped_goes_out_when_it_is_resumed(desk, outbox):
    """The same for the run of an event, and only for that run."""
    await rule_for(desk)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        run_id = (await raised(desk, ticket)).run_id
        await until_run(desk, run_id, lambda run: run.next_stage > 0)
        await acknowledge(desk, ticket, run_id=run_id)
        await command(desk, run_id, action=CommandAction.RESUME_ESCALATION)
    async with outbox.relay().running():
        [message] = await until_received(outbox, 1)
    [row] = [row for row in await outbox.rows() if row.run_id == run_id]
    assert message["delivery_id"] == row.id
    assert {one.state for one in await outbox.rows() if one.run_id is None} == {"skipped"}


async def test_what_died_while_somebody_was_on_it_is_replaced_when_the_run_is_resumed(desk, outbox):
    """Nothing took its place then; now the people behind the group are told by email."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        [job] = await outbox.claim()
        await acknowledge(desk, ticket)
        recorder = Recorder(outbox.database)
        recorder.add(Outcome(job, DeliveryState.DEAD, datetime.now(UTC), "gone"))
        await recorder.flush()
        await command(desk, ticket.id, action=CommandAction.RESUME_ESCALATION)
    async with outbox.relay(channels(outbox)).running():
        await until_received(outbox, 2)
    assert await fallbacks(outbox) == [("email", "alice", "accepted"), ("email", "bob", "accepted")]


async def test_a_skip_that_is_overtaken_by_a_resume_is_none(desk, outbox):
    """The relay has just seen that somebody is on it when the ack is taken back: it is sent all the same."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        [job] = await outbox.claim()
        await acknowledge(desk, ticket)
        recorder = Recorder(outbox.database)
        recorder.add(Outcome(job, DeliveryState.SKIPPED, datetime.now(UTC), "somebody is on it"))
        await command(desk, ticket.id, action=CommandAction.RESUME_ESCALATION)
        await recorder.flush()
    async with outbox.relay().running():
        await outbox.until("accepted")


async def test_one_message_that_nothing_can_replace_keeps_no_other_from_being_sent(outbox, caplog):
    """The relay gives it up with an error, and goes on with everybody else's."""
    [first] = await outbox.open()
    await outbox.run("UPDATE deliveries SET max_attempts = 1 WHERE channel_kind = 'slack'")
    await outbox.claim(lease_seconds=0)
    await outbox.run(
        "CREATE FUNCTION no_fallback() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'never'; END $$"
    )
    await outbox.run(
        "CREATE TRIGGER no_fallback BEFORE INSERT ON deliveries FOR EACH ROW "
        "WHEN (NEW.fallback_of IS NOT NULL) EXECUTE FUNCTION no_fallback()"
    )
    try:
        [second] = await outbox.open()
        async with outbox.relay().running():
            await until_received(outbox, 1)
    finally:
        await outbox.run("DROP TRIGGER no_fallback ON deliveries")
        await outbox.run("DROP FUNCTION no_fallback")
    states = {row.request_id: row.state for row in await outbox.rows()}
    assert states == {first.id: "dead", second.id: "accepted"}
    assert "nothing can take the place of a message" in caplog.messages


async def test_a_pause_beyond_the_end_of_the_request_is_not_waited_for(outbox):
    """Slack asks for a day of peace, the request has an hour: its people are told by email."""
    await outbox.fault(kind="429", retry_after=86_400, count=100)
    await outbox.open(2)
    await shorten(outbox)
    async with outbox.relay(channels(outbox)).running():
        await until_received(outbox, 4)
    assert {row.state for row in await outbox.rows()} == {"dead"}
    assert {recipient for _, recipient, _ in await fallbacks(outbox)} == {"alice", "bob"}


async def shorten(outbox, left="1 hour"):
    """Let the requests end soon; nothing but a test can do that."""
    async with outbox.database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(
            text("UPDATE mint_requests SET expires_at = now() + CAST(:left AS interval)"), {"left": left}
        )


async def test_a_bounce_before_its_digest_is_recorded_counts_for_all_in_it(outbox):
    """SendGrid was faster than our own note: nobody in the digest is taken for told."""
    await quiet(outbox, around_now())
    await outbox.open(2)
    await outbox.run(
        "UPDATE deliveries SET channel = 'email', channel_kind = 'email', target = 'alice@acme.example', "
        "recipient = 'alice' WHERE channel_kind = 'slack'"
    )
    await morning(outbox)
    jobs = await outbox.claim()
    now = datetime.now(UTC)
    async with outbox.database.transaction() as tx:
        bounce = receipts.Receipt(
            "sendgrid", "event-1", min(job.id for job in jobs), "bounce", "550", "abc", now
        )
        assert await receipts.record(tx, [bounce]) == 1
    recorder = Recorder(outbox.database)
    for job in jobs:
        recorder.add(Outcome(job, DeliveryState.ACCEPTED, now, "", "abc"))
    await recorder.flush()
    rows = await rows_of(outbox, "email")
    assert [(row.state, row.replace_at is not None) for row in rows] == [("dead", True)] * 2


@pytest.mark.parametrize("kind", ["slack", "email"])
async def test_a_report_can_not_make_a_message_of_what_was_never_mailed(outbox, kind):
    """Another program of the same account names our delivery: it is sent as if nothing had been said."""
    await outbox.open()
    if kind == "email":
        await outbox.run(
            "UPDATE deliveries SET channel = 'email', channel_kind = 'email', target = 'alice@acme.example', "
            "recipient = 'alice' WHERE channel_kind = 'slack'"
        )
    [row] = await rows_of(outbox, kind)
    now = datetime.now(UTC) - timedelta(seconds=1)
    async with outbox.database.transaction() as tx:
        said = receipts.Receipt("sendgrid", "event-1", row.id, "delivered", "", "abc", now)
        assert await receipts.record(tx, [said]) == 0
    async with outbox.relay(everywhere(outbox)).running():
        [message] = await until_received(outbox, 1)
    assert message["delivery_id"] == row.id


async def test_who_has_left_hears_nothing_that_waited_for_them(outbox):
    """Deactivated in the night: no mail in the morning, and the others have theirs."""
    await quiet(outbox, around_now())
    await outbox.open(2)
    await outbox.run(
        "UPDATE deliveries SET channel = 'email', channel_kind = 'email', target = 'alice@acme.example', "
        "recipient = 'alice' WHERE channel_kind = 'slack' AND request_id = "
        "(SELECT min(request_id) FROM deliveries)"
    )
    async with outbox.database.transaction() as tx:
        await deactivate_user(tx, tenant="acme", name="alice", actor="adam", at=datetime.now(UTC))
    await morning(outbox)
    async with outbox.relay(everywhere(outbox)).running():
        await outbox.until("accepted")
        async with asyncio.timeout(PATIENCE):
            while {row.state for row in await rows_of(outbox, "email")} != {"skipped"}:
                await asyncio.sleep(0.05)
    assert [message["provider"] for message in await outbox.received()] == ["slack"]


async def test_a_channel_without_room_before_the_end_gives_way_to_another(outbox):
    """One message a minute and a minute and a half left: the third request's people are told by email."""
    await outbox.run(
        'UPDATE notification_channels SET settings = settings || \'{"per_minute": 1, "burst": 1}\' '
        "WHERE name = 'slack-mint'"
    )
    await outbox.open(3)
    await shorten(outbox, "90 seconds")
    async with outbox.relay(channels(outbox)).running():
        messages = await until_received(outbox, 3)
    assert sorted(row.state for row in await outbox.rows()) == ["accepted", "dead", "pending"]
    assert sorted(message["provider"] for message in messages) == ["sendgrid", "sendgrid", "slack"]
    assert {recipient for _, recipient, _ in await fallbacks(outbox)} == {"alice", "bob"}
