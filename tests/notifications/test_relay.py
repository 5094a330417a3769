"""The relay over a real outbox in PostgreSQL, with real clients that talk to the provider console."""

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from activities.notifications import relay as relay_module
from activities.notifications.asking import FRESH_SECONDS
from activities.notifications.channels import ChannelSettings
from activities.notifications.outcome import Outcome
from activities.notifications.recorder import Recorder
from activities.notifications.sending import LEASE_SECONDS, Claimed
from db.session import Database
from domain.records import DeliveryState
from sandbox.providers import running_providers
from settings import Settings
from tests.support.outbox import PATIENCE, Outbox

ROOT = Path(__file__).parents[2]

RELAY_PROCESS = """
import asyncio, sys
from activities.notifications.channels import ChannelSettings, build_channels
from activities.notifications.relay import Relay
from db.session import Database

async def main(database_url, slack_url):
    channels = build_channels(ChannelSettings(slack_bot_token="xoxb-local", slack_base_url=slack_url))
    async with Relay(Database(database_url), channels, public_url="", temporal_url="").running():
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


async def test_a_message_is_sent_once_and_accepted(outbox):
    """A row becomes one message with its delivery id and links; the row keeps the provider's id."""
    [request] = await outbox.open()
    async with outbox.relay().running():
        [row] = await outbox.until("accepted")
        await outbox.hasten()
    [message] = await outbox.received()
    assert message["delivery_id"] == row.id
    assert message["to"] == row.target == "#mint"
    assert row.provider_id.endswith(message["id"])
    assert f"http://127.0.0.1:8080/requests/{request.id}" in message["text"]
    assert f"http://127.0.0.1:8233/namespaces/default/workflows/mint-{request.id}" in message["text"]
    assert [attempt.outcome for attempt in await outbox.attempts()] == ["accepted"]


async def test_two_relays_beside_each_other_never_double(outbox):
    """What one relay claims the other skips: 200 rows, 200 messages."""
    await outbox.open(200)
    async with outbox.relay().running(), outbox.relay().running():
        rows = await outbox.until("accepted")
    assert len(rows) == 200
    assert sorted(await outbox.received_ids()) == [row.id for row in rows]


async def test_a_rate_limit_sets_the_time_and_uses_up_no_attempt(outbox):
    """`Retry-After` is the moment of the next attempt, and the policy's attempts are all left."""
    await outbox.fault(kind="429", retry_after=1000)
    await outbox.open()
    async with outbox.relay().running():
        [row] = await outbox.until("failed")
        [attempt] = await outbox.attempts()
        assert row.next_attempt_at >= attempt.started_at + timedelta(seconds=1000)
        assert row.next_attempt_at <= datetime.now(UTC) + timedelta(seconds=1000)
        assert row.max_attempts - row.attempt == outbox.seeded.policy.retry.max_attempts
    async with outbox.relay().running():
        await outbox.hasten()
        await outbox.until("accepted", attempt=2)
    assert await outbox.received_ids() == [row.id]


async def test_a_rate_limit_holds_back_the_messages_behind_it(outbox):
    """A destination that asked for a pause is left alone: what is claimed meanwhile is given back untried."""
    await outbox.fault(kind="429", retry_after=1000, count=100)
    [limited] = await outbox.open()
    async with outbox.relay().running():
        await outbox.until("failed")
        await outbox.open(10)
        async with asyncio.timeout(PATIENCE):
            while len({row.next_attempt_at for row in await outbox.rows()}) > 2 or any(
                row.state == "sending" or row.next_attempt_at < datetime.now(UTC) + timedelta(seconds=100)
                for row in await outbox.rows()
            ):
                await asyncio.sleep(0.02)
        rows = await outbox.rows()
    states = [(row.state, row.attempt) for row in rows if row.request_id != limited.id]
    assert states == [("pending", 0)] * 10
    assert len(await outbox.attempts()) == 1
    assert await outbox.received() == []


async def test_a_server_error_is_tried_again_after_the_back_off(outbox):
    """500, then well: the second attempt comes after the policy's seconds."""
    await outbox.fault(kind="500")
    await outbox.open()
    async with outbox.relay().running():
        [row] = await outbox.until("failed")
        [attempt] = await outbox.attempts()
        backoff = timedelta(seconds=outbox.seeded.policy.retry.backoff_seconds)
        assert attempt.started_at + backoff <= row.next_attempt_at <= datetime.now(UTC) + backoff
        await outbox.hasten()
        await outbox.until("accepted", attempt=2)
    assert [attempt.outcome for attempt in await outbox.attempts()] == ["failed", "accepted"]
    assert await outbox.received_ids() == [row.id]


async def test_a_message_is_dead_after_the_policys_attempts(outbox):
    """500 each time: given up with the provider's words, and nothing more is tried."""
    await outbox.fault(kind="500", count=3)
    await outbox.open()
    async with outbox.relay().running():
        for attempt in (1, 2):
            await outbox.until("failed", attempt)
            await outbox.hasten()
        [row] = await outbox.until("dead", attempt=3)
        await outbox.hasten()
    assert "500" in row.error
    assert await outbox.received() == []


