"""Authority on loan in the whole life of a request: real server, real database."""

from domain.approvals import Verdict
from domain.mint_request import MintStatus
from tests.support.absences import call_back, send_away

TWO_APPROVALS = 200_000_000_000
"""Stroops: two approvals, one of tier 2 or above."""


async def test_the_delegates_approval_counts_with_the_tier_until_the_absence_ends(desk):
    """Carol (tier 2) is away and bob (tier 1) stands in; after `absence end` he is of tier 1 again."""
    async with desk.worker():
        absence = await send_away(desk.seeded, "carol", "bob")
        ticket = await desk.submit(amount=TWO_APPROVALS)
        assert (await desk.decide(ticket, "alice")).missing_tier == 2
        refused = await desk.decide(ticket, "carol")
        assert (refused.accepted, refused.reason) == (False, "delegated")
        assert (await desk.decide(ticket, "bob")).status == MintStatus.APPROVED
        record = await desk.record(ticket)
        assert [(one.approver, one.on_behalf_of, one.tier) for one in record.approvals] == [
            ("alice", None, 1),
            ("bob", "carol", 2),
        ]
        await call_back(desk.seeded, absence)
        other = await desk.submit(amount=TWO_APPROVALS)
        await desk.decide(other, "alice")
        assert (await desk.decide(other, "bob")).missing_tier == 2
        assert (await desk.decide(other, "carol")).status == MintStatus.APPROVED


async def test_a_delegate_mints_on_the_ledger(minting_desk):
    """The payment of a request that was approved on somebody's behalf lands like any other."""
    desk = minting_desk
    async with desk.worker():
        await send_away(desk.seeded, "carol", "bob", by="adam", reason="ill")
        ticket = await desk.submit(amount=TWO_APPROVALS)
        await desk.decide(ticket, "alice")
        await desk.decide(ticket, "bob")
        assert (await ticket.handle.result()).status is MintStatus.CONFIRMED
    assert await desk.ledger.balance() == TWO_APPROVALS


async def test_a_delegates_rejection_ends_the_request(desk):
    """A veto for somebody is a veto."""
    async with desk.worker():
        await send_away(desk.seeded, "carol", "bob")
        ticket = await desk.submit(amount=TWO_APPROVALS)
        await desk.decide(ticket, "bob", Verdict.REJECT)
        assert (await ticket.handle.result()).status is MintStatus.REJECTED


async def test_a_decision_sent_again_after_the_absence_gets_its_first_answer(desk):
    """What has taken effect stays, whoever has the authority now."""
    async with desk.worker():
        absence = await send_away(desk.seeded, "carol", "bob")
        ticket = await desk.submit(amount=TWO_APPROVALS)
        signed = desk.sign(ticket, "bob", decision_id="dc_lent-once")
        await desk.until_status(ticket, MintStatus.PENDING)
        await ticket.handle.signal("approve", signed)
        await desk.until(ticket, lambda record: record.approvals)
        await call_back(desk.seeded, absence)
        await ticket.handle.signal("approve", signed)
        assert (await desk.decide(ticket, "alice")).status == MintStatus.APPROVED
        assert await desk.refusals(ticket) == []
