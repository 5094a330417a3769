"""Who may decide: every refusal, sent as a raw Temporal signal, leaves an audit event and nothing else."""

import asyncio
import base64
import json

import pytest
import rfc8785
from temporalio.client import WorkflowUpdateFailedError

from domain.approvals import DECISION_TYPE, Verdict
from domain.dsse import sign
from domain.errors import NotOpen
from domain.mint_request import MintStatus
from starter import decisions

TWO_APPROVALS = 200_000_000_000
"""Stroops: above the band in which one approval is enough."""


def forged_payload(desk, ticket):
    """An honest envelope whose payload now names somebody else."""
    envelope = desk.sign(ticket, "alice").model_dump(mode="json", by_alias=True)
    payload = json.loads(base64.b64decode(envelope["payload"]))
    envelope["payload"] = base64.b64encode(rfc8785.dumps(payload | {"approver": "bob"})).decode()
    return envelope


def other_type(desk, ticket):
    """A decision signed as if it were an ack token."""
    payload = rfc8785.dumps(desk.decision(ticket, "alice").model_dump(mode="json", by_alias=True))
    return sign(payload, "application/vnd.mintkeeper.ack+json", desk.seeded.keys["alice"])


def unknown_field(desk, ticket):
    """A signed decision that claims more than a decision can say."""
    payload = desk.decision(ticket, "alice").model_dump(mode="json", by_alias=True) | {"amr": "none"}
    return sign(rfc8785.dumps(payload), DECISION_TYPE, desk.seeded.keys["alice"])


FORGED = {
    "payload changed after signing": ("bad_signature", forged_payload),
    "signed by somebody else's key": ("bad_signature", lambda d, t: d.sign(t, "alice", key_of="bob")),
    "another payload type": ("bad_signature", other_type),
    "unknown approver": ("unknown_approver", lambda d, t: d.sign(t, "mallory", key_of="alice")),
    "auditor, not approver": ("unknown_approver", lambda d, t: d.sign(t, "lena")),
    "the requester": ("self_approval", lambda d, t: d.sign(t, "rita")),
    "tier 2 before its time": ("tier_not_eligible", lambda d, t: d.sign(t, "carol")),
    "tier 3 before its time": ("tier_not_eligible", lambda d, t: d.sign(t, "dave")),
    "another request's digest": ("wrong_request", lambda d, t: d.sign(t, "alice", request_digest="0" * 64)),
    "another request's id": ("wrong_request", lambda d, t: d.sign(t, "alice", request_id="mr_" + "Z" * 26)),
    "a rejection in an approve": ("wrong_verdict", lambda d, t: d.sign(t, "alice", Verdict.REJECT)),
    "a resolution in an approve": ("wrong_verdict", lambda d, t: d.sign(t, "adam", Verdict.CONFIRMED)),
    "a field too many": ("malformed", unknown_field),
    "no envelope": ("malformed", lambda d, t: {"approver": "alice"}),
    "a word": ("malformed", lambda d, t: "yes"),
    "nothing": ("malformed", lambda d, t: None),
    "a list of envelopes": ("malformed", lambda d, t: [d.sign(t, "alice")]),
}


@pytest.mark.parametrize(("reason", "forge"), FORGED.values(), ids=FORGED)
async def test_a_forged_or_unauthorised_signal_has_no_effect_but_an_audit_event(desk, pending, reason, forge):
    """Anyone with access to the namespace can send a signal; without a valid signature nothing happens."""
    before = await desk.standing(pending)
    await pending.handle.signal("approve", forge(desk, pending))
    assert await desk.until_refused(pending) == [reason]
    assert await desk.standing(pending) == before
    assert (await desk.view(pending)).status is MintStatus.PENDING