async def test_a_lost_answer_is_tried_once_more(outbox):
    """The message may arrive twice, and then both bear the same delivery id."""
    await outbox.fault(kind="drop", after_accept=True)
    await outbox.open()
    async with outbox.relay().running():
        [row] = await outbox.until("ambiguous")
        assert row.next_attempt_at > datetime.now(UTC)
        await outbox.hasten()
        await outbox.until("accepted", attempt=2)
    assert await outbox.received_ids() == [row.id, row.id]


async def test_a_second_lost_answer_ends_it(outbox):
    """Nobody gets the same message a third time, though the policy has an attempt left."""
    await outbox.fault(kind="drop", after_accept=True, count=2)
    await outbox.open()
    async with outbox.relay().running():
        await outbox.until("ambiguous")
        await outbox.hasten()
        [row] = await outbox.until("dead", attempt=2)
        await outbox.hasten()
    assert row.attempt < row.max_attempts
    assert await outbox.received_ids() == [row.id, row.id]


async def test_what_a_killed_relay_held_is_taken_over(outbox):
    """SIGKILL amid a call: once the lease has ended another relay sends it, as of doubtful outcome."""
    await outbox.fault(kind="slow", seconds=600)
    await outbox.open()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RELAY_PROCESS, outbox.seeded.url, outbox.slack_url, cwd=ROOT
    )
    await outbox.until_fault_met()
    process.kill()
    await process.wait()
    async with outbox.relay().running():
        await outbox.hasten()
        [row] = await outbox.until("accepted", attempt=2)
    assert [attempt.outcome for attempt in await outbox.attempts()] == ["ambiguous", "accepted"]
    assert await outbox.received_ids() == [row.id]


async def test_a_request_decided_meanwhile_is_not_asked_about(outbox):
    """A stage's message of a request that has left PENDING is skipped just before it would be sent."""
    [request] = await outbox.open()
    await outbox.claim(lease_seconds=0)
    await outbox.cancel(request)
    async with outbox.relay().running():
        [row] = await outbox.until("skipped", attempt=2)
    assert row.note == "the request is no longer pending"
    assert await outbox.received() == []


async def test_a_message_that_waited_for_its_turn_asks_again(outbox):
    """The status seen at the claim counts for a moment only; after that it is read anew."""
    [request] = await outbox.open()
    [job] = await outbox.claim()
    await outbox.cancel(request)
    waited = Claimed(job, since=time.monotonic() - FRESH_SECONDS - 1)
    [said] = await outbox.sender().deliver(waited)
    assert said.state is DeliveryState.SKIPPED
    assert await outbox.received() == []


@pytest.mark.parametrize("late", [True, False])
async def test_what_can_not_be_begun_in_time_is_given_back(outbox, late):
    """Near the end of its lease, or of its relay, a row goes back untried and is due at once."""
    await outbox.open()
    [job] = await outbox.claim()
    sender, recorder = outbox.sender(), Recorder(outbox.database)
    if not late:
        sender.close()
    claimed = Claimed(job, since=time.monotonic() - LEASE_SECONDS * late)
    for said in await sender.deliver(claimed):
        recorder.add(said)
    await recorder.flush()
    [row] = await outbox.rows()
    assert (row.state, row.attempt) == ("pending", 0)
    assert row.next_attempt_at <= datetime.now(UTC)
    assert await outbox.attempts() == []
    assert await outbox.received() == []


async def test_stopping_loses_and_doubles_nothing(outbox):
    """Calls under way are finished, the rest is given back, and the next relay sends just that."""
    await outbox.fault(kind="slow", seconds=1, count=20)
    await outbox.open(30)
    async with outbox.relay().running(), asyncio.timeout(PATIENCE):
        while not any(row.state == "sending" for row in await outbox.rows()):
            await asyncio.sleep(0.02)
    rows = await outbox.rows()
    assert {(row.state, row.attempt) for row in rows} <= {("accepted", 1), ("pending", 0)}
    assert sorted(await outbox.received_ids()) == [row.id for row in rows if row.state == "accepted"]
    async with outbox.relay().running():
        await outbox.until("accepted")
    assert sorted(await outbox.received_ids()) == [row.id for row in rows]


