from datetime import timedelta

import pytest

from domain.approvals import Verdict
from domain.errors import DecisionRefused
from domain.judgement import judge
from domain.mint_request import MintStatus
from domain.submission import Submission
from tests.domain.factories import (
    START,
    make_approval,
    make_decision,
    make_record,
    make_request,
    make_rule,
    make_signer,
)
from tests.support.evidence import make_evidence

EVERY = frozenset(Verdict)
NOON = START + timedelta(hours=4)


def test_an_eligible_approver_may_approve():
    """The plain case is accepted without a word."""
    assert judge(make_decision(), EVERY, make_record(), make_signer(), NOON) is None


REFUSALS = {
    "wrong_verdict": ({}, {}, {}, NOON, frozenset({Verdict.CANCEL})),
    "wrong_request": ({"request_digest": "0" * 64}, {}, {}, NOON, EVERY),
    "inactive_approver": ({}, {}, {"active": False}, NOON, EVERY),
    "not_open": ({}, {"status": MintStatus.REJECTED}, {}, NOON, EVERY),
    "expired": ({}, {}, {}, START + timedelta(hours=24), EVERY),
    "self_approval": ({"approver": "rita"}, {}, {"name": "rita"}, NOON, EVERY),
    "unknown_approver": ({}, {}, {"roles": frozenset({"requester"})}, NOON, EVERY),
    "tier_not_eligible": ({}, {}, {"tier": 2}, NOON, EVERY),
    "already_decided": ({}, {"approvals": (make_approval("alice"),)}, {}, NOON, EVERY),
    "reason_missing": ({"verdict": Verdict.REJECT, "reason": " "}, {}, {}, NOON, EVERY),
    "not_entitled": ({"verdict": Verdict.CANCEL}, {}, {}, NOON, EVERY),
}


@pytest.mark.parametrize(("reason", "case"), REFUSALS.items(), ids=REFUSALS)
def test_every_refusal_of_who_may_decide(reason, case):
    """Each rule of lifecycle.md refuses by itself, with its own word."""
    decision, record, signer, now, expected = case
    with pytest.raises(DecisionRefused) as caught:
        judge(make_decision(**decision), expected, make_record(**record), make_signer(**signer), now)
    assert caught.value.reason == reason


def test_the_last_instant_counts_and_the_next_does_not():
    """A decision is in time strictly before the expiry."""
    record = make_record()
    assert (
        judge(make_decision(), EVERY, record, make_signer(), record.expires_at - timedelta(microseconds=1))
        is None
    )
    with pytest.raises(DecisionRefused):
        judge(make_decision(), EVERY, record, make_signer(), record.expires_at)


def test_a_granted_tier_may_decide():
    """Escalation moves authority: tier 2 is refused before the grant and accepted after it."""
    record = make_record(granted_tiers=(2,))
    assert judge(make_decision(), EVERY, record, make_signer(tier=2), NOON) is None


def test_a_requester_who_is_an_admin_may_cancel_but_not_approve():
    """Four eyes hold whatever roles a person has."""
    rita = make_signer(name="rita", roles=frozenset({"requester", "approver", "admin"}), tier=3)
    record = make_record(rule=make_rule(min_tier=3))
    assert judge(make_decision(approver="rita", verdict=Verdict.CANCEL), EVERY, record, rita, NOON) is None
    with pytest.raises(DecisionRefused, match="four eyes"):
        judge(make_decision(approver="rita"), EVERY, record, rita, NOON)


def test_four_eyes_see_through_upper_case():
    """`Rita` is no second pair of eyes for `rita`."""
    with pytest.raises(DecisionRefused, match="four eyes"):
        judge(make_decision(approver="Rita"), EVERY, make_record(), make_signer(name="Rita"), NOON)


def test_only_an_admin_resolves_an_anomaly_and_only_with_reason_and_evidence():
    """A resolution needs ANOMALY, an admin who is not the requester, a reason, and evidence that fits."""
    stored = Submission(
        request_id=make_request().id, hash="a" * 64, channel="GC", sequence=7, max_time=1000,
        envelope_xdr="AAAA", signed_at_ledger=3,
    )  # fmt: skip
    record = make_record(status=MintStatus.ANOMALY, submission=stored)
    adam = make_signer(name="adam", roles=frozenset({"admin"}), tier=None)
    signed = {"approver": "adam", "reason": "see ledger 50", "evidence": make_evidence(record)}
    resolution = make_decision(verdict=Verdict.TIMEOUT_FAILED, **signed)
    assert judge(resolution, EVERY, record, adam, NOON + timedelta(days=9)) is None
    for wrong_record, wrong_signer, wrong_decision in (
        (make_record(), adam, resolution),
        (record, make_signer(), resolution),
        (record, adam, resolution.model_copy(update={"reason": " "})),
        (record, adam, resolution.model_copy(update={"evidence": None})),
        (record, adam, make_decision(verdict=Verdict.CONFIRMED, **signed)),
        (record, make_signer(name="rita", roles=frozenset({"admin"})), resolution),
    ):
        with pytest.raises(DecisionRefused):
            judge(wrong_decision, EVERY, wrong_record, wrong_signer, NOON)
