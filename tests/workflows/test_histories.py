"""Replay: workflows of every released shape go on under today's code.

`tests/histories/<release>/` holds one history of each path. After a release that changes the shape on
purpose (with `workflow.patched`), record its own folder and leave the others:
`RECORD_HISTORIES=v2 pytest tests/workflows/test_histories.py`.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from stellar_sdk import Keypair
from temporalio import workflow
from temporalio.client import WorkflowHistory

from domain.ack import AckOutcome
from domain.approvals import Verdict
from domain.commands import CommandAction
from domain.mint_request import MintStatus
from domain.runs import EventKind, RunState
from domain.steps import AssignMessage, CommentMessage
from starter import decisions
from starter.ids import new_message_id
from tests.support.acks import FORGER, envelope_for
from tests.support.commands import a_command, command, raw_command
from tests.support.events import handle_of, raised, rule_for, until_run
from worker import replayer

HISTORIES = Path(__file__).parents[1] / "histories"
RECORDED = sorted(HISTORIES.glob("*/*.json"))
TWO_APPROVALS = 200_000_000_000


async def confirmed(desk):
    """The plain path."""
    ticket = await desk.submit()
    await desk.decide(ticket, "alice")
    return ticket


async def confirmed_by_signals(desk):
    """Two approvals by signal, with forgeries between them."""
    ticket = await desk.submit(amount=TWO_APPROVALS)
    for signed in (desk.sign(ticket, "alice"), "junk", desk.sign(ticket, "rita"), desk.sign(ticket, "carol")):
        await ticket.handle.signal("approve", signed)
    return ticket


async def rejected(desk):
    """Claimed, assigned, released, commented, then rejected."""
    ticket = await desk.submit()
    for verb, assignee in (("claim", None), ("assign", "bob"), ("release", None)):
        message = AssignMessage(actor="alice", assignee=assignee, message_id=new_message_id())
        await decisions.send_assignment(desk.client, ticket.id, verb, message, 30)
    comment = CommentMessage(author="alice", text="looking", comment_id=new_message_id())
    await decisions.send_comment(desk.client, ticket.id, comment)
    await desk.decide(ticket, "bob", Verdict.REJECT)
    return ticket


async def cancelled(desk):
    """Cancelled by its requester, after Temporal's own cancel was ignored."""
    ticket = await desk.submit()
    await desk.until_status(ticket, MintStatus.PENDING)
    await ticket.handle.cancel()
    await desk.decide(ticket, "rita", Verdict.CANCEL)
    return ticket


async def expired(desk):
    """Reminded, escalated and expired within two seconds."""
    return await desk.submit(sla_scale=40_000)


async def escalated(desk):
    """Nobody worked for 13 h; tier 3 takes over, and the mint is confirmed."""
    ticket = await desk.submit(created_at=datetime.now(UTC) - timedelta(hours=13))
    await desk.until(ticket, lambda record: record.next_stage == 3)
    await desk.decide(ticket, "dave")
    return ticket


async def acknowledged(desk):
    """Somebody is on it, after a forgery and before another's; then it is approved."""
    ticket = await desk.submit()
    await desk.until_status(ticket, MintStatus.PENDING)
    database = desk.seeded.database
    await ticket.handle.signal("ack", await envelope_for(database, ticket.id, authority=FORGER))
    for recipient in ("#mint", "alice"):
        envelope = await envelope_for(database, ticket.id, recipient=recipient)
        await ticket.handle.execute_update("acknowledge", envelope, result_type=AckOutcome)
    await desk.decide(ticket, "alice")
    return ticket


async def resumed(desk):
    """Its stages were cancelled and resumed, after a forgery; then it is approved."""
    ticket = await desk.submit()
    await desk.until_status(ticket, MintStatus.PENDING)
    await raw_command(desk, ticket.id, a_command(desk, ticket.id, "rita"))
    for action in (CommandAction.CANCEL_ESCALATION, CommandAction.RESUME_ESCALATION):
        await command(desk, ticket.id, action=action)
    await desk.decide(ticket, "alice")
    return ticket


async def failed(desk):
    """The destination does not exist: refused before anything was signed."""
    ticket = await desk.submit(destination=Keypair.random().public_key)
    await desk.decide(ticket, "alice")
    return ticket


