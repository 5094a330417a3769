"""After quiet hours one message for all requests: claimed, sent, retried and settled as a whole."""

import asyncio
import logging
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from activities.notifications.asking import FRESH_SECONDS
from activities.notifications.sending import Claimed
from db.writes import deliveries
from domain.ack import decode
from domain.records import DeliveryState
from tests.notifications.test_ack_links import acknowledge
from tests.notifications.test_relay import RELAY_PROCESS, ROOT
from tests.support.acks import AUTHORITY
from tests.support.outbox import PATIENCE
from tests.support.quiet import LINK, everywhere, morning, notes, remind, rows_of
from tests.support.quiet import outbox as outbox


async def test_after_quiet_hours_there_is_one_message_for_all_requests(outbox):
    """Three requests, one message; each row has its outcome, and its own way to say "I am on it"."""
    opened = await outbox.open(3)
    await morning(outbox)
    async with outbox.relay(authority=AUTHORITY).running():
        rows = await outbox.until("accepted")
        await outbox.hasten()
    [message] = await outbox.received()
    assert len({row.provider_id for row in rows}) == 1
    assert notes(rows) == {"one message for 3 requests"}
    assert "3 mint requests waited for the end of quiet hours: 3 to decide" in message["text"]
    claims = [AUTHORITY.verify(decode(token)) for token in LINK.findall(message["text"])]
    assert {claim.delivery_id for claim in claims} == {row.id for row in rows}
    assert {claim.request_id for claim in claims} == {request.id for request in opened}
    for request in opened:
        assert f"http://127.0.0.1:8080/requests/{request.id}" in message["text"]
        assert f"mintkeeper approve {request.id}" in message["text"]
    attempts = await outbox.attempts()
    assert [attempt.outcome for attempt in attempts] == ["accepted"] * 3
    assert len({attempt.ack_sha256 for attempt in attempts} - {None}) == 3


async def test_one_alone_is_an_ordinary_message(outbox):
    """Nobody reads of "1 requests"."""
    [request] = await outbox.open()
    await morning(outbox)
    async with outbox.relay().running():
        [row] = await outbox.until("accepted")
    [message] = await outbox.received()
    assert notes([row]) == {""}
    assert message["text"].startswith("rita asks to mint 2500.00 EURT")
    assert request.id in message["text"]


async def test_several_about_the_same_request_are_the_newest_of_them(outbox):
    """Opened and reminded in the same night: one message, the reminder; both rows are done with it."""
    [request] = await outbox.open()
    await remind(outbox, request)
    await morning(outbox)
    async with outbox.relay(everywhere(outbox)).running():
        rows = await outbox.until("accepted")
    mint, leads = (
        [row for row in rows if row.target == "#mint"],
        [row for row in rows if row.kind == "stalled"],
    )
    assert (len(mint), len(leads)) == (2, 1)
    assert notes(mint) == {"one message for 1 request"}
    [message] = [message for message in await outbox.received() if message["to"] == "#mint"]
    assert "still waits for a decision" in message["text"]


async def test_what_nobody_needs_any_more_is_left_out(outbox):
    """One request was acknowledged in the night, one cancelled: the third is an ordinary message."""
    on_it, cancelled, waiting = await outbox.open(3)
    await acknowledge(outbox, on_it)
    await outbox.cancel(cancelled)
    await morning(outbox)
    async with outbox.relay().running():
        async with asyncio.timeout(PATIENCE):
            while {row.state for row in await outbox.rows() if row.kind == "opened"} != {
                "accepted",
                "skipped",
            }:
                await asyncio.sleep(0.02)
    states = {row.request_id: row.state for row in await outbox.rows() if row.kind == "opened"}
    assert states == {on_it.id: "skipped", cancelled.id: "skipped", waiting.id: "accepted"}
    [message] = [message for message in await outbox.received() if message["to"] == "#mint"]
    assert waiting.id in message["text"]
    assert on_it.id not in message["text"]


@pytest.mark.parametrize("fresh", [True, False])
async def test_members_are_looked_at_again_just_before_sending(outbox, fresh):
    """An ack between claim and call takes its request out; what was claimed just now is believed."""
    first, second, third = await outbox.open(3)
    await morning(outbox)
    jobs = await outbox.claim()
    await acknowledge(outbox, first)
    since = Claimed(jobs[0]).since - (0 if fresh else FRESH_SECONDS)
    outcomes = await outbox.sender().deliver(Claimed(jobs[0], since=since, others=tuple(jobs[1:])))
    said = {outcome.job.request_id: (outcome.state, outcome.text) for outcome in outcomes}
    gone = (DeliveryState.SKIPPED, "somebody is on it")
    [message] = await outbox.received()
    if fresh:
        assert set(said.values()) == {(DeliveryState.ACCEPTED, "one message for 3 requests")}
        return
    assert said.pop(first.id) == gone
    assert set(said) == {second.id, third.id}
    assert set(said.values()) == {(DeliveryState.ACCEPTED, "one message for 2 requests")}
    assert first.id not in message["text"]


