"""Runs of operational events: the same engine, in a workflow of their own."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db.reads.escalations import run_stages
from db.writes import publication
from db.writes.events import raise_event
from domain.approvals import Verdict
from domain.escalation import Notify, Stage
from domain.mint_request import MintStatus
from domain.runs import EventAction, EventKind, RunState
from tests.support.anomalies import desk_loses_a_sequence, look
from tests.support.events import handle_of, messages_of, raised, rule_for, run_of, until_run
from tests.workflows.test_upkeep import delete_workflow, run_audit
from workflows import ledger_steps

HOUR = timedelta(hours=1)


@pytest.fixture
async def approved(desk):
    """An approved request that no worker can submit, its worker running."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        yield ticket


async def until_sent(desk, run_id, stage):
    """Wait until a stage of a run has been written."""
    return await until_run(desk, run_id, lambda run: run.next_stage > stage)


async def test_a_run_tells_stage_by_stage_until_its_time_is_over(skipping_desk):
    """The policy's delays from the start of the run; each stage tells its people, then it closes."""
    desk = skipping_desk
    await rule_for(desk)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        run_id = (await raised(desk, ticket)).run_id
        await until_sent(desk, run_id, 0)
        handle = handle_of(desk, run_id)
        await desk.env.fast_forward(handle, 4 * HOUR)
        await until_sent(desk, run_id, 1)
        assert {row.stage for row in await messages_of(desk, run_id)} == {0, 1}
        await desk.env.fast_forward(handle, 21 * HOUR)
        await handle.result()
    run = await run_of(desk, run_id)
    assert (run.state, run.ended_by, run.next_stage) == (RunState.CLOSED, "clock", 3)
    assert {row.kind for row in await messages_of(desk, run_id)} == {"event_stalled"}
    kinds = await desk.kinds(ticket)
    assert [kind for kind in kinds if kind.startswith("escalation.")] == [
        "escalation.started",
        *["escalation.stage_sent"] * 3,
        "escalation.closed",
    ]
    assert (await desk.record(ticket)).granted_tiers == ()


async def test_a_submission_without_an_answer_raises_the_alarm_and_its_end_ends_it(minting_desk, monkeypatch):
    """No ledger closes: people are told; once it lands, the run is over."""
    desk = minting_desk
    monkeypatch.setattr(ledger_steps, "STALLED_AFTER", timedelta(seconds=1))
    await rule_for(desk)
    async with desk.worker():
        await desk.ledger.fault("stop_closing")
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        run_id = await _until_started(desk, ticket)
        await until_sent(desk, run_id, 0)
        await desk.ledger.clear_faults()
        assert (await ticket.handle.result()).status is MintStatus.CONFIRMED
        run = await until_run(desk, run_id, lambda run: run.state is not RunState.RUNNING)
    assert (run.event_kind, run.state) == (EventKind.STALLED, RunState.RESOLVED)
    assert run.reason == "the request is CONFIRMED"


async def _until_started(desk, ticket):
    async with asyncio.timeout(60):
        while True:
            for event in await desk.audit(ticket):
                if event["kind"] == "escalation.started":
                    return event["details"]["runId"]
            await asyncio.sleep(0.1)


async def test_the_same_event_is_one_run_however_often_it_is_reported(desk, approved):
    """A worker that dies after raising raises again: one run, one workflow, one set of messages."""
    await rule_for(desk)
    first = await raised(desk, approved)
    await until_sent(desk, first.run_id, 0)
    before = await messages_of(desk, first.run_id)
    assert await raised(desk, approved) == first
    assert await messages_of(desk, first.run_id) == before
    assert (await desk.kinds(approved)).count("escalation.started") == 1


async def test_a_second_run_for_the_same_thing_is_throttled_and_recorded(desk, approved):
    """Within the policy's window: not started, nobody told, and it shows whom it would have told."""
    await rule_for(desk)
    first = await raised(desk, approved)
    await until_sent(desk, first.run_id, 0)
    second = await raised(desk, approved, occurrence="again")
    assert (first.state, second.state) == (RunState.RUNNING, RunState.THROTTLED)
    run = await run_of(desk, second.run_id)
    assert first.run_id in run.reason
    rows = await messages_of(desk, second.run_id)
    assert rows
    assert {row.state for row in rows} == {"throttled"}
    assert "escalation.throttled" in await desk.kinds(approved)


