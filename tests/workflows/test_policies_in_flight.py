"""What happens to policies changes nothing for the requests that follow them; real timers throughout."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from commands.forecasting import forecast
from db.writes import publication, withdrawal
from domain.approvals import Verdict
from domain.errors import Refused
from domain.escalation import Grants, Notify, Stage
from domain.mint_request import MintStatus
from domain.simulation import sent_at

SENT = text("""
SELECT stage, channel, recipient, time_zone, coalesce(deferred_until, due_at)
FROM deliveries WHERE request_id = :id AND stage IS NOT NULL
""")
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)


def hasty(desk):
    """A version with other delays, channels and tiers."""
    stages = [
        Stage(delay_seconds=0, channels=["in-app"], notify=Notify(tier=2), grants=Grants(tier=2)),
        Stage(
            delay_seconds=3600,
            channels=["pager-mgmt"],
            notify=Notify(tier=3),
            grants=Grants(tier=3),
            template="escalation",
        ),
    ]
    return desk.seeded.policy.model_copy(
        update={"id": "acme-mint-2", "stages": stages, "auto_close_minutes": 120}
    )


async def publish(desk, policy, *, switch=False):
    """Publish a policy and, if wanted, give it to new requests."""
    async with desk.seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=NOW)
        if switch:
            await publication.switch_policy(tx, tenant="acme", policy_id=policy.id, actor="adam", at=NOW)


async def delete(desk, policy_id):
    """Delete a policy."""
    async with desk.seeded.database.transaction() as tx:
        await withdrawal.delete_policy(tx, tenant="acme", policy_id=policy_id, actor="adam", at=NOW)


async def kinds_after(desk, ticket, hours, count):
    """Move the request's clock and wait until it has so many events."""
    await desk.env.fast_forward(ticket.handle, hours * HOUR)
    async with asyncio.timeout(30):
        while len(await desk.kinds(ticket)) < count:
            await asyncio.sleep(0.05)
    return await desk.kinds(ticket)


async def test_a_new_version_changes_nothing_for_a_request_that_runs(skipping_desk):
    """Published, switched on, the old one refused for deletion: the old delays, tiers and expiry hold."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        await publish(desk, hasty(desk), switch=True)
        with pytest.raises(Refused, match=ticket.id):
            await delete(desk, desk.seeded.policy.id)
        # the new version would have told the executives after one hour and expired after two
        assert await kinds_after(desk, ticket, 3, 2) == ["request.opened", "stage.opened"]
        assert (await desk.record(ticket)).granted_tiers == ()
        assert (await kinds_after(desk, ticket, 1, 3))[-1] == "stage.reminder"
        assert (await desk.record(ticket)).granted_tiers == (2,)
        with pytest.raises(Refused, match=ticket.id):
            await delete(desk, desk.seeded.policy.id)
        assert (await kinds_after(desk, ticket, 8, 4))[-1] == "stage.escalation"
        assert (await kinds_after(desk, ticket, 12, 5))[-1] == "request.expired"
        await ticket.handle.result()
    record = await desk.record(ticket)
    assert (record.policy, record.expires_at - record.created_at) == (desk.seeded.policy, 24 * HOUR)
    await delete(desk, desk.seeded.policy.id)
    assert (await desk.record(ticket)).policy == desk.seeded.policy


async def test_a_request_after_the_switch_follows_the_new_version(skipping_desk):
    """Both run side by side, each by its own policy."""
    desk = skipping_desk
    async with desk.worker():
        old = await desk.submit()
        await desk.until_status(old, MintStatus.PENDING)
        await publish(desk, hasty(desk), switch=True)
        new = await desk.submit(policy=hasty(desk))
        assert (await desk.until_status(new, MintStatus.PENDING)).granted_tiers == (2,)
        assert (await kinds_after(desk, new, 1, 3))[-1] == "stage.escalation"
        assert (await kinds_after(desk, new, 1, 4))[-1] == "request.expired"
        assert (await desk.record(old)).next_stage == 1
        assert (await desk.decide(old, "alice")).accepted


async def test_a_decided_request_keeps_no_policy_from_deletion(skipping_desk):
    """Its run is over; what was signed and told can still be read."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        await publish(desk, hasty(desk), switch=True)
        assert (await desk.decide(ticket, "alice", Verdict.REJECT)).accepted
        await ticket.handle.result()
    await delete(desk, desk.seeded.policy.id)
    assert (await desk.record(ticket)).policy == desk.seeded.policy


async def test_a_policy_deleted_before_the_request_is_opened_refuses_it(desk):
    """No worker was there in between: the request is refused with a clear word, and leaves nothing."""
    await publish(desk, hasty(desk))
    ticket = await desk.submit(policy=hasty(desk))
    await delete(desk, "acme-mint-2")
    async with desk.worker():
        with pytest.raises(WorkflowFailureError) as failed:
            await ticket.handle.result()
    assert "policy acme-mint-2 is deleted: submit again" in str(failed.value.cause.cause)
    assert await desk.record(ticket) is None


async def test_the_simulation_is_what_happens(skipping_desk):
    """Every message of a real run, with quiet hours: the same channel, reader and moment as foretold."""
    desk = skipping_desk
    night = '[{"days":["mon","tue","wed","thu","fri","sat","sun"],"from":"20:00","to":"08:00","zone":"%s"}]'
    async with desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE tenants SET quiet_hours = CAST(:h AS jsonb)"), {"h": night % "Asia/Tokyo"})
        await tx.run(
            text("UPDATE users SET quiet_hours = CAST(:h AS jsonb) WHERE name = 'carol'"),
            {"h": night % "America/New_York"},
        )
        await tx.run(text("UPDATE users SET email = NULL WHERE name = 'dave'"))
    async with desk.worker():
        ticket = await desk.submit()
        created_at = (await desk.until_status(ticket, MintStatus.PENDING)).created_at
        for hours, count in ((4, 3), (8, 4)):
            await kinds_after(desk, ticket, hours, count)
    async with desk.seeded.database.transaction() as tx:
        found = await forecast(
            tx, desk.seeded.policy, started_at=created_at, topic="treasury-eu", requester="rita"
        )
        rows = await tx.rows(SENT, {"id": ticket.id})
    foretold = sorted(
        (stage.stage, message.channel, message.recipient, message.time_zone, sent_at(stage, message))
        for stage in found.stages
        for message in stage.messages
    )
    assert sorted(map(tuple, rows)) == foretold
