"""What a policy is refused for: nobody to tell, and approvals that could never be complete."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.approvals import Approval, tally
from domain.errors import DecisionRefused, InvalidInput
from domain.escalation import EscalationPolicy, Grants, Notify, Stage
from domain.judgement import judge
from domain.policy_checks import Circumstances, Colleague, problems
from tests.domain.factories import (
    POLICY,
    START,
    make_decision,
    make_record,
    make_request,
    make_rule,
    make_signer,
)

EXPECTED = frozenset(type(make_decision().verdict))


def person(name, tier=1, roles=("approver",), email="x@acme.example", can_sign=True, topics=()):
    """An active user."""
    return Colleague(
        name=name, tier=tier, roles=frozenset(roles), email=email, can_sign=can_sign, topics=frozenset(topics)
    )


CHANNELS = {"in-app": "in-app", "email": "email", "slack": "slack", "phone": "telegram", "pager": "pagerduty"}


def today(people, rules=(), topics=("eu", "us")):
    """A tenant with these people."""
    return Circumstances(tenant="acme", channels=CHANNELS, people=people, topics=topics, rules=list(rules))


def policy(*stages):
    """A policy of these stages."""
    return POLICY.model_copy(update={"stages": list(stages)})


def stage(*channels, tier=1, grants=None, delay=0, **changes):
    """A stage over these channels."""
    granted = Grants(tier=grants) if grants else None
    return Stage(
        delay_seconds=delay, channels=list(channels), notify=Notify(tier=tier, **changes), grants=granted
    )


def test_people_and_channels_that_suffice_are_no_problem():
    """The plain case."""
    people = [person("alice"), person("carol", 2), person("rita", None, ["requester"])]
    staged = policy(stage("in-app", "email"), stage("slack", delay=60, tier=2, grants=2))
    assert problems(staged, today(people, [make_rule(approvals=2)])) == []


@pytest.mark.parametrize("channel", ["in-app", "slack", "phone", "pager"])
def test_whoever_has_no_address_is_reached_in_other_ways(channel):
    """Groups are reached by themselves, and a list in the app needs no address."""
    assert problems(policy(stage(channel)), today([person("alice", email=None)])) == []
    assert problems(policy(stage(channel, "email")), today([person("alice", email=None)])) == []


def test_email_needs_an_address():
    """The stage, the tier, the people and the way out are named."""
    people = [person("alice", email=None), person("rita", None, ["requester"]), person("dave", 3)]
    (problem,) = problems(policy(stage("in-app"), stage("email", delay=60)), today(people))
    assert problem == (
        "stages[1] (at 60 s) tells tier 1 by e-mail only, and nobody of alice has an address: "
        "set one with 'mintkeeper user set --email', or add a channel"
    )


def test_a_topics_own_people_must_be_reachable():
    """On a topic that has approvers of its own, the others are not told."""
    people = [person("alice", email=None, topics=["eu"]), person("bob", topics=["us"])]
    (problem,) = problems(policy(stage("email")), today(people))
    assert "nobody of alice has an address" in problem
    assert problems(policy(stage("email")), today(people, topics=["us"])) == []
    # nobody is on the topic `uk`, so the whole tier is told
    assert problems(policy(stage("email")), today(people, topics=["uk"])) == []
    assert problems(policy(stage("email")), today(people, topics=[])) == []


def test_every_notified_tier_needs_somebody():
    """Both of `tier` and `alsoTier`, even where a group reads the channel."""
    found = problems(policy(stage("slack", tier=1, also_tier=3)), today([person("carol", 2)]))
    assert [problem[:34] for problem in found] == [
        "stages[0] (at 0 s) tells tier 1, b",
        "stages[0] (at 0 s) tells tier 3, b",
    ]


def test_an_unknown_or_missing_channel_is_named():
    """Each stage on its own."""
    found = problems(policy(stage("pigeon", "in-app"), stage(delay=9)), today([person("alice")]))
    assert found == [
        "stages[0] (at 0 s) names pigeon, but tenant acme has no channel pigeon: "
        "set it with 'mintkeeper channel set', or name another",
        "stages[1] (at 9 s) names no channel: add one, so that somebody hears of it",
    ]


def deadlock(people, rule, *stages):
    """The one problem that a rule makes, or None."""
    found = problems(policy(*(stages or [stage("in-app")])), today(people, [rule]))
    (problem,) = [problem for problem in found if "approval rule" in problem] or [None]
    return problem


def test_who_has_no_key_decides_nothing():
    """Decisions are signed; the key is what is missing."""
    found = deadlock([person("alice", can_sign=False)], make_rule())
    assert "for a request of anybody: 0 of 1 approvers can decide (nobody)" in found
    assert "register a key for alice" in found


def test_the_requester_is_no_second_pair_of_eyes():
    """Not even under a name that differs in case only."""
    people = [person("alice"), person("ALICE", None, ["requester"])]
    assert "for a request of ALICE: 0 of 1" in deadlock(people, make_rule())
    people = [person("alice", roles=["approver", "requester"]), person("bob")]
    assert deadlock(people, make_rule()) is None
    assert "for a request of alice: 1 of 2" in deadlock(people, make_rule(approvals=2))


def test_a_tier_decides_from_the_start_or_by_a_stage():
    """A higher tier that no stage grants can't help."""
    people = [person("alice"), person("carol", 2)]
    assert "let a stage grant tier 2" in deadlock(people, make_rule(approvals=2))
    granting = [stage("in-app"), stage("in-app", delay=60, grants=2)]
    assert deadlock(people, make_rule(approvals=2), *granting) is None


