import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.amounts import Asset
from domain.approvals import Approval, Decision, match_rule, tally
from domain.errors import InvalidInput, Refused
from tests.domain.factories import ISSUER, START, make_approval, make_decision, make_rule

EURT = Asset(code="EURT", issuer=ISSUER)


def test_the_first_matching_rule_wins():
    """Order is by position, not by how the rules arrive."""
    wide = make_rule(position=2, approvals=2)
    narrow = make_rule(position=1, max_stroops=1000, approvals=1)
    assert match_rule([wide, narrow], "acme", EURT, 1000) == narrow
    assert match_rule([wide, narrow], "acme", EURT, 1001) == wide


def test_no_rule_means_denied():
    """What no rule allows is refused, whatever other tenants have."""
    with pytest.raises(Refused, match="no approval rule"):
        match_rule([make_rule(tenant="other"), make_rule(asset=f"USDT:{ISSUER}")], "acme", EURT, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"approvals": 0},
        {"min_tier": 4},
        {"min_stroops": 5, "max_stroops": 4},
        {"asset": "EURT"},
        {"at_least_one_of_tier": 0},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    """No rule asks for nobody, for a tier that does not exist, or for an empty band."""
    with pytest.raises((ValidationError, InvalidInput)):
        make_rule(**wrong)


def test_a_rule_with_a_senior_tier_needs_that_tier():
    """Two operators don't replace the manager that the rule wants."""
    rule = make_rule(approvals=2, at_least_one_of_tier=2)
    juniors = [make_approval("alice"), make_approval("bob")]
    assert not tally(rule, juniors).satisfied
    assert tally(rule, juniors).missing == 1
    assert tally(rule, juniors).missing_tier == 2
    assert tally(rule, [make_approval("alice"), make_approval("carol", 2)]).satisfied


def test_tiers_from_the_rule_may_decide_from_the_start():
    """A rule that needs a manager lets managers act before any stage has granted their tier."""
    rule = make_rule(approvals=2, at_least_one_of_tier=2)
    assert rule.eligible_tiers([]) == [1, 2]
    assert make_rule().eligible_tiers([]) == [1]
    assert make_rule().eligible_tiers([3]) == [1, 3]
    assert make_rule(min_tier=2).eligible_tiers([1]) == [2]


approvers = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 3)), max_size=12)


@given(approvers, st.integers(1, 4), st.integers(1, 3), st.sampled_from([None, 1, 2, 3]))
def test_nobody_counts_twice_and_no_low_tier_counts(people, needed, min_tier, senior):
    """Satisfied means: enough different people of a sufficient tier, the senior one among them."""
    tiers = dict(people)
    given_approvals = [
        Approval(decision_id=f"dc_{i:08d}", approver=name, tier=tiers[name], at=START)
        for i, (name, _) in enumerate(people)
    ]
    rule = make_rule(approvals=needed, min_tier=min_tier, at_least_one_of_tier=senior)
    able = {name: tier for name, tier in tiers.items() if tier >= min_tier}
    expected = len(able) >= needed and (senior is None or any(tier >= senior for tier in able.values()))
    assert tally(rule, given_approvals).satisfied is expected


@given(approvers)
def test_one_more_approval_never_makes_it_less(people):
    """The tally only moves towards satisfied."""
    rule = make_rule(approvals=3, at_least_one_of_tier=2)
    approvals = [make_approval(name, tier) for name, tier in dict(people).items()]
    missing = [tally(rule, approvals[:count]).missing for count in range(len(approvals) + 1)]
    assert missing == sorted(missing, reverse=True)


def test_a_decision_reads_its_own_canonical_json():
    """What was signed is read back; unknown fields, long reasons and control characters are refused."""
    decision = make_decision(reason="fine")
    payload = decision.model_dump_json(by_alias=True).encode()
    assert Decision.parse(payload) == decision
    for broken in (
        payload.replace(b'"fine"', b'"' + b"x" * 2001 + b'"'),
        payload.replace(b'"fine"', b'"\\u0000"'),
        payload.replace(b'"fine"', b'"\\u001b[2J"'),
        payload.replace(b'"approve"', b'"auto"'),
        payload.replace(b"{", b'{"extra":1,', 1),
        b"[]",
        b"\xff",
    ):
        with pytest.raises(InvalidInput):
            Decision.parse(broken)
