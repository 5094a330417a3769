"""Messages that were sent follow what happens to their request, once, and then offer nothing to press."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from activities.notifications.channels import ChannelSettings, build_channels
from activities.notifications.letter import Links
from activities.notifications.revising import MOST_ATTEMPTS, Reviser
from db import reads
from db.session import Database
from db.writes import deliveries, dictionaries, revisions, submissions
from db.writes.acks import record_ack
from sandbox.providers import running_providers
from tests.db import acts
from tests.db.factories import approve, confirmed, submit
from tests.support.acks import AUTHORITY, claim_for
from tests.support.outbox import PATIENCE, Outbox
from tests.support.postgres import until_waiting

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
BY = {"tenant": "acme", "actor": "adam", "at": NOW}

REVISER_PROCESS = """
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


def relay(outbox, **changed):
    """A relay for Slack and PagerDuty, with acknowledgement links."""
    pager = {"pagerduty_routing_key": "R1", "pagerduty_base_url": f"{outbox.url}/pagerduty"}
    return outbox.relay(outbox.channels(**pager | changed), authority=AUTHORITY)


async def sent(outbox, count=1):
    """Requests whose Slack messages are out."""
    requests = await outbox.open(count)
    async with relay(outbox).running():
        await outbox.until("accepted")
    return requests


async def step(outbox, request, act, *, ago=60.0, **details):
    """Let something happen to a request, so long ago that its messages are due."""
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        return await act(tx, record, **details, at=datetime.now(UTC) - timedelta(seconds=ago))


async def acknowledge(outbox, request, at=None):
    """Somebody is on it."""
    claim = await claim_for(outbox.database, request.id)
    at = at or datetime.now(UTC) - timedelta(minutes=1)
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        await record_ack(tx, record=record, claim=claim, token_sha256="0" * 64, at=at)


async def marks(outbox):
    """How many messages wait to be brought up to date."""
    async with outbox.database.transaction() as tx:
        return await tx.scalar(text("SELECT count(*) FROM deliveries WHERE revise_at IS NOT NULL"))


async def settled(outbox):
    """Wait until every message says what is so; retries are due at once."""
    async with asyncio.timeout(PATIENCE):
        while await marks(outbox):
            await outbox.run(
                "UPDATE deliveries SET revise_at = now() - interval '1 second' "
                "WHERE revise_attempt > 0 AND revise_lease IS NULL AND revise_at > now()"
            )
            await asyncio.sleep(0.05)


async def updates(outbox):
    """The first lines of all updates, in order."""
    return [m["text"].splitlines()[0] for m in await outbox.received() if m["updates"]]


async def test_a_decided_message_says_so_and_offers_nothing(outbox):
    """Approved: who did it; the acknowledgement link and the commands to decide are gone."""
    [request] = await sent(outbox)
    [before] = await outbox.received()
    assert "/acks/" in before["text"]
    assert "mintkeeper approve" in before["text"]
    await step(outbox, request, approve)
    async with relay(outbox).running():
        await settled(outbox)
    assert await updates(outbox) == ["2500.00 EURT for rita: approved by alice"]
    [original, update] = await outbox.received()
    assert original["reads_now"] == update["text"]
    assert update["updates"] == original["id"]
    assert "/acks/" not in update["text"]
    assert "mintkeeper approve" not in update["text"]
    assert "Nothing is left to decide here." in update["text"]
    [row] = await outbox.rows()
    assert (row.state, row.revise_at, row.revise_lease, row.revise_attempt) == ("accepted", None, None, 0)
    assert row.revised_at is not None


async def test_each_change_is_told_in_turn(outbox):
    """Somebody is on it, then it expires."""
    [request] = await sent(outbox)
    await acknowledge(outbox, request)
    async with relay(outbox).running():
        await settled(outbox)
        await step(outbox, request, acts.expire)
        await settled(outbox)
    first, second = await updates(outbox)
    assert first.startswith("2500.00 EURT for rita: #mint is on it since ")
    assert second == "2500.00 EURT for rita: expired"


async def test_what_follows_within_seconds_is_told_once(outbox):
    """Approved, submitted and confirmed: one update, with the ledger."""
    [request] = await sent(outbox)
    await step(outbox, request, approve)
    record = await step(outbox, request, submit)
    await step(outbox, request, submissions_conclude, result=confirmed(record))
    async with relay(outbox).running():
        await settled(outbox)
    assert await updates(outbox) == ["2500.00 EURT for rita: confirmed in ledger 42"]


async def submissions_conclude(tx, record, *, result, at):
    """The ledger has said."""
    return await submissions.conclude(tx, record=record, result=result, at=at)


