"""Messages that are given up: over which channel they go instead, once, and who hears when none is left."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from activities.notifications.channels import ChannelSettings, build_channels
from activities.notifications.fallback import give_up_exhausted
from activities.notifications.outcome import Outcome
from activities.notifications.recorder import Recorder
from db import reads
from db.reads.escalations import run_messages
from db.session import Database
from db.writes import deliveries, dictionaries
from domain.records import DeliveryState
from sandbox.providers import running_providers
from tests.support.outbox import PATIENCE, Outbox

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
BY = {"tenant": "acme", "actor": "adam", "at": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


def channels(outbox, time_limit=10.0, **changed):
    """Slack and SendGrid at the console."""
    settings = {
        "slack_bot_token": "xoxb-local",
        "slack_base_url": outbox.slack_url,
        "sendgrid_api_key": "SG.local",
        "sendgrid_host": f"{outbox.url}/sendgrid",
        "email_from": "mint@acme.test",
    }
    built = build_channels(ChannelSettings(**settings | changed), time_limit)
    outbox.clients += built.values()
    return built


async def listed(outbox, request=None):
    """Deliveries as operators see them."""
    async with outbox.database.transaction() as tx:
        return await reads.deliveries(tx, request.id if request else None)


async def rest(outbox):
    """Wait until nothing is under way or waits; what waits for a retry is due at once."""
    async with asyncio.timeout(PATIENCE):
        while any(
            row.state not in ("accepted", "dead", "skipped", "deferred") for row in await listed(outbox)
        ):
            # only what waits for a retry: a call under way keeps its lease
            await outbox.run(
                "UPDATE deliveries SET next_attempt_at = now() WHERE state IN ('failed', 'ambiguous')"
            )
            await outbox.run("NOTIFY mintkeeper_deliveries")
            await asyncio.sleep(0.05)


async def fallbacks(outbox):
    """(channel, recipient, state) of all that went out in place of another."""
    found = [one for one in await listed(outbox) if one.fallback_of]
    return sorted((one.channel, one.recipient, one.state.value) for one in found)


async def unreached(outbox):
    """Details of the audit events that say so."""
    async with outbox.database.transaction() as tx:
        query = "SELECT body FROM audit_events WHERE kind = 'delivery.unreached' ORDER BY seq"
        return [json.loads(body)["details"] for body in await tx.scalars(text(query))]


async def fail_slack_for_good(outbox):
    """The Slack channel does not exist."""
    await outbox.run("UPDATE deliveries SET target = '#unknown' WHERE channel_kind = 'slack'")


async def test_the_people_behind_a_group_are_told_over_the_next_channel(outbox):
    """In the app they have been told already, so by email: each once, with a note of what it is for."""
    [request] = await outbox.open()
    await fail_slack_for_good(outbox)
    async with outbox.relay(channels(outbox)).running():
        await rest(outbox)
    assert await fallbacks(outbox) == [("email", "alice", "accepted"), ("email", "bob", "accepted")]
    [dead] = [one for one in await listed(outbox, request) if one.state is DeliveryState.DEAD]
    for one in await listed(outbox, request):
        if one.channel == "email":
            assert one.fallback_of == dead.id
            assert one.note.startswith("fallback for #mint over slack-mint (Slack refused the message")
            assert one.due_at > dead.due_at
    messages = await outbox.received()
    assert sorted(message["to"] for message in messages) == ["alice@acme.example", "bob@acme.example"]
    assert await unreached(outbox) == []


async def test_a_person_whose_mail_bounces_is_told_in_the_app(outbox):
    """The stage's other channel has told the group already; the tenant's next one reaches the person."""
    [request] = await outbox.open()
    await outbox.run(
        "UPDATE deliveries SET channel = 'email', channel_kind = 'email', recipient = 'alice', "
        "target = 'no address' WHERE channel_kind = 'slack'"
    )
    await outbox.run("DELETE FROM deliveries WHERE channel = 'in-app'")
    async with outbox.relay(channels(outbox)).running():
        await rest(outbox)
    assert await fallbacks(outbox) == [("in-app", "alice", "accepted")]
    async with outbox.database.transaction() as tx:
        inbox = [note for note in await reads.notifications_for(tx, "alice", "acme") if note.kind == "opened"]
    assert {note.request_id for note in inbox} == {request.id}
    assert len(inbox) == 2
    assert await outbox.received() == []


async def test_a_chain_ends_and_says_who_was_not_reached(outbox, caplog):
    """Slack, then email, then nothing: one audit event and one ERROR line for each person."""
    [request] = await outbox.open()
    await fail_slack_for_good(outbox)
    await outbox.run("DELETE FROM notification_channels WHERE name = 'pager-mgmt'")
    async with outbox.relay(channels(outbox, sendgrid_api_key="SG.revoked")).running():
        await rest(outbox)
    assert await fallbacks(outbox) == [("email", "alice", "dead"), ("email", "bob", "dead")]
    said = await unreached(outbox)
    assert sorted((one["channel"], one["recipient"]) for one in said) == [
        ("email", "alice"),
        ("email", "bob"),
    ]
    assert {(one["stage"], one["runId"], *one["otherChannels"]) for one in said} == {
        (0, request.id, "in-app")
    }
    lines = [line for line in caplog.records if "no channel is left" in line.message]
    assert [line.levelno for line in lines] == [logging.ERROR] * 2
    assert await outbox.received() == []
    async with outbox.database.transaction() as tx:
        kinds = [entry["kind"] for entry in await reads.timeline(tx, request.id)]
    assert kinds.count("delivery.unreached") == 2


async def test_a_chain_passes_through_a_group(outbox):
    """Both mails fail; the group behind the tenant's last channel hears of it once."""
    await outbox.open()
    await fail_slack_for_good(outbox)
    async with outbox.relay(channels(outbox, sendgrid_api_key="SG.revoked")).running():
        await rest(outbox)
    assert await fallbacks(outbox) == [
        ("email", "alice", "dead"),
        ("email", "bob", "dead"),
        ("pager-mgmt", "management", "accepted"),
    ]
    # the second mail finds the group told, and nothing else that is left
    assert len(await unreached(outbox)) == 1


