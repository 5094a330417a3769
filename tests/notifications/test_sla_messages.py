"""SLA_OVERDUE on its way to the providers: none is lost, none comes twice, and it says what is late."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from db import reads
from db.writes.sla import raise_overdue
from sandbox.providers import running_providers
from tests.db.sla import alert, no_terms, overdue_at, transition
from tests.support.outbox import PATIENCE, Outbox


@pytest.fixture
async def outbox(seeded):
    """An outbox with a request that falls overdue in five hours; its first notice is sent."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        await no_terms(opened.database)
        async with opened.database.transaction() as tx:
            await transition(tx, 5)
        await opened.open()
        async with opened.relay().running():
            await opened.until("accepted")
        await http.delete("/messages")
        yield opened
        await opened.close()


def later():
    """When the request is overdue."""
    return datetime.now(UTC) + timedelta(hours=5, minutes=1)


async def alert_now(outbox, at):
    """Alert as a check of that moment does; its messages are due at once."""
    runs = await alert(outbox.seeded, at)
    await outbox.run(
        "UPDATE deliveries SET due_at = now(), next_attempt_at = now() "
        "WHERE kind = 'event_overdue' AND next_attempt_at IS NOT NULL"
    )
    return runs


async def sent(outbox):
    """What arrived for Slack about overdue requests."""
    return [message for message in await outbox.received() if message["to"] == "#treasury-leads"]


async def until_sent(outbox):
    """Let retries come at once until it has arrived."""
    async with asyncio.timeout(PATIENCE):
        while not await sent(outbox):
            await outbox.hasten_retries()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", [{"kind": "500"}, {"kind": "429", "retry_after": 1}], ids=["500", "429"])
async def test_a_provider_that_fails_during_the_sweep_loses_and_doubles_nothing(outbox, fault):
    """It fails while the checks go on alerting: the delivery is tried again, and comes once."""
    at = later()
    await outbox.fault(**fault)
    async with outbox.relay().running():
        await alert_now(outbox, at)
        await outbox.run("NOTIFY mintkeeper_deliveries")
        await outbox.until_fault_met()
        assert await alert(outbox.seeded, at + timedelta(minutes=5)) == []
        await until_sent(outbox)
        assert await alert(outbox.seeded, at + timedelta(minutes=10)) == []
        await outbox.hasten_retries()
    [message] = await sent(outbox)
    assert message["text"].count("Longer in PENDING than its SLA allows") == 1


async def test_a_rollback_sends_nothing(outbox):
    """The relay sees no row of a transaction that did not last, and the next check sends it."""
    at = later()
    [stay] = await overdue_at(outbox.seeded, at)
    async with outbox.relay().running():
        with pytest.raises(RuntimeError):
            async with outbox.database.transaction() as tx:
                await raise_overdue(tx, stay, at)
                raise RuntimeError
        await outbox.run("NOTIFY mintkeeper_deliveries")
        assert await sent(outbox) == []
        await alert_now(outbox, at)
        await outbox.run("NOTIFY mintkeeper_deliveries")
        await until_sent(outbox)
    async with outbox.database.transaction() as tx:
        told = text("SELECT count(*) FROM notifications WHERE event = 'SLA_OVERDUE' AND recipient = 'lena'")
        assert await tx.value(told) == 1
    assert len(await sent(outbox)) == 1


async def test_what_is_over_before_it_is_sent_is_not_sent(outbox):
    """Held back while the request is cancelled: nobody needs to hear that it was late."""
    await alert_now(outbox, later())
    [request] = [row.request_id for row in await outbox.rows() if row.kind == "event_overdue"]
    async with outbox.database.transaction() as tx:
        record = await reads.request(tx, request)
    await outbox.cancel(record.request)
    async with outbox.relay().running():
        await outbox.run("NOTIFY mintkeeper_deliveries")
        async with asyncio.timeout(PATIENCE):
            while (row := await overdue_row(outbox)).state in ("pending", "sending"):
                await asyncio.sleep(0.02)
    assert (row.state, row.note) == ("skipped", "the request is CANCELLED")
    assert await sent(outbox) == []


async def overdue_row(outbox):
    """The row for Slack about the overdue request."""
    [row] = [row for row in await outbox.rows() if row.kind == "event_overdue"]
    return row
