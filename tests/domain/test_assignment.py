"""Who may get a request that nobody took, and in which order: each rule by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.assignment import (
    Candidate,
    Matter,
    Unfit,
    choose,
    due_after,
    explain,
    obstacles,
    stint,
    why_nobody,
)
from domain.calendars import BusinessCalendar
from tests.domain.factories import START, make_approval, make_record, make_request, make_rule

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
OFFICE = BusinessCalendar.parse({"mon": [["09:00", "17:00"]]}, "Europe/Berlin")


def somebody(name="alice", **changes) -> Candidate:
    """An approver of tier 1 with the request's topic as primary one."""
    return Candidate(**({"name": name, "tier": 1, "primary_topic": "treasury-eu"} | changes))


def matter(**changes) -> Matter:
    """What rita asks for; tier 1 may decide."""
    return Matter(
        **({"topic": "treasury-eu", "requester": "rita", "tiers": frozenset({1})} | changes),
    )


def chosen(*candidates, at=MONDAY, **changes):
    """The name of who gets it."""
    choice = choose(candidates, matter(**changes), at)
    return choice.candidate.name if choice.candidate else None


UNFIT = [
    ({"active": False}, Unfit.INACTIVE),
    ({"is_approver": False}, Unfit.NO_APPROVER),
    ({"name": "rita"}, Unfit.REQUESTER),
    ({"name": "RiTa"}, Unfit.REQUESTER),
    ({"primary_topic": "treasury-us"}, Unfit.OFF_TOPIC),
    ({"primary_topic": None}, Unfit.OFF_TOPIC),
    ({"tier": 2}, Unfit.TIER_NOT_ELIGIBLE),
    ({"tier": None}, Unfit.TIER_NOT_ELIGIBLE),
    ({"absent_until": MONDAY + timedelta(microseconds=1)}, Unfit.OUT_OF_OFFICE),
    ({"load": 3, "max_load": 3}, Unfit.AT_MAX_LOAD),
    ({"load": 4, "max_load": 3}, Unfit.AT_MAX_LOAD),
    ({"working": BusinessCalendar.parse({"tue": [["09:00", "17:00"]]}, "UTC")}, Unfit.OUTSIDE_WORKING_HOURS),
]


@pytest.mark.parametrize(("changes", "reason"), UNFIT, ids=lambda value: str(value))
def test_each_rule_keeps_a_request_from_somebody_by_itself(changes, reason):
    """Whoever fails one rule only does not get it, and the reason is named with words."""
    unfit = somebody(**changes)
    [found] = obstacles(unfit, matter(), MONDAY)
    assert found.reason is reason
    assert found.words
    assert chosen(unfit) is None


def test_whoever_has_approved_it_gets_it_no_more():
    """Their part is done; the second approval needs somebody else. A delegate uses up both names."""
    approved = make_approval("bob").model_copy(update={"on_behalf_of": "alice"})
    found = Matter.of(make_record(approvals=(approved,)))
    assert found.approved_by == {"alice", "bob"}
    assert [one.reason for one in obstacles(somebody("bob"), found, MONDAY)] == [Unfit.HAS_APPROVED]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"primary_topic": "treasury-us", "topics": frozenset({"treasury-eu"})},
        {"absent_until": MONDAY},
        {"load": 2, "max_load": 3},
        {"load": 1000},
        {"working": OFFICE},
    ],
    ids=str,
)
def test_whoever_fails_no_rule_gets_it(changes):
    """Limits are not reached, the absence has just ended, the office is open, no limit is no limit."""
    assert chosen(somebody(**changes)) == "alice"


def test_a_tier_that_a_stage_has_granted_is_eligible():
    """What counts is who may decide now: after the reminder tier 2 too, by the pinned rule."""
    carol = somebody("carol", tier=2)
    at_first, granted = (Matter.of(make_record(granted_tiers=tiers)) for tiers in ((), (2,)))
    assert choose([carol], at_first, MONDAY).candidate is None
    assert choose([carol], granted, MONDAY).candidate is carol
    from_start = Matter.of(make_record(rule=make_rule(at_least_one_of_tier=2)))
    assert choose([carol], from_start, MONDAY).candidate is carol


