"""Workflows of runs started by hand: they tell nobody early, end nothing, and hold nothing up."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy

from db.writes.events import raise_event
from domain.mint_request import MintStatus
from domain.run_steps import EscalationOrder
from domain.runs import EventKind, EventRun, RunState, event_run_id, run_workflow_id
from domain.steps import MINT_QUEUE
from starter.failures import domain_error
from tests.support.desk import PATIENCE
from tests.support.events import handle_of, messages_of, raised, rule_for, run_of, until_run

OCCURRENCE = "approved"


async def start_raw(desk, run, workflow_id=None):
    """Start the workflow of a run as anybody with access to the namespace can."""
    return await desk.client.start_workflow(
        "Escalation",
        run if isinstance(run, str) else EscalationOrder(run=run, summary="forged"),
        id=workflow_id or run_workflow_id(run.id),
        task_queue=MINT_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )


async def refusal(handle):
    """Why the workflow failed."""
    with pytest.raises(WorkflowFailureError) as failed:
        async with asyncio.timeout(PATIENCE):
            await handle.result()
    return domain_error(failed.value.cause).code


def invented(desk, ticket, **changes):
    """A run that was never recorded, under the id that it would have."""
    policy = desk.seeded.policy
    values = {
        "id": event_run_id("acme", EventKind.STALLED, ticket.id, OCCURRENCE),
        "tenant": "acme",
        "event_kind": EventKind.STALLED,
        "request_id": ticket.id,
        "occurrence": OCCURRENCE,
        "rule_id": "event:submission.stalled",
        "policy": policy,
        "action_hash": "0" * 64,
        "state": RunState.RUNNING,
        "started_at": datetime.now(UTC) - timedelta(days=2),
        "closes_at": datetime.now(UTC),
    }
    return EventRun(**(values | changes))


@pytest.fixture
async def approved(desk):
    """An approved request that no worker can submit, and a rule for what is stalled."""
    await rule_for(desk)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        await desk.until_status(ticket, MintStatus.APPROVED)
        yield ticket


@pytest.mark.parametrize("policy", ["as published", None])
async def test_an_invented_run_writes_nothing(desk, approved, policy):
    """Neither a row nor a message nor an audit event, with a policy or without."""
    before = await desk.kinds(approved)
    changes = {} if policy else {"policy": None}
    run = invented(desk, approved, **changes)
    assert await refusal(await start_raw(desk, run)) == "not_found"
    assert await messages_of(desk, run.id) == []
    assert await desk.kinds(approved) == before


async def test_a_workflow_under_another_id_can_not_take_a_run_over(desk, approved):
    """Only `escalation-<run id>` sees it through."""
    run_id = (await raised(desk, approved)).run_id
    run = await until_run(desk, run_id, lambda run: run.next_stage == 1)
    assert await refusal(await start_raw(desk, run, "escalation-mine")) == "refused"
    assert (await run_of(desk, run_id)).version == run.version


async def test_a_forged_birth_neither_hurries_nor_ends_a_run(desk, approved):
    """Restarted as if it were two days old: its stages and its end come when the database says."""
    run_id = (await raised(desk, approved)).run_id
    before = await until_run(desk, run_id, lambda run: run.next_stage == 1)
    await handle_of(desk, run_id).terminate("lost")
    handle = await start_raw(desk, invented(desk, approved, id=run_id))
    async with asyncio.timeout(PATIENCE):
        while (await handle.query("view"))["next_stage"] != 1:
            await asyncio.sleep(0.05)
    assert await run_of(desk, run_id) == before
    assert {row.stage for row in await messages_of(desk, run_id)} == {0}


async def test_a_patient_policy_can_not_keep_a_run_silent(desk, approved):
    """Started first, with stages that never come: the recorded policy counts, and its people hear."""
    late = desk.seeded.policy.stages[0].model_copy(update={"delay_seconds": 86_400 * 365})
    policy = desk.seeded.policy.model_copy(update={"stages": [late], "auto_close_minutes": 366 * 1440})
    await write_only(desk, approved)
    run_id = event_run_id("acme", EventKind.STALLED, approved.id, OCCURRENCE)
    await start_raw(desk, invented(desk, approved, policy=policy, started_at=datetime.now(UTC)))
    assert (await raised(desk, approved)).run_id == run_id
    await until_run(desk, run_id, lambda run: run.next_stage == 1)
    assert {row.stage for row in await messages_of(desk, run_id)} == {0}


async def test_input_that_nobody_can_read_can_not_keep_a_run_silent(desk, approved):
    """A squatter on the id of a run that is about to start makes way for it."""
    run_id = event_run_id("acme", EventKind.STALLED, approved.id, OCCURRENCE)
    squatter = await start_raw(desk, "garbage", run_workflow_id(run_id))
    with pytest.raises(WorkflowFailureError):
        async with asyncio.timeout(PATIENCE):
            await squatter.result()
    assert (await raised(desk, approved)).run_id == run_id
    await until_run(desk, run_id, lambda run: run.next_stage == 1)


async def write_only(desk, ticket):
    """Record the event as a worker does that dies before it starts the run."""
    async with desk.seeded.database.transaction() as tx:
        await raise_event(
            tx, request_id=ticket.id, kind=EventKind.STALLED, occurrence=OCCURRENCE, at=datetime.now(UTC)
        )
