"""Cancelling and resuming a run's stages: signed, once, by those who may, and never more than the stages."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.approvals import Verdict
from domain.commands import CommandAction
from domain.errors import InvalidInput, NotFound, NotOpen, Refused
from domain.mint_request import MintStatus
from domain.runs import RunState
from tests.support.commands import a_command, command, raw_command
from tests.support.events import messages_of, raised, rule_for, run_of, until_run
from tests.workflows.test_acks import acknowledge

HOUR = timedelta(hours=1)
RESUME = CommandAction.RESUME_ESCALATION


@pytest.fixture
async def running(desk, pending):
    """The run of an event whose first stage has told its people."""
    await desk.decide(pending, "alice")
    await rule_for(desk)
    run_id = (await raised(desk, pending)).run_id
    await until_run(desk, run_id, lambda run: run.next_stage > 0)
    return run_id


async def test_a_cancelled_run_sends_no_stage_and_the_request_still_expires(skipping_desk):
    """No reminder, no escalation, no tier granted, no message; at 24 h it expires."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        assert (await command(desk, ticket.id)).accepted
        assert (await desk.view(ticket)).next_timer["name"] == "expiry"
        await desk.env.fast_forward(ticket.handle, 24 * HOUR)
        assert (await ticket.handle.result()).status is MintStatus.EXPIRED
    assert await desk.kinds(ticket) == [
        "request.opened",
        "stage.opened",
        "escalation.cancelled",
        "request.expired",
    ]
    [event] = [event for event in await desk.audit(ticket) if event["kind"] == "escalation.cancelled"]
    assert (event["actor"], event["details"]["reason"]) == ("adam", "handled by phone")


async def test_a_resumed_run_goes_on_with_the_stage_that_is_due(skipping_desk):
    """Cancelled at the start, resumed at 5 h: the reminder of 4 h goes out at once, with its tier."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        await command(desk, ticket.id)
        await desk.env.fast_forward(ticket.handle, 5 * HOUR)
        # its workflow's clock is five hours ahead of ours
        told = a_command(desk, ticket.id, action=RESUME, issued_at=datetime.now(UTC) + 5 * HOUR)
        assert (await raw_command(desk, ticket.id, told)).accepted
        record = await desk.until(ticket, lambda record: record.next_stage == 2)
    assert record.granted_tiers == (2,)
    assert record.escalation_cancelled_by is None


async def test_an_ack_can_be_taken_back(desk, pending):
    """Acknowledged by mistake, or with a leaked link: the stages come again."""
    await acknowledge(desk, pending)
    assert (await desk.view(pending)).next_timer["name"] == "expiry"
    await command(desk, pending.id, by="alice", action=RESUME)
    view = await desk.view(pending)
    assert (view.acknowledged_by, view.next_timer["name"]) == (None, "reminder due")


async def test_a_cancel_never_decides(desk, pending):
    """Approvals count as before."""
    await command(desk, pending.id)
    assert (await desk.decide(pending, "alice")).accepted
    assert (await desk.record(pending)).status is MintStatus.APPROVED


async def test_a_cancelled_run_of_an_event_is_over(desk, running, pending):
    """It ends as CANCELLED, and a second cancel is refused with what is recorded."""
    assert (await command(desk, running)).accepted
    run = await run_of(desk, running)
    assert (run.state, run.ended_by, run.reason) == (RunState.CANCELLED, "adam", "handled by phone")
    with pytest.raises(NotOpen, match="over already"):
        await command(desk, running)
    assert {row.state for row in await messages_of(desk, running)} <= {"skipped", "accepted"}
    assert (await desk.record(pending)).status is MintStatus.APPROVED


async def test_an_event_can_be_acknowledged_once_and_taken_back(desk, running, pending):
    """The same tokens, receipts and refusals as for a request's own run."""
    receipt = await acknowledge(desk, pending, run_id=running)
    again = await acknowledge(desk, pending, run_id=running)
    assert receipt == again
    run = await run_of(desk, running)
    assert (run.acknowledged_by, run.next_stage) == ("#mint", 1)
    await command(desk, running, action=RESUME)
    assert (await run_of(desk, running)).acknowledged_by is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"by": "rita"}, "not_entitled"),
        ({"by": "adam", "key_of": "rita"}, "bad_signature"),
        ({"target": "mr_00000000000000000000000000"}, "wrong_target"),
        ({"action": CommandAction.DELETE_POLICY}, "wrong_action"),
        ({"tenant": "other"}, "unknown_actor"),
    ],
)
async def test_whoever_may_not_is_refused_with_a_raw_update_too(desk, pending, changes, reason):
    """No effect but an audit event, written once however often it is sent."""
    envelope = a_command(desk, pending.id, **changes)
    for _ in range(2):
        outcome = await raw_command(desk, pending.id, envelope)
        assert (outcome.accepted, outcome.reason) == (False, reason)
    assert (await desk.kinds(pending)).count("escalation.refused") == 1
    assert (await desk.record(pending)).escalation_cancelled_at is None


@pytest.mark.parametrize(
    "garbage", [None, 1, "x", [], {}, {"payload": "AA=="}, {"payload": 7, "signatures": []}]
)
async def test_garbage_is_refused_and_the_workflow_lives(desk, pending, garbage):
    """Any JSON: an answer, never a failed workflow task."""
    assert (await raw_command(desk, pending.id, garbage)).reason == "malformed"
    assert (await desk.view(pending)).status is MintStatus.PENDING


async def test_a_command_is_good_once(desk, pending):
    """Cancelled, resumed, and the first command sent again: refused as used."""
    first = a_command(desk, pending.id)
    assert (await raw_command(desk, pending.id, first)).accepted
    await command(desk, pending.id, action=RESUME)
    # another update with the same envelope: what an eavesdropper would send
    again = await raw_command(desk, pending.id, first)
    record = await desk.record(pending)
    assert record.escalation_cancelled_at is None, again


async def test_a_stale_command_is_refused(desk, pending):
    """Signed more than five minutes ago."""
    old = a_command(desk, pending.id, issued_at=datetime.now(UTC) - timedelta(minutes=6))
    assert (await raw_command(desk, pending.id, old)).reason == "stale"


async def test_a_reason_is_needed(desk, pending):
    """Auditors will ask."""
    with pytest.raises(InvalidInput, match="a reason is needed"):
        await command(desk, pending.id, body={})


async def test_nothing_to_resume_is_refused(desk, pending):
    """Nobody is on it and nobody has cancelled."""
    with pytest.raises(Refused, match="nothing to resume"):
        await command(desk, pending.id, action=RESUME)


async def test_a_request_that_is_decided_has_no_stages_to_cancel(desk, pending):
    """The answer says how it ended."""
    await desk.decide(pending, "alice", Verdict.REJECT)
    with pytest.raises(NotOpen, match="REJECTED"):
        await command(desk, pending.id)


async def test_an_unknown_run_is_not_found(desk, pending):
    """And nothing is sent anywhere."""
    with pytest.raises(NotFound, match="no escalation run"):
        await command(desk, "esc_" + "0" * 32)