@pytest.mark.parametrize("args", [[], ["a", "b"], [1, 2, 3]], ids=["none", "two", "three"])
@pytest.mark.parametrize("name", ["approve", "reject", "cancel", "resolve"])
async def test_a_signal_of_any_shape_can_not_wedge_the_workflow(desk, pending, name, args):
    """Too few or too many arguments are one more malformed decision; the next valid one still works."""
    await pending.handle.signal(name, args=args)
    assert await desk.until_refused(pending) == ["malformed"]
    assert (await desk.decide(pending, "alice")).accepted


async def test_an_unknown_signal_and_a_malformed_comment_change_nothing(desk, pending):
    """Unknown names are kept by Temporal and never run; malformed comments are dropped."""
    await pending.handle.signal("mint_now", "please")
    for junk in ([], ["x"], [{"author": "alice"}], [{"author": "alice", "text": "\x00", "comment_id": "1"}]):
        await pending.handle.signal("comment", args=junk)
    assert (await desk.view(pending)).status is MintStatus.PENDING
    assert "comment.added" not in await desk.kinds(pending)


async def test_one_approval_is_enough_where_the_rule_says_so(desk, pending):
    """A valid signal approves, although nobody waits for the answer."""
    await pending.handle.signal("approve", desk.sign(pending, "alice"))
    record = await desk.until_status(pending, MintStatus.APPROVED)
    assert [approval.approver for approval in record.approvals] == ["alice"]


async def test_the_same_person_counts_once(desk):
    """Two decisions of one approver are one approval; the second is refused."""
    async with desk.worker():
        ticket = await desk.submit(amount=TWO_APPROVALS)
        first = await desk.decide(ticket, "alice")
        assert (first.accepted, first.missing, first.missing_tier) == (True, 1, 2)
        second = await desk.decide(ticket, "alice")
        assert (second.accepted, second.reason) == (False, "already_decided")
        third = await desk.decide(ticket, "bob")
        assert (third.accepted, third.missing_tier) == (True, 2)
        assert (await desk.standing(ticket)).status is MintStatus.PENDING
        assert (await desk.decide(ticket, "carol")).accepted
        assert (await desk.record(ticket)).status is MintStatus.APPROVED


async def test_the_same_decision_twice_takes_effect_once(desk):
    """Doubled signals and a repeated update id give the first outcome and no second effect."""
    async with desk.worker():
        ticket = await desk.submit(amount=TWO_APPROVALS)
        await desk.until_status(ticket, MintStatus.PENDING)
        signed = desk.sign(ticket, "alice", decision_id="dc_doubled-1")
        for _ in range(3):
            await ticket.handle.signal("approve", signed)
        await desk.until(ticket, lambda record: record.approvals)
        answers = [
            await decisions.decide(desk.client, ticket.id, signed, "dc_doubled-1", 30) for _ in range(2)
        ]
        assert answers[0] == answers[1]
        assert answers[0].accepted
        assert len((await desk.record(ticket)).approvals) == 1
        kinds = await desk.kinds(ticket)
        assert kinds.count("decision.approve") == 1
        assert "decision.refused" not in kinds


async def test_a_refused_decision_repeated_is_one_audit_event(desk, pending):
    """Replaying the same forgery a hundred times does not fill the audit log."""
    signed = desk.sign(pending, "carol")
    for _ in range(20):
        await pending.handle.signal("approve", signed)
    assert (await desk.decide(pending, "alice")).accepted
    assert await desk.refusals(pending) == ["tier_not_eligible"]


async def test_a_rejection_needs_a_reason(desk, pending):
    """A rejection without a reason is refused; with one it ends the request."""
    refused = await desk.decide(pending, "alice", Verdict.REJECT, reason="  ")
    assert (refused.accepted, refused.reason) == (False, "reason_missing")
    assert (await desk.decide(pending, "alice", Verdict.REJECT, reason="wrong amount")).accepted
    result = await pending.handle.result()
    assert (result.status, result.reason) == (MintStatus.REJECTED, "wrong amount")


