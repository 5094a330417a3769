"""What somebody may do with a request now: as the rules have it, and why not."""

from datetime import timedelta

import pytest

from domain.approvals import Approval, RefusalReason
from domain.mint_request import MintStatus
from domain.moves import may_decide_from, moves, to_come
from tests.domain.factories import START, make_record, make_signer

NOW = START + timedelta(minutes=1)


def record(**changes):
    """A request that was opened a minute ago; its first stage has run."""
    return make_record(**{"next_stage": 1} | changes)


def signer(name="alice", tier=1, roles=("approver",), **changes):
    """An active user."""
    return make_signer(name=name, tier=tier, roles=frozenset(roles), **changes)


def test_an_approver_of_an_eligible_tier_may_do_it_all():
    """Everything but what belongs to the requester, to admins, or to ended requests."""
    found = moves(record(), signer(), NOW)
    allowed = {name for name, move in vars(found).items() if move.allowed}
    assert allowed == {"approve", "reject", "claim", "assign", "acknowledge", "comment", "attach"}


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (signer("RITA", 1, ("approver", "requester")), RefusalReason.SELF_APPROVAL),
        (signer("dave", 3), RefusalReason.TIER_NOT_ELIGIBLE),
        (signer("lena", None, ("auditor",)), RefusalReason.UNKNOWN_APPROVER),
        (signer("bob", 1, active=False), RefusalReason.INACTIVE_APPROVER),
    ],
)
def test_who_may_not_approve_learns_why(who, reason):
    """The reason is the one with which the real decision would be refused."""
    found = moves(record(), who, NOW)
    assert (found.approve.allowed, found.approve.reason) == (False, reason)
    assert found.approve.why_not


def test_an_auditor_only_looks():
    """Nobody who only audits has anything to press."""
    found = moves(record(), signer("lena", None, ("auditor",)), NOW)
    assert not any(move.allowed for move in vars(found).values())


def test_nobody_approves_twice_or_too_late():
    """After one's own approval, and from the very moment of the expiry on."""
    given = Approval(decision_id="dc_1", approver="alice", tier=1, at=NOW)
    again = moves(record(approvals=(given,)), signer(), NOW)
    assert again.approve.reason is RefusalReason.ALREADY_DECIDED
    late = moves(record(), signer(), START + timedelta(days=1))
    assert late.approve.reason is RefusalReason.EXPIRED
    assert not late.acknowledge.allowed


def test_a_claim_holds_and_the_sweep_gives_way():
    """What somebody has claimed nobody else claims; what the sweep has given anybody may."""
    held = record(assignee="bob")
    assert moves(held, signer(), NOW).claim.why_not == "bob works on it"
    assert moves(held, signer(), NOW).release.allowed
    swept = held.model_copy(update={"assigned_automatically": True})
    assert moves(swept, signer(), NOW).claim.allowed


def test_an_acknowledgement_is_said_once():
    """While it holds the stages back nobody says it again; with no stage to come there is no need."""
    on_it = record(acknowledged_by="bob", acknowledged_at=NOW)
    assert moves(on_it, signer(), NOW).acknowledge.why_not == "bob is on it"
    assert not moves(record(next_stage=3), signer(), NOW).acknowledge.allowed


def test_what_is_to_come():
    """Every stage left, at its time, and the expiry last; nothing once it is decided."""
    assert [due.at - START for due in to_come(record())] == [
        timedelta(hours=4), timedelta(hours=12), timedelta(hours=24)
    ]  # fmt: skip
    assert list(to_come(record(status=MintStatus.REJECTED))) == []
    acknowledged = record(acknowledged_by="bob", acknowledged_at=NOW)
    assert [due.stage for due in to_come(acknowledged)] == [None]


def test_from_when_a_tier_may_decide():
    """The stage that grants it; None for a tier that may already, or never will."""
    assert may_decide_from(record(), 3) == START + timedelta(hours=12)
    assert may_decide_from(record(), 1) is None
    assert may_decide_from(record(next_stage=3), 3) is None


@pytest.mark.parametrize("status", [MintStatus.REJECTED, MintStatus.EXPIRED, MintStatus.TIMEOUT_FAILED])
def test_what_ended_without_a_mint_can_be_asked_again(status):
    """Once, and by anybody who acts at all."""
    ended = record(status=status)
    assert moves(ended, signer("rita", None, ("requester",)), NOW).resubmit.allowed
    assert not moves(ended, signer("lena", None, ("auditor",)), NOW).resubmit.allowed
    twice = ended.model_copy(update={"resubmitted_as": "mr_" + "B" * 26})
    assert not moves(twice, signer(), NOW).resubmit.allowed
