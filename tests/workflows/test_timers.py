"""Reminder, escalation, expiry: real timers of a real server, whose clock is moved per workflow."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from domain.approvals import Verdict
from domain.mint_request import MintStatus

HOUR = timedelta(hours=1)


async def test_reminder_at_4_escalation_at_12_expiry_at_24_hours(skipping_desk):
    """Product rule A.1, with tier 2 granted at the reminder and tier 3 at the escalation."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        assert (await desk.view(ticket)).eligible_tiers == (1,)
        await desk.env.fast_forward(ticket.handle, 4 * HOUR)
        reminded = await desk.until(ticket, lambda record: record.escalation_level == 1)
        assert reminded.granted_tiers == (2,)
        await desk.env.fast_forward(ticket.handle, 8 * HOUR)
        escalated = await desk.until(ticket, lambda record: record.escalation_level == 2)
        assert escalated.granted_tiers == (2, 3)
        await desk.env.fast_forward(ticket.handle, 12 * HOUR)
        result = await ticket.handle.result()
    assert result.status is MintStatus.EXPIRED
    assert (await desk.record(ticket)).status is MintStatus.EXPIRED
    assert await desk.kinds(ticket) == [
        "request.opened",
        "stage.opened",
        "stage.reminder",
        "stage.escalation",
        "request.expired",
    ]


async def test_tier_2_may_decide_only_after_the_reminder(skipping_desk):
    """Escalation moves authority: refused at 3 h, accepted after 4 h."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        early = await desk.decide(ticket, "carol")
        assert (early.accepted, early.reason) == (False, "tier_not_eligible")
        await desk.env.fast_forward(ticket.handle, 4 * HOUR)
        await desk.until(ticket, lambda record: record.escalation_level == 1)
        late = await desk.decide(ticket, "carol")
        assert late.accepted
        assert (await desk.record(ticket)).status is MintStatus.APPROVED


async def test_a_stage_that_was_begun_early_gives_no_authority_before_its_time(desk):
    """The reminder is written seconds ahead, to be sent in time; tier 2 still waits for the 4 h."""
    due = datetime.now(UTC) + timedelta(seconds=10)
    async with desk.worker():
        ticket = await desk.submit(created_at=due - 4 * HOUR)
        await desk.until(ticket, lambda record: record.next_stage == 2)
        early = await desk.decide(ticket, "carol")
        assert (early.accepted, early.reason) == (False, "tier_not_eligible")
        assert (await desk.view(ticket)).eligible_tiers == (1,)
        async with desk.seeded.database.transaction() as tx:
            rows = await tx.execute(
                text("SELECT next_attempt_at FROM deliveries WHERE kind = 'reminder' AND state = 'pending'")
            )
            assert {row.next_attempt_at for row in rows} == {due}
        await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
        assert (await desk.decide(ticket, "carol")).accepted


async def test_an_approval_sent_in_time_but_read_after_the_deadline_never_mints(desk):
    """Workers are down across the 24 h mark; signals are applied before timers, and yet it expires."""
    almost_over = datetime.now(UTC) - 24 * HOUR + timedelta(seconds=6)
    async with desk.worker():
        ticket = await desk.submit(created_at=almost_over)
        await desk.until(ticket, lambda record: record.next_stage == 3)
    await ticket.handle.signal("approve", desk.sign(ticket, "alice"))
    await asyncio.sleep((almost_over + 24 * HOUR - datetime.now(UTC)).total_seconds() + 0.2)
    async with desk.worker():
        result = await ticket.handle.result()
    assert result.status is MintStatus.EXPIRED
    assert await desk.refusals(ticket) == ["expired"]
    assert (await desk.record(ticket)).approvals == ()


async def test_missed_stages_run_in_order_and_once(desk):
    """Nobody worked for 13 h: reminder and escalation both run, and authority has moved."""
    async with desk.worker():
        ticket = await desk.submit(created_at=datetime.now(UTC) - 13 * HOUR)
        record = await desk.until(ticket, lambda record: record.next_stage == 3)
        assert (await desk.view(ticket)).next_timer["name"] == "expiry"
    assert record.granted_tiers == (2, 3)
    stages = [event for event in await desk.audit(ticket) if event["kind"].startswith("stage.")]
    assert [event["details"]["stage"] for event in stages] == [0, 1, 2]


async def test_a_request_whose_worker_first_ran_after_its_deadline_expires(desk):
    """Submitted while no worker ran for a day: opened, then expired, never approvable."""
    ticket = await desk.submit(created_at=datetime.now(UTC) - 25 * HOUR)
    await ticket.handle.signal("approve", desk.sign(ticket, "alice"))
    async with desk.worker():
        result = await ticket.handle.result()
    assert result.status is MintStatus.EXPIRED
    assert await desk.refusals(ticket) == ["expired"]


async def test_rejection_ends_the_request_and_its_timers(skipping_desk):
    """One valid rejection is the end; the clock runs on and nothing more happens."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        outcome = await desk.decide(ticket, "bob", Verdict.REJECT, reason="wrong account")
        assert outcome.accepted
        result = await ticket.handle.result()
    assert (result.status, result.reason) == (MintStatus.REJECTED, "wrong account")
