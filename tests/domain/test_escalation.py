import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.escalation import EscalationPolicy, EscalationRun
from tests.domain.factories import POLICY, START

HOUR = timedelta(hours=1)


def dues(run):
    """Every due of a run in order, as time from the start and name."""
    found = []
    while (due := run.due_next()).stage is not None:
        found.append((due.at - START, due.name))
        run.next_stage = due.stage + 1
    return [*found, (run.due_next().at - START, run.due_next().name)]


def test_the_default_policy_reminds_at_4_escalates_at_12_and_expires_at_24_hours():
    """Product rule A.1."""
    assert dues(EscalationRun(POLICY, START)) == [
        (0 * HOUR, "first notice"),
        (4 * HOUR, "reminder due"),
        (12 * HOUR, "escalation to tier 3"),
        (24 * HOUR, "expiry"),
    ]


def test_a_stage_begins_a_thousandth_of_its_delay_early_and_at_most_15_seconds():
    """So that a thousand reminders due in one second go out in time; the expiry has no lead."""
    run = EscalationRun(POLICY, START, next_stage=1)
    assert run.due_next().at - run.due_next().ready_at == timedelta(seconds=14.4)
    run.next_stage = 2
    assert run.due_next().at - run.due_next().ready_at == timedelta(seconds=15)
    run.next_stage = 3
    assert run.due_next().ready_at == run.due_next().at == run.expires_at
    assert EscalationRun(POLICY, START).due_next().ready_at == START


def test_scale_divides_every_delay():
    """For demonstrations, 1440 turns days into minutes."""
    assert dues(EscalationRun(POLICY, START, scale=1440))[1:] == [
        (timedelta(seconds=10), "reminder due"),
        (timedelta(seconds=30), "escalation to tier 3"),
        (timedelta(seconds=60), "expiry"),
    ]


def test_activity_moves_stages_only_under_the_inactivity_clock_and_never_the_expiry():
    """The decided ambiguity: `clock: inactivity` restarts delays at a claim or comment; the expiry stays."""
    for clock, reminder in (("created", 4 * HOUR), ("inactivity", 7 * HOUR)):
        run = EscalationRun(POLICY.model_copy(update={"clock": clock}), START, next_stage=1)
        run.touch(START + 3 * HOUR)
        assert run.due_next().at == START + reminder
        assert run.expires_at == START + 24 * HOUR


def test_a_stage_that_would_come_after_the_expiry_is_left_out():
    """Under the inactivity clock the expiry comes first when activity was late."""
    run = EscalationRun(POLICY.model_copy(update={"clock": "inactivity"}), START, next_stage=2)
    run.touch(START + 20 * HOUR)
    assert run.due_next().name == "expiry"


@given(
    st.lists(st.integers(0, 80_000), min_size=1, max_size=8, unique=True).map(sorted),
    st.integers(1, 5000),
    st.lists(st.integers(0, 100_000), max_size=6),
    st.sampled_from(["created", "inactivity"]),
)
def test_what_is_due_never_goes_back_in_time_and_always_ends(delays, scale, touches, clock):
    """Whatever happens, stages come in order and every run ends at the same expiry."""
    policy = EscalationPolicy.model_validate(
        {
            "id": "p", "tenant": "t", "name": "n", "clock": clock, "autoCloseMinutes": 1440,
            "stages": [{"delaySeconds": delay, "channels": []} for delay in delays],
        }
    )  # fmt: skip
    run = EscalationRun(policy, START, scale)
    last = START
    for touch in [*sorted(touches), None] * 9:
        due = run.due_next()
        assert due.at >= last or clock == "created"
        assert due.at <= run.expires_at
        if due.stage is None:
            break
        run.next_stage = due.stage + 1
        last = due.at
        if touch is not None:
            run.touch(START + timedelta(seconds=touch) / scale)
    assert run.due_next().at == START + timedelta(days=1) / scale


def acknowledged(at, timeout=0, scale=1, next_stage=1):
    """A run that somebody is on since `at`."""
    policy = POLICY.model_copy(update={"ack_timeout_seconds": timeout})
    run = EscalationRun(policy, START, scale, next_stage)
    run.acknowledge(at)
    return run


def test_an_ack_leaves_nothing_but_the_expiry():
    """It cancels the remaining stages; expiry still runs, and not later than before."""
    run = acknowledged(START + HOUR)
    assert (run.due_next().name, run.due_next().at) == ("expiry", START + 24 * HOUR)
    assert run.is_held(START + 23 * HOUR)
    run.acknowledge(None)
    assert (run.due_next().stage, run.is_held(START)) == (1, False)


