"""Acknowledging the run of an operational event: its own workflow is told, and nothing else moves."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.acks import AckActivities
from domain.ack import AckClaim, AckOutcome, decode
from domain.errors import AckRefused
from domain.runs import RunState
from domain.steps import AckStep
from starter import acks
from tests.support.acks import AUTHORITY, FORGER, envelope_for, token_for
from tests.support.events import handle_of, messages_of, raised, rule_for, run_of, until_run

HOUR = timedelta(hours=1)


@pytest.fixture
async def alarm(desk):
    """A request and the run of an event of it, whose first stage has been sent."""
    await rule_for(desk)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        run_id = (await raised(desk, ticket)).run_id
        await until_run(desk, run_id, lambda run: run.next_stage > 0)
        yield ticket, run_id


async def claim_of(desk, run_id, recipient="#mint", **changes):
    """What the first message of a run to that recipient lets it say, with changes."""
    run = await run_of(desk, run_id)
    async with desk.seeded.database.transaction() as tx:
        found = await tx.execute(
            text("SELECT id FROM deliveries WHERE run_id = :id AND stage = 0 AND recipient = :recipient"),
            {"id": run_id, "recipient": recipient},
        )
        delivery = found.scalars().first()
    now = datetime.now(UTC)
    values = {
        "tenant": run.tenant,
        "delivery_id": delivery,
        "expires_utc": now + HOUR,
        "rule_id": run.rule_id,
        "action_hash": run.action_hash,
        "jti": delivery[::-1],
        "sub": recipient,
        "purpose": "ack",
        "request_id": run.request_id,
        "stage": 0,
        "iat": int(now.timestamp()),
    }
    return AckClaim(**(values | changes))


async def use(desk, token):
    """Use a token as web server and CLI do."""

    async def connect():
        return desk.client

    return await acks.acknowledge(connect, desk.seeded.database, AUTHORITY, token, 30)


async def test_an_ack_holds_the_stages_of_its_run_back(desk, alarm):
    """The receipt names the run; the request's own run and its acknowledgement are untouched."""
    ticket, run_id = alarm
    token = AUTHORITY.issue(await claim_of(desk, run_id))
    first, again = [await use(desk, token) for _ in range(2)]
    assert first == again
    assert (first.run_id, first.request_id, first.acknowledged_by) == (run_id, ticket.id, "#mint")
    run = await run_of(desk, run_id)
    assert (run.acknowledged_by, run.next_stage, run.state) == ("#mint", 1, RunState.RUNNING)
    assert (await desk.record(ticket)).acknowledged_at is None
    states = {row.state for row in await messages_of(desk, run_id) if row.channel_kind != "in-app"}
    assert states == {"skipped"}
    with pytest.raises(AckRefused) as caught:
        await use(desk, AUTHORITY.issue(await claim_of(desk, run_id, recipient="alice")))
    assert caught.value.reason == "already_acknowledged"
    assert caught.value.recorded["run_id"] == run_id
    assert (await desk.kinds(ticket)).count("ack") == 1


async def test_an_ack_of_a_run_that_is_over_hears_how_it_ended(desk, alarm):
    """409 with the recorded outcome, judged by the run and not by the request."""
    _, run_id = alarm
    token = AUTHORITY.issue(await claim_of(desk, run_id))
    async with desk.seeded.database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE escalation_runs SET state = 'closed', version = version + 1, ended_at = now(), "
                "ended_by = 'clock', reason = 'its time was over' WHERE id = :id"
            ),
            {"id": run_id},
        )
    with pytest.raises(AckRefused) as caught:
        await use(desk, token)
    assert (caught.value.reason, caught.value.recorded["status"]) == ("over", "closed")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rule_id": "event:sla.overdue"}, "wrong_request"),
        ({"action_hash": "0" * 64}, "wrong_request"),
        ({"tenant": "globex"}, "wrong_tenant"),
        ({"expires_utc": datetime(2026, 1, 1, tzinfo=UTC)}, "expired"),
        ({"purpose": "login"}, "wrong_purpose"),
    ],
)
async def test_the_runs_own_workflow_checks_again(desk, alarm, changes, reason):
    """Told past all checks, it refuses, records why, and goes on."""
    ticket, run_id = alarm
    envelope = decode(AUTHORITY.issue(await claim_of(desk, run_id, **changes)))
    said = await handle_of(desk, run_id).execute_update("acknowledge", envelope, result_type=AckOutcome)
    assert (said.receipt, said.reason) == (None, reason)
    refusals = [event for event in await desk.audit(ticket) if event["kind"] == "ack.refused"]
    assert [event["details"]["reason"] for event in refusals] == [reason]
    assert (await run_of(desk, run_id)).acknowledged_at is None


async def test_tokens_of_one_run_are_worthless_in_the_other(desk, alarm):
    """The request's in the event's workflow and the other way round, and a forged one anywhere."""
    ticket, run_id = alarm
    own = await envelope_for(desk.seeded.database, ticket.id)
    event = decode(AUTHORITY.issue(await claim_of(desk, run_id)))
    forged = decode(FORGER.issue(await claim_of(desk, run_id)))
    for handle, envelope, reason in (
        (handle_of(desk, run_id), own, "wrong_request"),
        (ticket.handle, event, "wrong_request"),
        (handle_of(desk, run_id), forged, "bad_signature"),
    ):
        said = await handle.execute_update("acknowledge", envelope, result_type=AckOutcome)
        assert (said.receipt, said.reason) == (None, reason)


async def test_a_token_of_the_request_still_acknowledges_the_request(desk):
    """An event's run beside it changes nothing for the request's own messages."""
    await rule_for(desk)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until(ticket, lambda record: record.next_stage > 0)
        run_id = (await raised(desk, ticket)).run_id
        receipt = await use(desk, await token_for(desk.seeded.database, ticket.id))
        assert (receipt.run_id, (await desk.record(ticket)).acknowledged_by) == (None, "#mint")
        assert (await run_of(desk, run_id)).acknowledged_at is None


async def test_a_worker_that_dies_with_the_answer_acknowledges_once(desk, alarm):
    """The step runs again after it was written: the same receipt."""
    ticket, run_id = alarm
    signed = decode(AUTHORITY.issue(await claim_of(desk, run_id))).model_dump(by_alias=True)
    step = AckStep(run_id=run_id, request_id=ticket.id, tenant="acme", signed=signed, at=datetime.now(UTC))
    activities = AckActivities(desk.seeded.database, AUTHORITY)
    first, again = [await ActivityEnvironment().run(activities.acknowledge, step) for _ in range(2)]
    assert first == again
    assert first.run.acknowledged_by == "#mint"


async def test_without_a_worker_the_ack_is_kept_as_a_signal(desk):
    """It takes effect when a worker is back."""
    await rule_for(desk)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        run_id = (await raised(desk, ticket)).run_id
        await until_run(desk, run_id, lambda run: run.next_stage > 0)
        token = AUTHORITY.issue(await claim_of(desk, run_id))
    await handle_of(desk, run_id).signal("ack", decode(token))
    await asyncio.sleep(0)
    async with desk.worker():
        run = await until_run(desk, run_id, lambda run: run.acknowledged_at is not None)
    assert run.acknowledged_by == "#mint"
