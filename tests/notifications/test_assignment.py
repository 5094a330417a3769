"""Providers that fail while a sweep assigns: every message arrives once, whatever came in between."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from sandbox.providers import running_providers
from tests.db.factories import open_one
from tests.support.outbox import PATIENCE, Outbox
from tests.support.sweeping import hire, one_pass, only, run

WANTED = ("assigned", "unassigned")
RETRY_NOW = """
UPDATE deliveries SET next_attempt_at = now() WHERE id IN (SELECT id FROM deliveries
    WHERE next_attempt_at > now() AND lease_until IS NULL FOR UPDATE SKIP LOCKED)
"""


@pytest.fixture
async def outbox(seeded):
    """An empty console; the demo topics wait an hour, and alice alone works."""
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    await only(seeded.database, "alice", "rita", "lena")
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


def relay(outbox):
    """A relay that delivers over Slack and SendGrid."""
    mail = {"sendgrid_host": f"{outbox.url}/sendgrid", "email_from": "mint@acme.example"}
    return outbox.relay(outbox.channels(sendgrid_api_key="SG.local", **mail))


async def until_delivered(outbox, count):
    """Wait until so many messages of a sweep are accepted, hastening every retry; their rows."""
    query = "SELECT id, state, channel_kind, attempt FROM deliveries WHERE kind = ANY (:kinds) ORDER BY id"
    async with asyncio.timeout(PATIENCE):
        while True:
            # a retry need not wait, but what is being sent keeps its lease
            await run(outbox.database, RETRY_NOW)
            async with outbox.database.transaction() as tx:
                rows = (await tx.execute(text(query), {"kinds": list(WANTED)})).all()
            if len(rows) == count and all(row.state in ("accepted", "delivered") for row in rows):
                return rows
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["500", "429", "drop"])
async def test_a_provider_that_fails_during_a_sweep_neither_loses_nor_doubles(outbox, kind):
    """Six are due, the last three have nobody: each email and each alert is accepted exactly once."""
    now = datetime.now(UTC)
    await run(outbox.database, "UPDATE users SET max_load = 3 WHERE name = 'alice'")
    async with outbox.database.transaction() as tx:
        for _ in range(6):
            await open_one(tx, at=now - timedelta(hours=2))
    # what the requests themselves had to say is of no interest here
    await run(outbox.database, "DELETE FROM delivery_attempts; DELETE FROM deliveries")
    for provider in ("slack", "sendgrid"):
        await outbox.fault(provider=provider, kind=kind, count=2)
    async with relay(outbox).running():
        reports = [await one_pass(outbox.database, now + timedelta(seconds=second)) for second in range(3)]
        # three assigned: app and email; three with nobody: app, email and Slack
        rows = await until_delivered(outbox, 3 * 2 + 3 * 3)
        await outbox.until_fault_met()
    assert [answer.report.assigned for answer in reports] == [3, 0, 0]
    assert [answer.report.nobody for answer in reports] == [3, 3, 3]
    sent = sorted(row.id for row in rows if row.channel_kind != "in-app")
    assert sorted(message["delivery_id"] for message in await outbox.received()) == sent


async def test_a_message_whose_sweep_rolled_back_is_never_sent(outbox):
    """The relay runs beside it and sees nothing: what failed is told when it is assigned, once."""
    now = datetime.now(UTC)
    await hire(outbox.database, "bert")
    async with outbox.database.transaction() as tx:
        await open_one(tx, at=now - timedelta(hours=2))
    await run(outbox.database, "DELETE FROM delivery_attempts; DELETE FROM deliveries")
    await run(
        outbox.database,
        """CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.kind = 'assignment.automatic' THEN RAISE 'spoiled'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER spoil BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION spoil()""",
    )
    async with relay(outbox).running():
        try:
            assert (await one_pass(outbox.database, now)).report.failed == 1
            await run(outbox.database, "NOTIFY mintkeeper_deliveries")
            assert await outbox.received() == []
        finally:
            await run(outbox.database, "DROP TRIGGER spoil ON audit_events; DROP FUNCTION spoil()")
        assert (await one_pass(outbox.database, now)).report.assigned == 1
        await until_delivered(outbox, 2)
    [message] = await outbox.received()
    assert message["to"] in ("alice@acme.example", "bert@acme.example")