ORDER = [
    ("a primary topic comes before a lower load", {"load": 5}, {"primary_topic": None, "load": 0}),
    ("the lowest load comes first", {"load": 1, "last_assigned_at": MONDAY}, {"load": 2}),
    ("never assigned comes before long ago", {}, {"last_assigned_at": START - timedelta(days=900)}),
    ("the longest without one comes first", {"last_assigned_at": START}, {"last_assigned_at": MONDAY}),
]


@pytest.mark.parametrize(("first", "second"), [case[1:] for case in ORDER], ids=[case[0] for case in ORDER])
def test_each_rule_of_the_order_decides_before_the_next(first, second):
    """Primary topic, load, time without an assignment: against the names, which come last."""
    topics = frozenset({"treasury-eu"})
    zoe, adele = somebody("zoe", topics=topics, **first), somebody("adele", topics=topics, **second)
    assert chosen(zoe, adele) == chosen(adele, zoe) == "zoe"


def test_the_name_decides_between_equals():
    """The same facts give the same choice, in whatever order they come."""
    assert chosen(somebody("bob"), somebody("alice")) == chosen(somebody("alice"), somebody("bob")) == "alice"


def test_the_order_works_at_another_topic_as_additional_one():
    """The primary topic is a matter of the request, not of the person."""
    us = somebody("us", primary_topic="treasury-us", topics=frozenset({"treasury-eu"}))
    eu = somebody("zed")
    assert chosen(us, eu) == "zed"
    assert chosen(us, somebody("zed", topics=frozenset({"treasury-us"})), topic="treasury-us") == "us"


def test_only_working_hours_make_a_request_wait():
    """Somebody who fits at another hour is waited for; an absence or a full desk is nobody."""
    night = MONDAY.replace(hour=20)
    asleep = somebody(working=OFFICE)
    assert choose([asleep], matter(), night).only_closed
    for more in ({"absent_until": night + timedelta(days=1)}, {"load": 1, "max_load": 1}, {"active": False}):
        assert not choose([somebody(working=OFFICE, **more)], matter(), night).only_closed
    both = choose([asleep, somebody("bob")], matter(), night)
    assert (both.candidate.name, both.only_closed) == ("bob", False)


def test_everybody_is_explained_with_a_rank_or_all_their_reasons():
    """Those who fit are counted from 1 in the order of the choice; the others follow by name."""
    places = explain(
        [
            somebody("carol", tier=2, active=False),
            somebody("bob", load=1),
            somebody("alice"),
            somebody("rita"),
        ],
        matter(),
        MONDAY,
    )
    assert [(place.candidate.name, place.rank) for place in places] == [
        ("alice", 1),
        ("bob", 2),
        ("carol", None),
        ("rita", None),
    ]
    assert [one.reason for one in places[2].obstacles] == [Unfit.INACTIVE, Unfit.TIER_NOT_ELIGIBLE]


def test_why_nobody_counts_the_first_reason_of_each():
    """The leads read what to change; without any approver they read that."""
    people = [somebody("rita"), somebody("bob", load=1, max_load=1), somebody("carol", tier=2)]
    assert why_nobody(people, matter(), MONDAY) == (
        "no approver can take it: 1 requester, 1 tier not eligible, 1 at max load"
    )
    assert why_nobody([], matter(), MONDAY) == "there is no approver who could take it"


def test_the_limit_is_in_hours_of_the_sla():
    """At scale 3600 an hour of the policy lasts a second."""
    assert due_after(24, 1) == timedelta(hours=24)
    assert due_after(2, 3600) == timedelta(seconds=2)


def test_every_time_of_being_unassigned_has_a_name_of_its_own():
    """To the microsecond: a release within the same second is another stint."""
    assert stint(MONDAY) + 1 == stint(MONDAY + timedelta(microseconds=1))
    assert Matter.of(make_record(request=make_request(requester="Rita"))).requester == "Rita"
