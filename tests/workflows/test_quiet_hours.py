"""Stages that fall due in quiet hours, on a real server whose clock is moved per workflow."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from db.writes import dictionaries, publication
from domain.escalation import EscalationPolicy, Grants, Notify, Stage
from domain.mint_request import MintStatus
from domain.quiet_hours import DAYS, QuietHours
from sandbox.providers import running_providers
from tests.support.outbox import Outbox
from tests.workflows.test_acks import acknowledge

HOUR = timedelta(hours=1)


@pytest.fixture
async def outbox(skipping_desk):
    """The desk's outbox with the provider console behind it."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(skipping_desk.seeded, url, http)
        yield opened
        await opened.close()


async def publish(desk):
    """A reminder at 4 h and an escalation at 23 h, an hour before the expiry, both to Slack."""
    policy = EscalationPolicy(
        id="acme-quiet",
        tenant="acme",
        name="quiet",
        stages=[
            Stage(delay_seconds=0, channels=["in-app"]),
            Stage(delay_seconds=4 * 3600, channels=["slack-mint"], template="reminder"),
            Stage(
                delay_seconds=23 * 3600,
                channels=["slack-mint"],
                notify=Notify(tier=2),
                grants=Grants(tier=2),
                template="escalation",
            ),
        ],
        auto_close_minutes=24 * 60,
    )
    async with desk.seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))
    return policy


async def be_quiet(desk, *windows):
    """Quiet hours of the tenant, from and to so many hours from now."""
    now = datetime.now(UTC)
    hours = QuietHours.parse(
        [
            {
                "days": list(DAYS),
                "from": f"{now + begin * HOUR:%H:%M}",
                "to": f"{now + end * HOUR:%H:%M}",
                "zone": "UTC",
            }
            for begin, end in windows
        ]
    )
    async with desk.seeded.database.transaction() as tx:
        await dictionaries.set_tenant_quiet_hours(tx, tenant="acme", hours=hours, actor="adam", at=now)


async def reminded(desk, policy):
    """A request whose reminder has just fallen due."""
    ticket = await desk.submit(policy=policy)
    await desk.until_status(ticket, MintStatus.PENDING)
    await desk.env.fast_forward(ticket.handle, 4 * HOUR)
    await desk.until(ticket, lambda record: record.next_stage == 2)
    return ticket


async def states(desk, ticket, stage):
    """The states of a stage's messages to the approvers' Slack channel."""
    query = text(
        "SELECT state, deferred_until FROM deliveries WHERE request_id = :id AND stage = :stage "
        "AND target = '#mint'"
    )
    async with desk.seeded.database.transaction() as tx:
        return (await tx.execute(query, {"id": ticket.id, "stage": stage})).all()


async def test_a_night_with_an_ack_two_without_and_an_urgent_one(skipping_desk, outbox):
    """Deferred, acknowledged: nothing; not acknowledged: one message in the morning; urgent: at once."""
    desk = skipping_desk
    await be_quiet(desk, (3, 6), (22, 23.5))
    policy = await publish(desk)
    async with desk.worker():
        on_it, *waiting = [await reminded(desk, policy) for _ in range(3)]
        for ticket in (on_it, *waiting):
            [row] = await states(desk, ticket, 1)
            assert row.state == "deferred"
            assert row.deferred_until > (await desk.record(ticket)).created_at + 5 * HOUR
        await acknowledge(desk, on_it, stage=1)
        [row] = await states(desk, on_it, 1)
        assert row.state == "skipped"
        async with outbox.relay().running():
            await outbox.hasten()
            await until_settled(outbox)
            await outbox.hasten()
        [to_approvers, to_leads] = sorted(await outbox.received(), key=lambda message: message["to"])
        assert (to_approvers["to"], to_leads["to"]) == ("#mint", "#treasury-leads")
        for message in (to_approvers, to_leads):
            assert all(ticket.id in message["text"] for ticket in waiting)
            assert on_it.id not in message["text"]

        [urgent, _] = waiting
        await desk.env.fast_forward(urgent.handle, 19 * HOUR)
        await desk.until(urgent, lambda record: record.next_stage == 3)
        assert [(row.state, row.deferred_until) for row in await states(desk, urgent, 2)] == [
            ("pending", None)
        ]
        async with outbox.relay().running():
            await outbox.hasten()
            await until_settled(outbox)
        later = [message for message in await outbox.received() if "Escalated" in message["text"]]
        assert len(await outbox.received()) == 4
        assert all(urgent.id in message["text"] for message in later)


async def until_settled(outbox):
    """Wait until no message waits any more."""
    async with asyncio.timeout(30):
        while any(row.state not in ("accepted", "skipped") for row in await outbox.rows()):
            await asyncio.sleep(0.02)