async def test_after_the_window_the_next_run_starts(desk, approved):
    """A window of nothing throttles nothing."""
    open_policy = desk.seeded.policy.model_copy(update={"id": "acme-open", "throttle_window_seconds": 0})
    await _publish(desk, open_policy)
    await rule_for(desk, policy=open_policy)
    runs = [await raised(desk, approved, occurrence=word) for word in ("one", "two")]
    assert [run.state for run in runs] == [RunState.RUNNING, RunState.RUNNING]


async def _publish(desk, policy):
    async with desk.seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))


async def test_a_rule_may_ask_for_one_message_only(desk, approved):
    """`inform`: the leads get one message, and nothing escalates."""
    await rule_for(desk, action=EventAction.INFORM)
    word = await raised(desk, approved)
    assert word.state is RunState.SUPPRESSED
    rows = await messages_of(desk, word.run_id)
    assert {row.stage for row in rows} == {None}
    assert {(row.kind, row.state) for row in rows} == {("event_stalled", "pending")}
    assert "escalation.suppressed" in await desk.kinds(approved)


async def test_without_a_rule_the_leads_are_informed(desk, approved):
    """Nobody has said what to do: one message, never silence."""
    assert (await raised(desk, approved)).state is RunState.SUPPRESSED


async def test_a_rule_may_ask_for_nothing(desk, approved):
    """`ignore`: no run, no message, no event."""
    await rule_for(desk, action=EventAction.IGNORE)
    before = await desk.kinds(approved)
    assert (await raised(desk, approved)).run_id is None
    assert await desk.kinds(approved) == before


async def test_a_run_ends_when_the_request_has_moved_on(desk, approved):
    """What it was about is over: the next look resolves it, and what it had not sent is skipped."""
    await rule_for(desk, EventKind.SLA_OVERDUE)
    run = await raised(desk, approved, EventKind.SLA_OVERDUE, "PENDING:1")
    ended = await until_run(desk, run.run_id, lambda run: run.state is not RunState.RUNNING)
    assert (ended.state, ended.reason) == (RunState.RESOLVED, "the request is APPROVED")
    assert await messages_of(desk, run.run_id) == []


async def test_a_lost_run_is_started_again_where_the_database_stands(desk, approved):
    """Its workflow was deleted: the audit starts it again; no stage is sent twice."""
    await rule_for(desk)
    run = await raised(desk, approved)
    await until_sent(desk, run.run_id, 0)
    before = await messages_of(desk, run.run_id)
    await delete_workflow(desk.client, f"escalation-{run.run_id}")
    assert (await run_audit(desk)).restarted_runs == (run.run_id,)
    assert (await run_audit(desk)).restarted_runs == ()
    view = await handle_of(desk, run.run_id).query("view")
    assert (view["state"], view["next_stage"]) == ("running", 1)
    assert await messages_of(desk, run.run_id) == before


async def test_a_run_whose_worker_died_before_starting_it_is_started_by_the_audit(desk, approved):
    """The row was written and nobody started the workflow."""
    await rule_for(desk)
    async with desk.seeded.database.transaction() as tx:
        run = await raise_event(
            tx,
            request_id=approved.id,
            kind=EventKind.STALLED,
            occurrence="approved",
            at=datetime.now(UTC),
        )
    assert (await run_audit(desk)).restarted_runs == (run.id,)
    await until_sent(desk, run.id, 0)


async def test_raw_signals_of_any_shape_do_no_harm(desk, approved):
    """Whoever reaches Temporal can say `look`, and garbage: nothing happens but looking."""
    await rule_for(desk)
    run = await raised(desk, approved)
    handle = handle_of(desk, run.run_id)
    for arguments in ([], [1], ["a", {"b": None}]):
        await handle.signal("look", args=arguments)
    await until_sent(desk, run.run_id, 0)
    assert (await run_of(desk, run.run_id)).state is RunState.RUNNING


async def test_a_signal_for_the_approval_ends_no_run(desk, approved):
    """A run decides nothing: a decision sent to it is lost on it."""
    await rule_for(desk)
    run = await raised(desk, approved)
    signed = desk.sign(approved, "bob")
    await handle_of(desk, run.run_id).signal("approve", signed)
    await until_sent(desk, run.run_id, 0)
    assert [approval.approver for approval in (await desk.record(approved)).approvals] == ["alice"]