async def timed_out(desk):
    """Dropped by every node until the bound had passed, which takes longer than the first looks."""
    await desk.ledger.fault("timeout_never_land", count=1000)
    return await confirmed(desk)


ENDS = {
    confirmed: MintStatus.CONFIRMED,
    confirmed_by_signals: MintStatus.CONFIRMED,
    rejected: MintStatus.REJECTED,
    cancelled: MintStatus.CANCELLED,
    expired: MintStatus.EXPIRED,
    escalated: MintStatus.CONFIRMED,
    acknowledged: MintStatus.CONFIRMED,
    resumed: MintStatus.CONFIRMED,
    failed: MintStatus.FAILED,
    timed_out: MintStatus.TIMEOUT_FAILED,
}


@pytest.mark.parametrize("play", ENDS, ids=lambda play: play.__name__)
async def test_every_path_replays_as_it_was_recorded(minting_desk, play):
    """Each path ends as it should, and its fresh history replays without a difference."""
    desk = minting_desk
    # read when the worker starts; longer than the first looks, so that `settle` has to prove
    desk.window_seconds = 14
    async with desk.worker():
        ticket = await play(desk)
        result = await ticket.handle.result()
    assert result.status is ENDS[play]
    await _replay(await ticket.handle.fetch_history(), play.__name__)


async def run_closed(desk, ticket):
    """All stages of an event's run, and the end of its time, within two seconds."""
    return (await raised(desk, ticket)).run_id


async def run_cancelled(desk, ticket):
    """Acknowledged, taken back, looked at, cancelled by Temporal in vain, and cancelled."""
    run_id = (await raised(desk, ticket)).run_id
    await until_run(desk, run_id, lambda run: run.next_stage > 0)
    handle = handle_of(desk, run_id)
    envelope = await envelope_for(desk.seeded.database, ticket.id, run_id=run_id)
    await handle.execute_update("acknowledge", envelope, result_type=AckOutcome)
    await command(desk, run_id, action=CommandAction.RESUME_ESCALATION)
    await handle.signal("look")
    await handle.cancel()
    await command(desk, run_id)
    return run_id


RUN_ENDS = {run_closed: (RunState.CLOSED, 40_000), run_cancelled: (RunState.CANCELLED, 1)}


@pytest.mark.parametrize("play", RUN_ENDS, ids=lambda play: play.__name__)
async def test_every_path_of_a_run_replays_as_it_was_recorded(desk, play):
    """The same for the runs of operational events."""
    state, scale = RUN_ENDS[play]
    await rule_for(desk, EventKind.STALLED)
    async with desk.worker():
        ticket = await desk.submit(sla_scale=scale)
        await desk.decide(ticket, "alice")
        handle = handle_of(desk, await play(desk, ticket))
        result = await handle.result()
    assert result["state"] == state
    await _replay(await handle.fetch_history(), play.__name__)


async def _replay(history, name):
    """Today's history replays; under RECORD_HISTORIES it is kept."""
    await replayer().replay_workflow(history)
    if release := os.environ.get("RECORD_HISTORIES"):
        folder = HISTORIES / release
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(history.to_json() + "\n")


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_a_workflow_of_a_released_shape_still_replays(path):
    """Requests in flight survive a deployment: their histories replay under today's code."""
    history = WorkflowHistory.from_json(f"mint-{path.stem}", path.read_text())
    result = await replayer().replay_workflow(history)
    assert result.replay_failure is None


def test_every_path_has_a_recorded_history():
    """The first release's folder holds all paths, so that none is forgotten."""
    recorded = {path.stem for path in RECORDED if path.parent.name == "v1"}
    assert recorded == {play.__name__ for play in (*ENDS, *RUN_ENDS)}


async def test_replay_notices_a_changed_shape():
    """The check can fail: a history in which another activity was scheduled does not replay."""
    text = (HISTORIES / "v1" / "confirmed.json").read_text()
    assert '"name": "submit"' in text
    changed = WorkflowHistory.from_json("mint-changed", text.replace('"name": "submit"', '"name": "mint"'))
    with pytest.raises(workflow.NondeterminismError):
        await replayer().replay_workflow(changed)