async def test_what_nobody_wants_any_more_has_no_fallback(outbox):
    """A request that was decided while the provider was out."""
    [request] = await outbox.open()
    [job] = await outbox.claim()
    await outbox.cancel(request)
    recorder = Recorder(outbox.database)
    recorder.add(Outcome(job, DeliveryState.DEAD, datetime.now(UTC), "gone"))
    await recorder.flush()
    assert [row.state for row in await outbox.rows()] == ["dead"]
    assert await fallbacks(outbox) == []
    assert await unreached(outbox) == []


async def test_what_a_killed_relay_held_last_has_one_fallback(outbox):
    """Two relays and a late report see the same lost attempt: one takes it, one mail a person."""
    await outbox.open()
    await outbox.run("UPDATE deliveries SET max_attempts = 1 WHERE channel_kind = 'slack'")
    [job] = await outbox.claim(lease_seconds=0)
    beside, now = Database(outbox.seeded.url), datetime.now(UTC) + timedelta(seconds=1)
    await asyncio.gather(*(give_up_exhausted(one, now) for one in (outbox.database, beside) * 3))
    await beside.close()
    recorder = Recorder(outbox.database)
    recorder.add(Outcome(job, DeliveryState.DEAD, now, "gone"))
    await recorder.flush()
    async with outbox.relay(channels(outbox)).running():
        await rest(outbox)
    assert await fallbacks(outbox) == [("email", "alice", "accepted"), ("email", "bob", "accepted")]
    assert [attempt.outcome for attempt in await outbox.attempts()] == ["ambiguous"]
    assert len(await outbox.received()) == 2


async def test_a_delivery_that_dies_twice_has_one_fallback(outbox):
    """Retried by hand and refused again: nobody is told a second time."""
    await outbox.open()
    await fail_slack_for_good(outbox)
    async with outbox.relay(channels(outbox)).running():
        await rest(outbox)
        [row] = await outbox.rows()
        async with outbox.database.transaction() as tx:
            await deliveries.retry_dead(tx, id=row.id, at=datetime.now(UTC))
        await rest(outbox)
    assert [(row.state, row.attempt) for row in await outbox.rows()] == [("dead", 2)]
    assert len(await fallbacks(outbox)) == 2
    assert len(await outbox.received()) == 2


async def test_it_is_dead_with_its_fallback_or_not_at_all(outbox, caplog):
    """The substitute can't be written: the row is not dead either, and is taken over when its lease ends."""
    await outbox.open()
    [job] = await outbox.claim()
    await outbox.run(
        "CREATE FUNCTION no_fallback() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'not now'; END $$"
    )
    await outbox.run(
        "CREATE TRIGGER no_fallback BEFORE INSERT ON deliveries FOR EACH ROW "
        "WHEN (NEW.fallback_of IS NOT NULL) EXECUTE FUNCTION no_fallback()"
    )
    recorder = Recorder(outbox.database)
    recorder.add(Outcome(job, DeliveryState.DEAD, datetime.now(UTC), "gone"))
    await recorder.flush()
    await outbox.run("DROP TRIGGER no_fallback ON deliveries")
    await outbox.run("DROP FUNCTION no_fallback")
    assert [(row.state, row.attempt) for row in await outbox.rows()] == [("sending", 1)]
    assert "the result of a delivery can't be written" in caplog.messages


async def test_a_lost_answer_is_followed_by_a_fallback_only_when_it_is_given_up(outbox):
    """Twice without an answer: Slack may have both, each person gets one mail."""
    await outbox.fault(kind="drop", after_accept=True, count=2)
    await outbox.open()
    async with outbox.relay(channels(outbox)).running():
        [row] = await outbox.until("ambiguous")
        assert await fallbacks(outbox) == []
        await rest(outbox)
    messages = await outbox.received()
    assert [message["delivery_id"] for message in messages if message["provider"] == "slack"] == [row.id] * 2
    assert len([message for message in messages if message["provider"] == "sendgrid"]) == 2


