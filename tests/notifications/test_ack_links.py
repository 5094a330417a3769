"""The link by which a recipient says "I am on it": in which messages it is, and where it never is."""

import logging
import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from activities.notifications.asking import FRESH_SECONDS
from activities.notifications.letter import Links
from activities.notifications.sending import Claimed
from db import reads
from db.writes.acks import record_ack
from db.writes.requests import report_stalled
from domain.ack import NO_AUTHORITY, decode, token_sha256
from domain.records import DeliveryState
from sandbox.providers import running_providers
from tests.notifications.test_outcome import NOW, a_job
from tests.support.acks import AUTHORITY, claim_for
from tests.support.outbox import Outbox

LINKS = Links("https://mint.example/", "", "default", AUTHORITY)
LINK = re.compile(r"http://127\.0\.0\.1:8080/acks/([A-Za-z0-9_-]+)")


def stage_job(**changed):
    """The message of the first stage."""
    return a_job(**{"stage": 0, "id": "a" * 64} | changed)


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


async def acknowledge(outbox, request):
    """Somebody is on it."""
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        claim = await claim_for(outbox.database, request.id)
        await record_ack(tx, record=record, claim=claim, token_sha256="0" * 64, at=datetime.now(UTC))


@pytest.mark.parametrize("kind", ["opened", "reminder", "escalation"])
def test_messages_of_stages_carry_a_link(kind):
    """Its token is for this recipient, this message, this stage."""
    link = LINKS.acknowledge(stage_job(kind=kind, stage=2), NOW)
    base, _, token = link.rpartition("/")
    assert base == "https://mint.example/acks"
    claim = AUTHORITY.verify(decode(token))
    assert (claim.sub, claim.delivery_id, claim.stage) == ("#mint", "a" * 64, 2)
    assert claim.expires_utc == NOW + timedelta(hours=24)


@pytest.mark.parametrize(
    ("links", "changes"),
    [
        (LINKS, {"kind": "stalled"}),
        (LINKS, {"kind": "confirmed", "stage": None}),
        (LINKS, {"kind": "opened", "stage": None}),
        (LINKS, {"expires_at": NOW}),
        (LINKS, {"ack_revoked": True}),
        (Links("https://mint.example", "", "default", NO_AUTHORITY), {}),
        (Links("", "", "default", AUTHORITY), {}),
    ],
)
def test_other_messages_carry_none(links, changes):
    """Nor does any without a key, without a public address, or after the end."""
    assert links.acknowledge(stage_job(**changes), NOW) == ""


async def test_the_link_is_in_what_the_provider_gets(outbox, caplog):
    """And nowhere else: not in a row of the database, not in a log."""
    caplog.set_level(logging.DEBUG)
    [request] = await outbox.open()
    async with outbox.relay(authority=AUTHORITY).running():
        [row] = await outbox.until("accepted")
    [message] = await outbox.received()
    [token] = set(LINK.findall(message["text"]))
    claim = AUTHORITY.verify(decode(token))
    assert (claim.request_id, claim.delivery_id, claim.sub) == (request.id, row.id, "#mint")
    assert token not in caplog.text
    assert token not in await everything(outbox.database)