async def test_an_unconfigured_channel_writes_a_line_instead(outbox, caplog):
    """Without a token the message goes to the log, and the delivery says so."""
    caplog.set_level(logging.INFO)
    await outbox.open()
    async with outbox.relay(outbox.channels(slack_bot_token=None)).running():
        [row] = await outbox.until("accepted")
    assert row.note == "mock: MINTKEEPER_SLACK_BOT_TOKEN is not set"
    assert any("[SLACK MOCK] to #mint: " in line for line in caplog.messages)
    assert await outbox.received() == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("target = '#unknown'", "channel_not_found"),
        ("facts = facts - 'amount'", "facts: amount"),
        ("kind = 'nonsense'", "unknown notification kind"),
    ],
)
async def test_what_can_never_arrive_is_dead_at_once(outbox, change, error):
    """A refusal for good, or a message that can't be built, is not tried again."""
    await outbox.open()
    await outbox.run(f"UPDATE deliveries SET {change} WHERE channel_kind = 'slack'")
    async with outbox.relay().running():
        [row] = await outbox.until("dead")
    assert error in row.error
    assert await outbox.received() == []


async def test_a_kind_without_a_client_is_dead_with_a_clear_error(outbox):
    """A channel that this relay can't serve says which."""
    await outbox.open()
    async with outbox.relay(channels={}).running():
        [row] = await outbox.until("dead")
    assert row.error == "no client for the channel kind 'slack' of channel 'slack-mint'"


async def test_new_rows_wake_the_relay(outbox, monkeypatch):
    """With no look of its own for an hour, the relay hears of a row by LISTEN."""
    monkeypatch.setattr(relay_module, "LONGEST_NAP", 3600)
    async with outbox.relay().running():
        await outbox.until_listening()
        await outbox.open()
        await outbox.until("accepted")
    assert len(await outbox.received()) == 1


async def test_a_lost_database_connection_is_survived(outbox, monkeypatch):
    """All connections broken amid a call: the result is written later, and new rows are heard of again."""
    monkeypatch.setattr(relay_module, "LONGEST_NAP", 3600)
    await outbox.fault(kind="slow", seconds=1)
    await outbox.open()
    database = Database(outbox.seeded.url)
    async with outbox.relay(database=database).running():
        await outbox.until_listening()
        await outbox.until_fault_met()
        await outbox.break_connections()
        await outbox.until("accepted")
        await outbox.until_listening()
        await outbox.open()
        await outbox.until("accepted")
    await database.close()
    assert sorted(await outbox.received_ids()) == [row.id for row in await outbox.rows()]


async def test_one_result_that_the_database_refuses_leaves_the_others(outbox, caplog):
    """PostgreSQL takes no NUL character; the results beside it are written all the same."""
    await outbox.open(2)
    bad, good = await outbox.claim()
    recorder, now = Recorder(outbox.database), datetime.now(UTC)
    recorder.add(Outcome(bad, DeliveryState.ACCEPTED, now, provider_id="\0"))
    recorder.add(Outcome(good, DeliveryState.ACCEPTED, now, provider_id="C1:1"))
    await recorder.flush()
    states = {row.id: row.state for row in await outbox.rows()}
    assert states == {bad.id: "sending", good.id: "accepted"}
    assert "the result of a delivery can't be written" in caplog.messages


async def test_operators_see_lines_without_content(outbox, caplog):
    """A line names the delivery and says nothing of the message."""
    caplog.set_level(logging.INFO, "mintkeeper.relay")
    await outbox.open()
    async with outbox.relay().running():
        [row] = await outbox.until("accepted")
    [line] = [line for line in caplog.records if getattr(line, "delivery_id", "") == row.id]
    assert (line.channel, line.attempt, line.state) == ("slack-mint", 1, "accepted")
    assert not any("2500" in str(value) for value in vars(line).values())


def test_channels_take_their_settings_from_the_environment(monkeypatch):
    """Set variables arrive; an empty one counts as not set."""
    monkeypatch.setenv("MINTKEEPER_SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("MINTKEEPER_TELEGRAM_CHAT_ID", "")
    settings = ChannelSettings.of(Settings())
    assert (settings.slack_bot_token, settings.telegram_chat_id) == ("xoxb-1", None)


async def test_a_slow_provider_holds_up_no_message_over_another_channel(outbox):
    """Hundreds of mails that were due first wait for their provider; Slack's message does not wait too."""
    await outbox.fault(provider="sendgrid", kind="slow", seconds=1, count=100_000)
    await outbox.open()
    await outbox.run(
        "INSERT INTO deliveries SELECT (jsonb_populate_record(d, jsonb_build_object("
        "'id', lpad(n::text, 64, '0'), 'kind', 'expired', 'stage', NULL, 'channel', 'email', "
        "'channel_kind', 'email', 'target', 'alice@acme.example', 'recipient', 'alice', "
        "'next_attempt_at', d.next_attempt_at - interval '1 minute'))).* "
        "FROM deliveries d, generate_series(1, 400) n WHERE d.channel_kind = 'slack'"
    )
    mail = {"sendgrid_host": f"{outbox.url}/sendgrid", "email_from": "mint@acme.example"}
    async with outbox.relay(outbox.channels(sendgrid_api_key="SG.local", **mail)).running():
        await outbox.until("accepted")
    received = await outbox.received()
    assert sum(message["provider"] == "sendgrid" for message in received) < 100