def _hours_around_now():
    """Quiet hours that have begun two hours ago and last for two more."""
    begin, end = (datetime.now(UTC) + sign * 2 * HOUR for sign in (-1, 1))
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    return [{"days": days, "from": f"{begin:%H:%M}", "to": f"{end:%H:%M}", "zone": "UTC"}]


async def _quiet(desk):
    async with desk.seeded.database.transaction() as tx:
        statement = text("UPDATE tenants SET quiet_hours = CAST(:hours AS jsonb) WHERE code = 'acme'")
        await tx.execute(statement, {"hours": json.dumps(_hours_around_now())})


async def test_what_is_not_urgent_starts_no_run_in_quiet_hours(desk, approved):
    """One message for the end of the window, and nobody is woken."""
    await rule_for(desk, urgent=False)
    await _quiet(desk)
    word = await raised(desk, approved)
    run = await run_of(desk, word.run_id)
    assert (word.state, run.reason) == (RunState.SUPPRESSED, "not urgent, and these are quiet hours")
    assert {(row.stage, row.state) for row in await messages_of(desk, word.run_id)} == {(None, "deferred")}


async def test_what_is_urgent_runs_in_quiet_hours(desk, approved):
    """Its stages tell their people at once."""
    await rule_for(desk)
    await _quiet(desk)
    alarm = await raised(desk, approved)
    await until_sent(desk, alarm.run_id, 0)
    assert "deferred" not in {row.state for row in await messages_of(desk, alarm.run_id)}


async def test_a_stage_that_reaches_nobody_passes_to_the_next_at_once(desk, approved):
    """Everybody of tier 1 has left since the policy was published: recorded, and tier 2 hears of it now."""
    stages = [
        Stage(delay_seconds=0, channels=["email"], notify=Notify(tier=1)),
        Stage(delay_seconds=86_000, channels=["email"], notify=Notify(tier=2), template="escalation"),
    ]
    by_mail = desk.seeded.policy.model_copy(update={"id": "acme-mail", "stages": stages})
    await _publish(desk, by_mail)
    await rule_for(desk, policy=by_mail)
    async with desk.seeded.database.transaction() as tx:
        await tx.execute(text("UPDATE users SET active = false WHERE tier = 1"))
    run_id = (await raised(desk, approved)).run_id
    await until_sent(desk, run_id, 1)
    assert [(row.stage, row.recipient) for row in await messages_of(desk, run_id)] == [(1, "carol")]
    kinds = [kind for kind in await desk.kinds(approved) if kind.startswith("escalation.")]
    assert kinds == ["escalation.started", "escalation.no_route", "escalation.stage_sent"]
    async with desk.seeded.database.transaction() as tx:
        assert [stage.routed for stage in await run_stages(tx, run_id)] == [False, True]


async def test_an_anomaly_raises_the_alarm_and_its_resolution_ends_it(minting_desk):
    """People are told while an operator has to look; nobody is told any more once it is resolved."""
    desk = minting_desk
    desk.window_seconds = 5
    await rule_for(desk, EventKind.ANOMALY)
    async with desk.worker():
        ticket = await desk_loses_a_sequence(desk)
        run_id = await _until_started(desk, ticket)
        await until_sent(desk, run_id, 0)
        evidence = (await look(desk, ticket)).evidence
        word = {"reason": "spent by hand", "evidence": evidence}
        assert (await desk.decide(ticket, "adam", Verdict.FAILED, **word)).accepted
        run = await until_run(desk, run_id, lambda run: run.state is not RunState.RUNNING)
    assert (run.event_kind, run.state, run.reason) == (
        EventKind.ANOMALY,
        RunState.RESOLVED,
        "the request is FAILED",
    )
    rows = await messages_of(desk, run_id)
    assert {(row.stage, row.kind) for row in rows} == {(0, "event_anomaly")}
    assert "pending" not in {row.state for row in rows}


async def test_a_rule_that_is_changed_in_flight_changes_nothing_for_its_run(desk, approved):
    """Started as urgent: its stages still pass over quiet hours when the rule says otherwise."""
    await rule_for(desk)
    async with desk.seeded.database.transaction() as tx:
        run = await raise_event(
            tx, request_id=approved.id, kind=EventKind.STALLED, occurrence="approved", at=datetime.now(UTC)
        )
    await rule_for(desk, urgent=False)
    await _quiet(desk)
    assert run.id in (await run_audit(desk)).restarted_runs
    await until_sent(desk, run.id, 0)
    assert "deferred" not in {row.state for row in await messages_of(desk, run.id)}