async def test_who_is_asleep_is_told_when_the_night_is_over(outbox):
    """The group was told at noon, but it is night for one of those behind it."""
    now = datetime.now(UTC)
    until = (now + timedelta(hours=2)).strftime("%H:%M")
    since = (now - timedelta(hours=2)).strftime("%H:%M")
    quiet = json.dumps([{"days": DAYS, "from": since, "to": until, "zone": "UTC"}])
    await outbox.run(f"UPDATE users SET quiet_hours = '{quiet}', time_zone = 'UTC' WHERE name = 'alice'")
    await outbox.open()
    await fail_slack_for_good(outbox)
    async with outbox.relay(channels(outbox)).running():
        await rest(outbox)
    assert await fallbacks(outbox) == [("email", "alice", "deferred"), ("email", "bob", "accepted")]
    assert [message["to"] for message in await outbox.received()] == ["bob@acme.example"]


async def test_channels_of_the_stage_come_first_in_their_order_and_around(outbox):
    """After `b` comes `c`, then `a`, then those that the stage does not name."""
    names = {"a": "1", "b": "2", "c": "3"}
    async with outbox.database.transaction() as tx:
        for name in names:
            await dictionaries.set_channel(tx, name=name, kind="console", settings={}, **BY)
    policy = outbox.seeded.policy
    stage = policy.stages[0].model_copy(update={"channels": ["a", "b", "c"]})
    body = policy.model_copy(update={"stages": [stage, *policy.stages[1:]]}).model_dump_json(by_alias=True)
    await outbox.open()
    await outbox.run("DROP TRIGGER escalation_policies_immutable ON escalation_policies")
    async with outbox.database.transaction() as tx:
        await tx.execute(text("UPDATE escalation_policies SET body = CAST(:body AS jsonb)"), {"body": body})
    await outbox.run("UPDATE deliveries SET channel = 'b', recipient = 'b' WHERE channel_kind = 'slack'")
    seen = []
    for _ in range(5):
        [job] = await outbox.claim()
        seen.append(job.channel)
        recorder = Recorder(outbox.database)
        recorder.add(Outcome(job, DeliveryState.DEAD, datetime.now(UTC), "gone"))
        await recorder.flush()
        if len([one for one in await listed(outbox) if one.state is DeliveryState.PENDING]) != 1:
            break
    assert seen == ["b", "c", "a"]
    assert ("email", "alice", "pending") in await fallbacks(outbox)


async def test_slack_is_out_for_ten_minutes(outbox):
    """It errs, drops calls and hangs, while email works: nothing is lost or doubled, and it can be read."""
    for fault in (
        {"kind": "500", "count": 9},
        {"kind": "drop", "count": 4},
        {"kind": "slow", "seconds": 600},
    ):
        await outbox.fault(**fault)
    await outbox.fault(kind="500", count=1000)
    requests = await outbox.open(12)
    # an email that takes long on a busy machine is not what this is about
    clients = [channels(outbox) | {"slack": channels(outbox, time_limit=3)["slack"]} for _ in range(2)]
    async with outbox.relay(clients[0]).running(), outbox.relay(clients[1]).running():
        await rest(outbox)
        # the outage is over
        async with outbox.http.delete("/faults"):
            pass
        later = await outbox.open(3)
        await rest(outbox)
    found = await listed(outbox)
    dead = {one.request_id: one for one in found if one.state is DeliveryState.DEAD}
    assert dead.keys() == {request.id for request in requests}
    assert {one.state for one in found} == {DeliveryState.DEAD, DeliveryState.ACCEPTED}
    stood_in = sorted((one.fallback_of, one.recipient) for one in found if one.fallback_of)
    assert stood_in == sorted((one.id, name) for one in dead.values() for name in ("alice", "bob"))
    assert all(one.note.startswith("fallback for #mint") for one in found if one.fallback_of)
    assert all(one.error and one.attempt in (2, 3) for one in dead.values())
    sent = sorted(
        one.id for one in found if one.channel == "email" or one.request_id in {r.id for r in later}
    )
    received = [message["delivery_id"] for message in await outbox.received()]
    assert sorted(received) == [id for id in sent if id not in {o.id for o in found if o.channel == "in-app"}]
    assert await unreached(outbox) == []
    for request in requests:
        # as `escalation show` reads it
        async with outbox.database.transaction() as tx:
            shown = {one["id"]: one for one in await run_messages(tx, request.id)}
        [given_up] = [one for one in shown.values() if one["state"] == "dead"]
        assert given_up["attempts"][-1]["outcome"] == "dead"
        assert len(given_up["attempts"]) in (2, 3)
        assert all(attempt["detail"] for attempt in given_up["attempts"])
        instead = {one["recipient"] for one in shown.values() if one["fallback_of"] == given_up["id"]}
        assert instead == {"alice", "bob"}