@pytest.mark.parametrize(
    ("verdict", "who", "said"),
    [("reject", "bob", "rejected by bob"), ("cancel", "rita", "cancelled by rita")],
)
async def test_who_rejected_or_cancelled_is_named(outbox, verdict, who, said):
    """By the audit's own word."""
    [request] = await sent(outbox)
    async with outbox.database.transaction() as tx:
        await acts.decide(tx, await reads.lock_request(tx, request.id), verdict, who)
    async with relay(outbox).running():
        await settled(outbox)
    assert await updates(outbox) == [f"2500.00 EURT for rita: {said}"]


async def test_a_comment_or_a_second_look_changes_no_message(outbox):
    """Only status and acknowledgement are in it."""
    [request] = await sent(outbox)
    async with outbox.database.transaction() as tx:
        await acts.comment(tx, await reads.lock_request(tx, request.id))
    assert await marks(outbox) == 0


async def test_a_message_on_its_way_when_it_is_decided_is_brought_up_to_date(outbox):
    """Claimed, then decided, then accepted by Slack: it says at once how it stands."""
    [request] = await outbox.open()
    await outbox.fault(kind="slow", seconds=1)
    async with relay(outbox).running():
        await outbox.until_fault_met()
        await step(outbox, request, approve)
        await outbox.until("accepted")
        await settled(outbox)
    assert await updates(outbox) == ["2500.00 EURT for rita: approved by alice"]


async def test_a_decision_that_began_before_the_claim_marks_the_message_all_the_same(outbox):
    """The decision waits for the claim's row: it sees it sending then, and neither skips nor forgets it."""
    [request] = await outbox.open()
    async with outbox.database.transaction() as claiming:
        [job] = await deliveries.claim_due(claiming, limit=1, lease_seconds=60, now=datetime.now(UTC))
        deciding = asyncio.create_task(step(outbox, request, approve))
        await until_waiting(outbox.database)
    await deciding
    [row] = await outbox.rows()
    assert (row.state, row.revise_at is not None) == ("sending", True)
    async with outbox.database.transaction() as tx:
        await deliveries.accepted(tx, results=[(job.id, "C1:1", "")], at=datetime.now(UTC))
    assert await marks(outbox) == 1


async def test_a_message_that_was_never_sent_is_not_brought_up_to_date(outbox):
    """Skipped: nothing is marked."""
    [request] = await outbox.open()
    await step(outbox, request, approve)
    assert [row.state for row in await outbox.rows()] == ["skipped"]
    assert await marks(outbox) == 0


@pytest.mark.parametrize("fault", [{"kind": "500"}, {"kind": "429", "retry_after": 1}, {"kind": "drop"}])
async def test_a_failed_update_is_tried_again(outbox, fault):
    """Back-off, then the same update; a lost answer does no harm, since it is the same message."""
    [request] = await sent(outbox)
    await outbox.fault(**fault)
    await step(outbox, request, approve)
    async with relay(outbox).running():
        await outbox.until_fault_met()
        await settled(outbox)
    assert await updates(outbox) == ["2500.00 EURT for rita: approved by alice"]


async def test_it_is_given_up_with_a_note(outbox):
    """After some attempts the message stays as it is, and the delivery says so."""
    [request] = await sent(outbox)
    await outbox.fault(kind="500", count=1000)
    await step(outbox, request, approve)
    await outbox.run(
        f"UPDATE deliveries SET revise_attempt = {MOST_ATTEMPTS - 2} WHERE revise_at IS NOT NULL"
    )
    async with relay(outbox).running():
        await settled(outbox)
    [row] = await outbox.rows()
    assert row.note.startswith("not brought up to date: Slack answered 500")
    assert (row.state, row.revised_at) == ("accepted", None)
    assert await updates(outbox) == []


async def test_a_message_that_is_gone_is_left_alone(outbox):
    """Somebody deleted it: once, and never again."""
    [request] = await sent(outbox)
    await outbox.run("UPDATE deliveries SET provider_id = 'C0:1.1' WHERE channel_kind = 'slack'")
    await step(outbox, request, approve)
    async with relay(outbox).running():
        await settled(outbox)
    [row] = await outbox.rows()
    assert "message_not_found" in row.note


async def test_what_a_killed_relay_was_at_is_taken_over(outbox):
    """SIGKILL amid the update: another relay does it when the lease has ended."""
    [request] = await sent(outbox)
    await outbox.fault(kind="slow", seconds=600)
    await step(outbox, request, approve)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", REVISER_PROCESS, outbox.seeded.url, outbox.slack_url, cwd=ROOT
    )
    await outbox.until_fault_met()
    process.kill()
    await process.wait()
    assert await updates(outbox) == []
    await outbox.run("UPDATE deliveries SET revise_lease = now() WHERE revise_lease IS NOT NULL")
    async with relay(outbox).running():
        await settled(outbox)
    assert await updates(outbox) == ["2500.00 EURT for rita: approved by alice"]