def test_a_forgotten_ack_resumes_at_the_next_stage():
    """The stages that were held back come when it lapses, none before, in order."""
    run = acknowledged(START + HOUR, timeout=6 * 3600)
    assert (run.due_next().stage, run.due_next().at) == (1, START + 7 * HOUR)
    assert run.due_next().ready_at == START + 7 * HOUR
    assert run.is_held(START + 7 * HOUR - timedelta(seconds=1))
    assert not run.is_held(START + 7 * HOUR)
    late = acknowledged(START + HOUR, timeout=13 * 3600)
    assert late.due_next().at == START + 14 * HOUR
    late.next_stage = 2
    assert late.due_next().at == START + 14 * HOUR


def test_an_ack_that_lapses_before_the_next_stage_changes_nothing():
    """The reminder stays where it was, and begins no earlier than the ack allows."""
    run = acknowledged(START + HOUR, timeout=3600)
    assert run.due_next() == EscalationRun(POLICY, START, next_stage=1).due_next()
    close = acknowledged(START + 3 * HOUR, timeout=3599)
    assert (close.due_next().at, close.due_next().ready_at) == (
        START + 4 * HOUR,
        START + 4 * HOUR - timedelta(seconds=1),
    )


def test_an_ack_that_would_lapse_after_the_end_holds_until_the_end():
    """No stage runs after the expiry."""
    assert acknowledged(START + 20 * HOUR, timeout=5 * 3600).due_next().name == "expiry"


def test_a_sped_up_run_speeds_up_the_time_out_too():
    """Demonstrations divide every delay."""
    assert acknowledged(START, timeout=86_000, scale=3600, next_stage=2).due_next().at == START + HOUR * (
        86_000 / 3600 / 3600
    )


@given(st.integers(0, 90_000), st.integers(0, 90_000), st.integers(0, 3), st.integers(1, 5000))
def test_no_ack_moves_the_expiry_or_brings_a_stage_forward(at, timeout, next_stage, scale):
    """Whatever is acknowledged whenever."""
    run = acknowledged(START + timedelta(seconds=at) / scale, timeout, scale, next_stage)
    plain = EscalationRun(POLICY, START, scale, next_stage)
    assert run.expires_at == plain.expires_at
    assert plain.due_next().at <= run.due_next().at <= run.expires_at
    assert run.due_next().ready_at <= run.due_next().at
    assert not run.is_held(run.due_next().ready_at) or run.due_next().stage is None


BROKEN = {
    "delays equal": lambda p: p["stages"][1].update(delaySeconds=0),
    "delays decrease": lambda p: p["stages"][1].update(delaySeconds=99999),
    "expiry before last stage": lambda p: p.update(autoCloseMinutes=720),
    "expiry in a million years": lambda p: p.update(autoCloseMinutes=10**12),
    "no stages": lambda p: p.update(stages=[]),
    "unknown field": lambda p: p.update(colour="red"),
    "tier 4": lambda p: p["stages"][0]["notify"].update(tier=4),
    "negative delay": lambda p: p["stages"][0].update(delaySeconds=-1),
    "fraction": lambda p: p["stages"][0].update(delaySeconds=0.5),
    "no retries": lambda p: p["retry"].update(maxAttempts=0),
}


@pytest.mark.parametrize("breakage", BROKEN.values(), ids=BROKEN)
def test_a_policy_that_can_not_work_is_refused(breakage):
    """Publication checks that need no database, each with the field named."""
    document = POLICY.model_dump(mode="json", by_alias=True)
    breakage(document)
    with pytest.raises(InvalidInput) as caught:
        EscalationPolicy.parse(json.dumps(document))
    assert caught.value.field


def test_the_minimal_policy_gets_the_defaults():
    """Only id, tenant, name, stages, autoCloseMinutes and retry are needed."""
    policy = EscalationPolicy.parse(
        '{"id":"x","tenant":"t","name":"n","stages":[{"delaySeconds":0,"channels":["a"]}],'
        '"autoCloseMinutes":60,"retry":{"maxAttempts":3,"backoffSeconds":60}}'
    )
    assert (policy.clock, policy.throttle_window_seconds, policy.stages[0].notify.tier) == (
        "created",
        1800,
        1,
    )


def test_the_content_hash_follows_the_content():
    """Same content, same hash, however it was written; another delay, another hash."""
    again = EscalationPolicy.parse(POLICY.model_dump_json(by_alias=True, indent=3))
    assert again.content_hash() == POLICY.content_hash()
    assert POLICY.model_copy(update={"auto_close_minutes": 1441}).content_hash() != POLICY.content_hash()