async def everything(database):
    """Every row of every table, as text."""
    async with database.transaction() as tx:
        tables = (await tx.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        rows = [
            str(row)
            for table in tables
            for row in await tx.execute(text(f'SELECT CAST(t AS text) FROM "{table}" t'))
        ]
    assert len(rows) > 20
    return "\n".join(rows)


async def test_a_message_sent_twice_brings_two_links_of_one_identity(outbox):
    """The answer of the first attempt was lost: both links are good, and they are one acknowledgement."""
    await outbox.open()
    async with outbox.relay(authority=AUTHORITY).running():
        await outbox.until("accepted")
        # as if the first answer had been lost
        await outbox.run(
            "UPDATE deliveries SET state = 'ambiguous', accepted_at = NULL, next_attempt_at = now() "
            "WHERE channel_kind = 'slack'"
        )
        await outbox.until("accepted", attempt=2)
    tokens = [token for message in await outbox.received() for token in LINK.findall(message["text"])[:1]]
    claims = [AUTHORITY.verify(decode(token)) for token in tokens]
    assert len(claims) == 2
    assert {claim.jti for claim in claims} == {claims[0].jti}


async def test_a_channel_that_is_a_log_gets_no_link(outbox, caplog):
    """Slack is not configured: the message goes to the log, its token would too."""
    caplog.set_level(logging.INFO, logger="mintkeeper.console")
    await outbox.open()
    async with outbox.relay(outbox.channels(slack_bot_token=None), authority=AUTHORITY).running():
        await outbox.until("accepted")
    assert "[SLACK MOCK]" in caplog.text
    assert "/acks/" not in caplog.text


async def test_nothing_is_sent_once_somebody_is_on_it(outbox):
    """What waits is skipped with the ack, and says why."""
    [request] = await outbox.open()
    await acknowledge(outbox, request)
    async with outbox.relay(authority=AUTHORITY).running():
        [row] = await outbox.until("skipped", attempt=0)
    assert row.note == "#mint is on it"
    assert await outbox.received() == []


async def test_a_claimed_message_is_checked_again_before_it_is_sent(outbox):
    """The ack came between the claim and the call."""
    [request] = await outbox.open()
    [job] = await outbox.claim()
    await acknowledge(outbox, request)
    old = Claimed(job, since=Claimed(job).since - FRESH_SECONDS)
    [said] = await outbox.sender().deliver(old)
    assert (said.state, said.text) == (DeliveryState.SKIPPED, "somebody is on it")
    assert await outbox.received() == []


async def test_a_dead_message_that_is_revived_stays_unsent(outbox):
    """`deliveries retry` does not reach past an ack, which the claim itself sees."""
    [request] = await outbox.open()
    await acknowledge(outbox, request)
    await outbox.run(
        "UPDATE deliveries SET state = 'pending', next_attempt_at = now() WHERE state = 'skipped'"
    )
    [job] = await outbox.claim()
    assert job.unwanted == "somebody is on it"
    [said] = await outbox.sender().deliver(Claimed(job))
    assert said.state is DeliveryState.SKIPPED


async def test_an_alert_to_the_leads_is_sent_though_somebody_is_on_it(outbox):
    """The audit's alert belongs to no stage; an ack does not silence it."""
    [request] = await outbox.open()
    await acknowledge(outbox, request)
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        await report_stalled(
            tx, record=record, step="audit.late:9", kind="audit.late", message="late", at=datetime.now(UTC)
        )
    jobs = [job for job in await outbox.claim() if job.channel_kind == "slack"]
    assert [job.kind for job in jobs] == ["stalled"]
    [said] = await outbox.sender().deliver(Claimed(jobs[0]))
    assert said.state is DeliveryState.ACCEPTED


async def attempt_hashes(outbox):
    """The stored hash of every attempt for Slack, in order."""
    return [attempt.ack_sha256 for attempt in await outbox.attempts()]


async def test_every_attempt_that_carried_a_link_leaves_its_hash(outbox):
    """Refused for now, then accepted: the hash of each, taken from what was really sent."""
    await outbox.open()
    await outbox.fault(kind="500", count=1)
    async with outbox.relay(authority=AUTHORITY).running():
        await outbox.until("failed")
        await outbox.hasten()
        await outbox.until("accepted", attempt=2)
    [message] = await outbox.received()
    [token] = set(LINK.findall(message["text"]))
    first, second = await attempt_hashes(outbox)
    assert second == token_sha256(decode(token))
    # within one second the second token is the first one again
    assert re.fullmatch("[0-9a-f]{64}", first)


async def test_a_message_without_a_link_leaves_no_hash(outbox):
    """There is no authority key, so nothing was signed."""
    await outbox.open()
    async with outbox.relay().running():
        await outbox.until("accepted")
    assert await attempt_hashes(outbox) == [None]
