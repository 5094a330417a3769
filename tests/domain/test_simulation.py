"""What a policy will do: due times, order, no route, urgency, and clocks that change."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.escalation import EscalationRun
from domain.quiet_hours import QuietHours
from domain.simulation import Message, local, sent_at, simulate
from tests.domain.factories import POLICY, START

NIGHT = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "22:00", "to": "07:00"}

moments = st.integers(0, 700 * 1440).map(lambda minutes: START + timedelta(minutes=minutes))


def told(*names, zone="Europe/Berlin", until=None):
    """Messages to these people by mail."""
    return [
        Message(channel="email", kind="email", recipient=name, time_zone=zone, deferred_until=until)
        for name in names
    ]


def everybody(stage, at):
    """Every stage reaches somebody."""
    return told("alice")


def test_stages_are_due_by_their_delay_and_the_run_ends_with_the_expiry():
    """Delays count from the start; the scale divides them all."""
    for scale in (1, 720):
        found = simulate(POLICY, START, everybody, scale)
        assert [(stage.due_at - START) * scale for stage in found.stages] == [
            timedelta(hours=hours) for hours in (0, 4, 12)
        ]
        assert (found.expires_at - START) * scale == timedelta(hours=24)
        assert (found.urgent_from - START) * scale == timedelta(hours=22)
    assert [stage.grants for stage in found.stages] == [None, 2, 3]
    assert [stage.name for stage in found.stages] == ["first notice", "reminder due", "escalation to tier 3"]


def test_after_a_stage_without_route_the_next_runs_at_once():
    """And the one after that when it is due; an alert to the leads is no route."""
    alert = [message.model_copy(update={"alert": True}) for message in told("lena")]
    found = simulate(POLICY, START, lambda stage, at: alert if stage == 0 else told("alice"))
    first, second, third = found.stages
    assert (first.no_route, second.no_route) == (True, False)
    assert (second.runs_at, second.due_at) == (START, START + timedelta(hours=4))
    assert third.runs_at == third.due_at
    nobody = simulate(POLICY, START, lambda stage, at: [])
    assert {stage.runs_at for stage in nobody.stages} == {START}


def test_what_comes_shortly_before_the_expiry_is_urgent():
    """From the moment itself on."""
    short = POLICY.model_copy(update={"auto_close_minutes": 14 * 60})
    assert [stage.urgent for stage in simulate(short, START, everybody).stages] == [False, False, True]
    always = POLICY.model_copy(update={"urgent_before_expiry_seconds": 10**6})
    found = simulate(always, START, everybody)
    assert all(stage.urgent for stage in found.stages)
    assert found.urgent_from == START


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ("2026-03-28T20:00:00+00:00", ["21:00 CET", "01:00 CET", "10:00 CEST"]),
        ("2026-10-24T20:00:00+00:00", ["22:00 CEST", "02:00 CEST", "09:00 CET"]),
    ],
)
def test_delays_are_true_hours_when_clocks_change(start, shown):
    """Four hours are four hours, whatever the readers' clocks show then; both ways."""
    found = simulate(POLICY, datetime.fromisoformat(start), everybody)
    times = [f"{local(stage.runs_at, 'Europe/Berlin'):%H:%M %Z}" for stage in found.stages]
    assert times == shown


def test_a_machine_reads_utc_and_the_readers_own_time():
    """What is held back is shown where it is sent."""
    until = START + timedelta(hours=9)
    document = simulate(POLICY, START, lambda stage, at: told("alice", until=until)).document()
    message = document["stages"][0]["messages"][0]
    assert message["sent_at_local"] == "2026-11-22T18:00:00+01:00"
    assert message["deferred_until"] == "2026-11-22T17:00:00Z"


@given(
    st.integers(1, 500),
    st.lists(st.booleans(), min_size=3, max_size=3),
    moments,
)
def test_nothing_runs_out_of_order_or_after_the_expiry(scale, reached, start):
    """Whatever is reached: in order, not before the start, not later than due, and before the end."""
    found = simulate(POLICY, start, lambda stage, at: told("alice") if reached[stage] else [], scale)
    runs = [stage.runs_at for stage in found.stages]
    assert runs == sorted(runs)
    assert all(start <= stage.runs_at <= stage.due_at < found.expires_at for stage in found.stages)
    assert found.expires_at == EscalationRun(POLICY, start, scale).expires_at
    assert all(
        sent_at(stage, message) == stage.runs_at for stage in found.stages for message in stage.messages
    )


def quiet(**changes):
    """Every night in Berlin."""
    return QuietHours.parse([{**NIGHT, "zone": "Europe/Berlin", **changes}])


def hours(found):
    """Stretches as day and hour in UTC."""
    return [(f"{begin:%d %H:%M}", f"{end:%d %H:%M}") for begin, end in found]


def test_quiet_stretches_are_cut_off_at_both_ends():
    """What is asked for, and nothing beyond."""
    begin = datetime(2026, 6, 1, 23, tzinfo=UTC)
    assert hours(quiet().stretches(begin, begin + timedelta(hours=24))) == [
        ("01 23:00", "02 05:00"),
        ("02 20:00", "02 23:00"),
    ]
    assert QuietHours().stretches(begin, begin + timedelta(days=9)) == []


def test_the_night_of_a_clock_change_is_as_long_as_it_is():
    """Eight hours in spring and ten in autumn."""
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    day = timedelta(hours=24)
    assert hours(quiet().stretches(spring, spring + day)) == [("28 21:00", "29 05:00")]
    assert hours(quiet().stretches(autumn, autumn + day)) == [("24 20:00", "25 06:00")]


def test_windows_that_touch_are_one_stretch():
    """A weekend of whole days and the nights around it."""
    weekend = {"days": ["sat", "sun"], "from": "00:00", "to": "24:00", "zone": "Europe/Berlin"}
    both = QuietHours.parse([{**NIGHT, "zone": "Europe/Berlin"}, weekend])
    begin = datetime(2026, 6, 5, 12, tzinfo=UTC)
    assert hours(both.stretches(begin, begin + timedelta(days=4))) == [
        ("05 20:00", "08 05:00"),
        ("08 20:00", "09 05:00"),
    ]


@given(
    moments,
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.integers(0, 71),
)
def test_a_moment_is_quiet_exactly_inside_a_stretch(begin, zone, offset):
    """The shading and the holding back never disagree."""
    windows = quiet(zone=zone, **{"from": "23:30", "to": "02:30"})
    at = begin + timedelta(hours=offset, minutes=17)
    stretches = windows.stretches(begin, begin + timedelta(days=3))
    assert any(start <= at < end for start, end in stretches) == (windows.until(at) is not None)