async def test_two_relays_update_each_message_once(outbox):
    """What one holds the other passes by."""
    requests = await sent(outbox, 40)
    for request in requests:
        await step(outbox, request, approve)
    async with relay(outbox).running(), relay(outbox).running():
        await settled(outbox)
    assert await updates(outbox) == ["2500.00 EURT for rita: approved by alice"] * 40
    assert len({m["updates"] for m in await outbox.received() if m["updates"]}) == 40


async def test_a_change_during_the_update_is_not_lost(outbox):
    """It expires while Slack is told that somebody is on it: that is told next, and is what stays."""
    [request] = await sent(outbox)
    await acknowledge(outbox, request)
    await outbox.fault(kind="slow", seconds=1)
    async with relay(outbox).running(), relay(outbox).running():
        await outbox.until_fault_met()
        await step(outbox, request, acts.expire)
        await settled(outbox)
    assert [line.partition(": ")[2].split(" since")[0] for line in await updates(outbox)] == [
        "#mint is on it",
        "expired",
    ]


async def pager(outbox):
    """The Slack channel becomes PagerDuty, for two stages of a request that are both out."""
    async with outbox.database.transaction() as tx:
        await dictionaries.set_channel(tx, name="slack-mint", kind="pagerduty", settings={}, **BY)
    [request] = await outbox.open()
    async with outbox.database.transaction() as tx:
        await acts.run_stage(tx, await reads.lock_request(tx, request.id))
    async with relay(outbox).running(), asyncio.timeout(PATIENCE):
        while len(await outbox.received()) < 2:
            await asyncio.sleep(0.02)
        while await unsettled(outbox):
            await asyncio.sleep(0.02)
    return request


async def unsettled(outbox):
    """Whether something is still to be sent."""
    async with outbox.database.transaction() as tx:
        return await tx.scalar(
            text("SELECT count(*) FROM deliveries WHERE state NOT IN ('accepted', 'skipped')")
        )


async def test_an_incident_is_acknowledged_and_resolved_once(outbox):
    """Two stages, one incident: one `acknowledge`, one `resolve`, and nothing about what follows."""
    request = await pager(outbox)
    async with outbox.database.transaction() as tx:
        await tx.execute(
            text("UPDATE deliveries SET recipient = '#mint' WHERE stage = 0 AND channel_kind = 'pagerduty'")
        )
    await acknowledge(outbox, request)
    async with relay(outbox).running(), relay(outbox).running():
        await settled(outbox)
        await step(outbox, request, approve)
        await settled(outbox)
        record = await step(outbox, request, submit)
        await step(outbox, request, submissions_conclude, result=confirmed(record))
        await settled(outbox)
    events = [m["subject"] for m in await outbox.received()]
    assert [event.partition(":")[0] for event in events] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert {m["updates"] for m in await outbox.received()} == {"", request.id}


async def test_a_digest_keeps_what_it_says_of_the_others(outbox):
    """Two requests in one message after quiet hours: one is approved, the other can still be acknowledged."""
    first, second = await outbox.open(2)
    await outbox.run(
        "UPDATE deliveries SET state = 'deferred', deferred_until = '2026-01-01T00:00Z', "
        "next_attempt_at = now() WHERE channel_kind = 'slack'"
    )
    async with relay(outbox).running():
        await outbox.until("accepted")
        await step(outbox, first, approve)
        await settled(outbox)
    original, update = await outbox.received()
    assert original["text"].count("/acks/") == 2
    assert update["updates"] == original["id"]
    assert update["text"].count("/acks/") == 1
    assert "approved by alice" in update["text"]
    assert "waits for a decision" in update["text"]
    assert second.id in update["text"]


async def test_a_claim_whose_message_changed_meanwhile_leaves_it_marked(outbox):
    """Settled with the moment it was taken for; a newer one stays."""
    [request] = await sent(outbox)
    await acknowledge(outbox, request)
    async with outbox.database.transaction() as tx:
        [message] = await revisions.claim_due(tx, limit=5, lease_seconds=60, now=datetime.now(UTC))
        assert await revisions.claim_due(tx, limit=5, lease_seconds=60, now=datetime.now(UTC)) == []
    await step(outbox, request, acts.expire)
    async with outbox.database.transaction() as tx:
        await revisions.revised(tx, [message], datetime.now(UTC))
    assert await marks(outbox) == 1


async def test_an_unreachable_database_is_waited_for(outbox, caplog):
    """The reviser says so, and goes on when it is back."""
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    reviser = Reviser(nowhere, build_channels(ChannelSettings()), Links("", "", "default"))
    async with reviser.running(), asyncio.timeout(PATIENCE):
        while not any("wait for the database" in line for line in caplog.messages):
            await asyncio.sleep(0.02)
    await nowhere.close()
