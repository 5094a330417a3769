"""`acknowledge_as`: somebody whom we know says that they are on it, without a link."""

import asyncio

import pytest

from domain.approvals import Verdict
from domain.errors import AckRefused
from domain.mint_request import MintStatus
from starter.acks import acknowledge, acknowledge_as
from tests.support.acks import AUTHORITY, token_for
from tests.support.talk import run

DIRECT = (
    "UPDATE deliveries SET channel = 'email', channel_kind = 'email', recipient = 'alice', "
    "target = 'alice@example.test' WHERE channel_kind = 'slack'"
)
OLD = (
    "UPDATE deliveries SET accepted_at = now() - interval '25 h', state = 'accepted', "
    "next_attempt_at = NULL, lease_until = NULL"
)


async def on_it(desk, ticket, name):
    """What `name` gets for saying it now."""

    async def connect():
        return desk.client

    record = await desk.record(ticket)
    return await acknowledge_as(connect, desk.seeded.database, AUTHORITY, record, name)


async def acks(desk, ticket):
    """The audit's acknowledgements."""
    return [event for event in await desk.audit(ticket) if event["kind"] == "ack"]


async def test_an_approver_speaks_with_a_groups_message(desk, pending):
    """In their own name; the audit says whom the message had been sent to."""
    receipt = await on_it(desk, pending, "carol")
    assert (receipt.acknowledged_by, receipt.request_id) == ("carol", pending.id)
    [ack] = await acks(desk, pending)
    assert (ack["actor"], ack["details"]["sentTo"]) == ("carol", "#mint")
    assert (await desk.record(pending)).acknowledged_by == "carol"


async def test_again_is_the_same_receipt(desk, pending):
    """Pressed twice, one after the other: one acknowledgement."""
    first = await on_it(desk, pending, "bob")
    assert await on_it(desk, pending, "bob") == first
    assert len(await acks(desk, pending)) == 1


async def test_two_at_once_are_one(desk, pending):
    """A doubled click reaches the workflow twice: one receipt for both."""
    first, second = await asyncio.gather(*(on_it(desk, pending, "bob") for _ in range(2)))
    assert first == second
    assert len(await acks(desk, pending)) == 1


async def test_ones_own_message_goes_before_a_groups(desk, pending):
    """Who was told by name needs no group."""
    receipt = await on_it(desk, pending, "alice")
    [ack] = await acks(desk, pending)
    assert (receipt.acknowledged_by, ack["details"]["sentTo"]) == ("alice", "alice")


@pytest.mark.parametrize("name", ["rita", "adam", "nobody", "x' OR true --"])
async def test_who_is_no_approver_and_was_not_told_is_refused(desk, pending, name):
    """The client, an admin, a stranger: nothing is recorded."""
    with pytest.raises(AckRefused, match="claim it instead"):
        await on_it(desk, pending, name)
    assert (await desk.record(pending)).acknowledged_at is None


async def test_somebody_elses_message_is_no_way_in(desk, pending):
    """A message to alice alone lets carol say nothing."""
    await run(desk.seeded.database, DIRECT)
    with pytest.raises(AckRefused, match="claim it instead"):
        await on_it(desk, pending, "carol")


async def test_who_has_left_is_refused(desk, pending):
    """Deactivated meanwhile."""
    await run(desk.seeded.database, "UPDATE users SET active = false WHERE name = 'bob'")
    with pytest.raises(AckRefused):
        await on_it(desk, pending, "bob")


async def test_revoked_messages_do_not_count(desk, pending):
    """What an operator has made worthless stays so."""
    await run(
        desk.seeded.database, "UPDATE deliveries SET ack_revoked_at = now() WHERE channel_kind = 'slack'"
    )
    with pytest.raises(AckRefused, match="claim it instead"):
        await on_it(desk, pending, "carol")


async def test_somebody_else_is_on_it_already(desk, pending):
    """The second one hears who was first, by whichever way that was."""
    token = await token_for(desk.seeded.database, pending.id)
    await acknowledge(lambda: asyncio.sleep(0, desk.client), desk.seeded.database, AUTHORITY, token)
    with pytest.raises(AckRefused, match="is on it already"):
        await on_it(desk, pending, "bob")


async def test_a_decided_request_is_over(desk, pending):
    """Nothing is left to acknowledge."""
    await desk.decide(pending, "bob", Verdict.REJECT, reason="wrong account")
    with pytest.raises(AckRefused, match="REJECTED already"):
        await on_it(desk, pending, "alice")


async def test_an_old_message_is_good_enough_for_who_is_known(desk, pending):
    """A link is good for 24 h since it may leak; a person who asks now is asked nothing of that."""
    await run(desk.seeded.database, OLD)
    assert (await on_it(desk, pending, "bob")).acknowledged_by == "bob"


async def test_without_a_worker_it_is_left_with_the_workflow(desk):
    """None now; it takes effect once a worker runs."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
    assert await on_it(desk, ticket, "bob") is None
    async with desk.worker():
        assert (await desk.until(ticket, lambda one: one.acknowledged_by)).acknowledged_by == "bob"