async def test_nothing_is_sent_when_nobody_needs_any_of_them(outbox):
    """All were cancelled after the claim."""
    opened = await outbox.open(2)
    await morning(outbox)
    jobs = await outbox.claim()
    for request in opened:
        await outbox.cancel(request)
    old = Claimed(jobs[0], since=Claimed(jobs[0]).since - FRESH_SECONDS, others=tuple(jobs[1:]))
    outcomes = await outbox.sender().deliver(old)
    assert [outcome.state for outcome in outcomes] == [DeliveryState.SKIPPED] * 2
    assert await outbox.received() == []


async def test_the_limit_of_a_claim_splits_nothing(outbox):
    """Five rows of one message are claimed together, even by who asks for one; the next one is left."""
    await outbox.open(5)
    await outbox.run("UPDATE deliveries SET target = '#a' WHERE channel_kind = 'slack'")
    [other] = await outbox.open()
    await outbox.run("UPDATE deliveries SET next_attempt_at = now() - interval '1 s' WHERE target = '#a';")
    await outbox.run("UPDATE deliveries SET next_attempt_at = now() WHERE target = '#mint'")
    claimed = []
    for _ in range(3):
        async with outbox.database.transaction() as tx:
            claimed.append(await deliveries.claim_due(tx, limit=1, lease_seconds=60, now=datetime.now(UTC)))
    assert [len(jobs) for jobs in claimed] == [5, 1, 0]
    assert claimed[1][0].request_id == other.id


async def test_while_one_row_is_held_none_of_its_message_is_claimed(outbox):
    """Somebody acts on a request just then: a moment later all are claimed together."""
    first, *_ = await outbox.open(3)
    await morning(outbox)
    lock = text("SELECT 1 FROM deliveries WHERE request_id = :id FOR UPDATE")
    async with outbox.database.transaction() as tx:
        await tx.execute(lock, {"id": first.id})
        assert await outbox.claim() == []
    assert len(await outbox.claim()) == 3


async def test_two_relays_never_send_two_digests(outbox):
    """Forty recipients of five requests each, three relays: forty messages, each with all five."""
    await outbox.open(200)
    await outbox.run(
        "UPDATE deliveries SET target = '#t' || n % 40 FROM (SELECT id, row_number() OVER () AS n "
        "FROM deliveries WHERE channel_kind = 'slack') AS x WHERE deliveries.id = x.id"
    )
    await morning(outbox)
    async with outbox.relay().running(), outbox.relay().running(), outbox.relay().running():
        rows = await outbox.until("accepted")
        await outbox.hasten()
    messages = await outbox.received()
    assert sorted(message["to"] for message in messages) == sorted({row.target for row in rows})
    assert len(messages) == 40
    assert notes(rows) == {"one message for 5 requests"}
    for message in messages:
        assert all(row.request_id in message["text"] for row in rows if row.target == message["to"])


async def test_a_failed_digest_is_tried_again_as_a_whole(outbox):
    """One refusal for now, one time of the next attempt, one message in the end."""
    await outbox.fault(kind="500")
    await outbox.open(3)
    await morning(outbox)
    async with outbox.relay().running():
        rows = await outbox.until("failed")
        assert len({row.next_attempt_at for row in rows}) == 1
        await outbox.hasten()
        rows = await outbox.until("accepted", attempt=2)
    assert notes(rows) == {"one message for 3 requests"}
    assert len(await outbox.received()) == 1


async def test_a_rate_limit_uses_up_no_attempt_of_any(outbox):
    """`Retry-After` holds for all rows, and each keeps its attempts."""
    await outbox.fault(kind="429", retry_after=1000)
    await outbox.open(3)
    await morning(outbox)
    async with outbox.relay().running():
        rows = await outbox.until("failed")
    assert {row.max_attempts - row.attempt for row in rows} == {outbox.seeded.policy.retry.max_attempts}
    assert len({row.next_attempt_at for row in rows}) == 1
    assert rows[0].next_attempt_at > datetime.now(UTC) + timedelta(seconds=900)


async def test_a_lost_answer_is_tried_once_more_as_a_whole(outbox):
    """Twice is better than never; the second time it is lost all of them are dead."""
    await outbox.fault(kind="drop", after_accept=True, count=2)
    await outbox.open(2)
    await morning(outbox)
    async with outbox.relay().running():
        await outbox.until("ambiguous")
        await outbox.hasten()
        await outbox.until("dead", attempt=2)
        await outbox.hasten()
    assert len(await outbox.received()) == 2


async def test_what_a_killed_relay_held_is_taken_over_as_a_whole(outbox):
    """SIGKILL amid the call of a digest: after the lease another relay sends the digest, once."""
    await outbox.fault(kind="slow", seconds=600)
    await outbox.open(3)
    await morning(outbox)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RELAY_PROCESS, outbox.seeded.url, outbox.slack_url, cwd=ROOT
    )
    await outbox.until_fault_met()
    process.kill()
    await process.wait()
    async with outbox.relay().running(), outbox.relay().running():
        await outbox.hasten()
        rows = await outbox.until("accepted", attempt=2)
    assert [attempt.outcome for attempt in await outbox.attempts()] == ["ambiguous", "accepted"] * 3
    assert notes(rows) == {"one message for 3 requests"}
    assert len(await outbox.received()) == 1


