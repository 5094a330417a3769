"""Messages and policies made to stop runs: whatever arrives, people are told, decide, and are in time."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError

from db.writes.event_rules import set_event_rule
from db.writes.publication import publish_policy, switch_policy
from db.writes.withdrawal import delete_policy
from domain import dsse
from domain.commands import COMMAND_TYPE, CommandAction
from domain.runs import EventAction, EventKind, EventRule, RunState
from tests.adversary.test_poison import POISON
from tests.support.commands import a_command, command, raw_command
from tests.support.desk import PATIENCE
from tests.support.events import handle_of, raised, rule_for, run_of, until_run
from tests.workflows.test_acks import acknowledge
from tests.workflows.test_upkeep import delete_workflow, run_audit

HOUR = timedelta(hours=1)


async def poisoned(handle, poison, *signals):
    """Send it as a signal and as an update, any answer but an acceptance will do."""
    for name in signals:
        await handle.signal(name, poison)
    for name in ("acknowledge", "command"):
        try:
            answer = await handle.execute_update(name, poison)
        except WorkflowUpdateFailedError:
            continue
        assert not answer.get("accepted")
        assert not answer.get("receipt")


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_no_payload_stops_a_request_or_a_run(desk, pending, poison):
    """Acknowledgements and commands of any encoding and depth: both workflows go on."""
    await rule_for(desk)
    await poisoned(pending.handle, poison, "ack")
    assert (await desk.decide(pending, "alice")).accepted
    run_id = (await raised(desk, pending)).run_id
    await until_run(desk, run_id, lambda run: run.next_stage > 0)
    await poisoned(handle_of(desk, run_id), poison, "ack", "look")
    assert (await command(desk, run_id)).accepted
    assert (await run_of(desk, run_id)).state is RunState.CANCELLED


async def test_a_command_that_can_not_be_looked_up_is_refused_at_once(desk, pending):
    """A NUL in its tenant: no attempt after attempt that keeps a decision waiting."""
    payload = json.dumps(
        json.loads(dsse.unverified_payload(a_command(desk, pending.id))) | {"tenant": "ac\x00me"}
    ).encode()
    told = dsse.sign(payload, COMMAND_TYPE, desk.seeded.keys["adam"])
    assert (await raw_command(desk, pending.id, told)).reason == "invalid_input"
    assert (await desk.decide(pending, "alice")).accepted


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_deleted_policy_goes_on_for_a_request_that_was_held_back(desk, pending, resumed):
    """Cancelled, its policy withdrawn, its workflow lost: started again, resumed, decided."""
    await command(desk, pending.id)
    await withdraw(desk)
    if resumed:
        await command(desk, pending.id, action=CommandAction.RESUME_ESCALATION)
    await delete_workflow(desk.client, pending.handle.id)
    report = await run_audit(desk)
    assert report.restarted == (pending.id,)
    async with asyncio.timeout(PATIENCE):
        while (await desk.view(pending)).next_timer is None:
            await asyncio.sleep(0.05)
    assert (await desk.view(pending)).next_timer["name"] == ("reminder due" if resumed else "expiry")
    assert (await desk.decide(pending, "alice")).accepted


async def withdraw(desk):
    """Nothing new uses the demo policy any more, and it is deleted."""
    other = desk.seeded.policy.model_copy(update={"id": "acme-other"})
    by = {"actor": "adam", "at": datetime.now(UTC)}
    async with desk.seeded.database.transaction() as tx:
        await publish_policy(tx, policy=other, **by)
        await switch_policy(tx, tenant="acme", policy_id=other.id, **by)
        for kind in EventKind:
            rule = EventRule(tenant="acme", event_kind=kind, action=EventAction.INFORM)
            await set_event_rule(tx, rule=rule, **by)
        await delete_policy(tx, tenant="acme", policy_id=desk.seeded.policy.id, **by)


async def test_a_run_started_twice_tells_once(desk, pending):
    """Terminated between two stages and started again by audit and worker at once: each message once."""
    await rule_for(desk)
    await desk.decide(pending, "alice")
    run_id = (await raised(desk, pending)).run_id
    await until_run(desk, run_id, lambda run: run.next_stage > 0)
    before = await run_of(desk, run_id)
    await handle_of(desk, run_id).terminate("lost")
    await asyncio.gather(run_audit(desk), *(raised(desk, pending) for _ in range(3)))
    await acknowledge(desk, pending, run_id=run_id)
    after = await run_of(desk, run_id)
    assert (after.version, after.next_stage) == (before.version + 1, before.next_stage)