@pytest.mark.parametrize("who", ["rita", "adam"])
async def test_requester_and_admin_may_cancel(desk, pending, who):
    """Only while PENDING, only they."""
    refused = await desk.decide(pending, "alice", Verdict.CANCEL)
    assert (refused.accepted, refused.reason) == (False, "not_entitled")
    await pending.handle.signal("cancel", desk.sign(pending, who, Verdict.CANCEL))
    assert (await pending.handle.result()).status is MintStatus.CANCELLED


async def test_an_inactive_approver_can_not_decide(desk, pending):
    """Deactivated while the request waits: the next decision is refused."""
    from datetime import UTC, datetime

    from db.writes import dictionaries

    async with desk.seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(
            tx, tenant="acme", name="alice", actor="adam", at=datetime.now(UTC)
        )
    outcome = await desk.decide(pending, "alice")
    assert (outcome.accepted, outcome.reason) == (False, "inactive_approver")


async def test_a_decision_after_the_end_is_refused_with_the_recorded_outcome(desk, pending):
    """By update before the workflow closes, and by the closed workflow itself."""
    await desk.decide(pending, "bob", Verdict.REJECT)
    await pending.handle.result()
    with pytest.raises(NotOpen):
        await desk.decide(pending, "alice")
    assert (await desk.record(pending)).status is MintStatus.REJECTED


async def test_a_decision_after_approval_is_refused(desk, pending):
    """APPROVED, waiting for the ledger: a rejection comes too late, by update and by signal."""
    assert (await desk.decide(pending, "alice")).accepted
    with pytest.raises(NotOpen, match="APPROVED already"):
        await desk.decide(pending, "bob", Verdict.REJECT)
    await pending.handle.signal("reject", desk.sign(pending, "bob", Verdict.REJECT))
    assert await desk.until_refused(pending) == ["not_open"]
    assert (await desk.record(pending)).status is MintStatus.APPROVED


async def test_racing_decisions_leave_one_consistent_end(desk):
    """Ten approvals and rejections at once: one outcome, the same for workflow, database and audit."""
    async with desk.worker():
        for _ in range(5):
            ticket = await desk.submit()
            await desk.until_status(ticket, MintStatus.PENDING)
            outcomes = await asyncio.gather(
                desk.decide(ticket, "alice"),
                desk.decide(ticket, "bob", Verdict.REJECT),
                desk.decide(ticket, "rita", Verdict.CANCEL),
                desk.decide(ticket, "adam", Verdict.CANCEL),
                return_exceptions=True,
            )
            accepted = [outcome for outcome in outcomes if getattr(outcome, "accepted", False)]
            assert len(accepted) == 1
            record = await desk.record(ticket)
            assert record.status == accepted[0].status
            ended = {"decision.approve", "decision.reject", "decision.cancel"}
            assert len([kind for kind in await desk.kinds(ticket) if kind in ended]) == 1


async def test_decisions_before_the_first_worker_are_kept(desk):
    """A signal is durable: sent before any worker runs, it takes effect when one does."""
    ticket = await desk.submit()
    await ticket.handle.signal("approve", desk.sign(ticket, "alice"))
    async with desk.worker():
        record = await desk.until_status(ticket, MintStatus.APPROVED)
    assert record.approvals[0].approver == "alice"


async def test_a_temporal_cancel_ends_nothing(desk, pending):
    """Cancelling the workflow from the Web UI is ignored; only a signed cancel ends a request."""
    await pending.handle.cancel()
    await asyncio.sleep(0.5)
    assert (await desk.view(pending)).status is MintStatus.PENDING
    assert (await desk.decide(pending, "alice")).accepted
    assert (await desk.record(pending)).status is MintStatus.APPROVED


async def test_a_malformed_assignment_is_refused_before_it_reaches_history(desk, pending):
    """Updates of a wrong shape are rejected by the server's validator round, without an event."""
    for wrong in ({"actor": "al ice", "message_id": "m"}, "claim", {}):
        with pytest.raises(WorkflowUpdateFailedError):
            await pending.handle.execute_update("claim", wrong)
    assert (await desk.view(pending)).assignee is None