async def test_one_that_can_not_be_rendered_leaves_the_others(outbox):
    """It is dead with its reason, and they are told."""
    first, *others = await outbox.open(3)
    await outbox.run(
        f"UPDATE deliveries SET kind = 'nonsense' WHERE channel_kind = 'slack' AND request_id = '{first.id}'"
    )
    await morning(outbox)
    async with outbox.relay().running(), asyncio.timeout(PATIENCE):
        while any(row.state in ("deferred", "sending", "pending") for row in await outbox.rows()):
            await asyncio.sleep(0.02)
    states = {row.request_id: (row.state, row.error) for row in await outbox.rows()}
    assert states[first.id][0] == "dead"
    assert "unknown notification kind" in states[first.id][1]
    assert {states[request.id][0] for request in others} == {"accepted"}
    assert len(await outbox.received()) == 1


async def test_a_dead_one_that_is_revived_comes_alone(outbox):
    """Its digest has long been sent to the others."""
    await outbox.fault(kind="drop", after_accept=True, count=2)
    await outbox.open(2)
    await morning(outbox)
    async with outbox.relay().running():
        await outbox.until("ambiguous")
        await outbox.hasten()
        rows = await outbox.until("dead", attempt=2)
        async with outbox.database.transaction() as tx:
            await deliveries.retry_dead(tx, id=rows[0].id, at=datetime.now(UTC))
        async with asyncio.timeout(PATIENCE):
            while (await outbox.rows())[0].state != "accepted":
                await asyncio.sleep(0.02)
    states = [row.state for row in await outbox.rows()]
    assert states == ["accepted", "dead"]
    assert (await outbox.received_ids())[-1] == rows[0].id


async def test_a_channel_without_room_puts_the_digest_off_as_a_whole(outbox):
    """A digest is one message for the channel's rate, and stays one while it waits for its turn."""
    await outbox.run(
        "UPDATE notification_channels SET settings = settings || '{\"per_minute\": 1}' WHERE kind = 'slack'"
    )
    await outbox.open(3)
    await outbox.run("UPDATE deliveries SET target = '#first' WHERE channel_kind = 'slack'")
    await outbox.open(3)
    await outbox.run("UPDATE deliveries SET next_attempt_at = now() - interval '1 s' WHERE target = '#first'")
    await outbox.run("UPDATE deliveries SET next_attempt_at = now() WHERE target = '#mint'")
    async with outbox.relay().running(), asyncio.timeout(PATIENCE):
        while sorted(row.state for row in await outbox.rows()) != ["accepted"] * 3 + ["pending"] * 3:
            await asyncio.sleep(0.02)
        waiting = [row for row in await outbox.rows() if row.state == "pending"]
        assert len({row.next_attempt_at for row in waiting}) == 1
        assert {row.attempt for row in waiting} == {0}
        assert waiting[0].next_attempt_at > datetime.now(UTC) + timedelta(seconds=30)
        await outbox.run(
            "UPDATE deliveries SET slot_at = now(), next_attempt_at = now() WHERE state = 'pending'"
        )
        await outbox.run("NOTIFY mintkeeper_deliveries")
        while any(row.state != "accepted" for row in await outbox.rows()):
            await asyncio.sleep(0.02)
    assert len(await outbox.received()) == 2


async def test_no_token_of_a_digest_reaches_a_log(outbox, caplog):
    """A channel that is a log gets the digest without the links."""
    caplog.set_level(logging.INFO)
    await outbox.open(2)
    await morning(outbox)
    async with outbox.relay(outbox.channels(slack_bot_token=None), authority=AUTHORITY).running():
        rows = await outbox.until("accepted")
    assert notes(rows) == {"one message for 2 requests; mock: MINTKEEPER_SLACK_BOT_TOKEN is not set"}
    assert any("2 mint requests waited" in line for line in caplog.messages)
    assert "/acks/" not in caplog.text


async def test_telegram_gets_a_digest_that_fits(outbox):
    """Thirty requests in 4096 characters: the rest is counted, and nothing is cut in the middle."""
    await outbox.open(30)
    await outbox.run(
        "UPDATE deliveries SET channel_kind = 'telegram', target = '-100' WHERE channel_kind = 'slack'"
    )
    await morning(outbox)
    async with outbox.relay(everywhere(outbox), authority=AUTHORITY).running(), asyncio.timeout(PATIENCE):
        while any(row.state != "accepted" for row in await rows_of(outbox, "telegram")):
            await asyncio.sleep(0.02)
    [message] = await outbox.received()
    assert len(message["text"]) <= 4096
    assert not message["text"].endswith("…")
    told = len(re.findall(r"track number", message["text"]))
    assert f"And {30 - told} more: http://127.0.0.1:8080/requests" in message["text"]
    assert told >= 10