def test_a_lower_tier_never_counts():
    """A grant does not help below the rule's lowest tier."""
    people = [person("alice"), person("carol", 2)]
    granting = [stage("in-app"), stage("in-app", delay=60, grants=1)]
    found = deadlock(people, make_rule(approvals=2, min_tier=2), *granting)
    assert "1 of 2 approvers can decide (carol); add approvers" in found


def test_one_of_a_tier_and_the_count_hold_together():
    """Enough people, but nobody senior; somebody senior, but too few."""
    rule = make_rule(approvals=2, at_least_one_of_tier=2)
    assert "none of tier 2 or above" in deadlock([person("alice"), person("bob")], rule)
    assert "1 of 2 approvers can decide (carol)" in deadlock(
        [person("carol", 2), person("x", None, [])], rule
    )
    assert deadlock([person("alice"), person("carol", 2)], rule) is None
    # senior means that tier or a higher one, if a stage has granted it
    assert "none of tier 2" in deadlock([person("alice"), person("bob"), person("dave", 3)], rule)
    assert deadlock([person("alice"), person("dave", 3)], rule, stage("in-app", grants=3)) is None


def brute_force(people, rule, granted, requester):
    """Whether some set of people, in some order, can complete the approvals: by the judge and the tally."""
    record = make_record(
        request=make_request(requester=requester or "nobody"), rule=rule, granted_tiers=tuple(granted)
    )
    accepted = [one for one in people if one.can_sign and is_accepted(record, one)]
    return any(
        tally(rule, [approval_of(one) for one in chosen]).satisfied
        for size in range(len(accepted) + 1)
        for chosen in itertools.combinations(accepted, size)
    )


def is_accepted(record, one):
    """Whether the judge accepts this person's approval."""
    signer = make_signer(name=one.name, roles=one.roles, tier=one.tier)
    decision = make_decision(
        approver=one.name, request_id=record.request.id, request_digest=record.request.digest()
    )
    try:
        judge(decision, EXPECTED, record, signer, START + timedelta(hours=1))
    except DecisionRefused:
        return False
    return True


def approval_of(one):
    """That person's approval."""
    return Approval(decision_id="d", approver=one.name, tier=one.tier or 1, at=START)


people_of_a_tenant = st.lists(
    st.builds(
        person,
        name=st.sampled_from(["alice", "Alice", "bob", "carol", "dave", "erin"]),
        tier=st.sampled_from([1, 2, 3, None]),
        roles=st.sets(st.sampled_from(["approver", "requester", "admin"])),
        can_sign=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: one.name,
)
rules = st.builds(
    make_rule,
    approvals=st.integers(1, 4),
    min_tier=st.integers(1, 3),
    at_least_one_of_tier=st.sampled_from([None, 1, 2, 3]),
)


@hypothesis_settings(max_examples=600, deadline=None)
@given(people_of_a_tenant, rules, st.sets(st.integers(1, 3)))
def test_the_deadlock_check_agrees_with_judge_and_tally(people, rule, granted):
    """Brute force over every set of approvers: refused exactly where some requester is never approved."""
    stages = [
        stage("in-app", delay=number, grants=tier) for number, tier in enumerate([None, *sorted(granted)])
    ]
    found = [problem for problem in problems(policy(*stages), today(people, [rule])) if "rule" in problem]
    requesters = [one.name for one in people if "requester" in one.roles] or [None]
    possible = all(brute_force(people, rule, granted, requester) for requester in requesters)
    assert (found == []) == possible, (found, people, rule, granted)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stages": [stage("x", delay=9), stage("x", delay=9)]}, r"stages\[1\] \(at 9 s\) must come after"),
        ({"stages": [stage("x", delay=9), stage("x", delay=3)]}, r"stages\[1\] \(at 3 s\) must come after"),
        ({"stages": [stage("x", delay=600)], "auto_close_minutes": 10}, "make it more than 10"),
        ({"id": "a/b"}, "policy: id"),
        ({"id": "-x"}, "policy: id"),
        ({"name": "\x1b[2J"}, "control characters"),
    ],
)
def test_what_makes_no_sense_is_named(changes, words):
    """Which stage or field; such a policy can't even be read, in a path or on a terminal."""
    document = POLICY.model_copy(update=changes).model_dump_json(by_alias=True)
    with pytest.raises(InvalidInput, match=words):
        EscalationPolicy.parse(document)
