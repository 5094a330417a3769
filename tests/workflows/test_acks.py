"""Acknowledgements reach the workflow: stages stop, the expiry comes, and forgeries change nothing."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.acks import AckActivities
from activities.requests import RequestActivities
from db.writes import publication
from domain.ack import AckOutcome
from domain.errors import AckRefused
from domain.mint_request import MintStatus
from domain.steps import AckStep, StageStep
from sandbox.providers import running_providers
from starter import acks
from tests.support.acks import AUTHORITY, FORGER, claim_for, envelope_for, token_for
from tests.support.outbox import Outbox
from tests.workflows.test_upkeep import delete_workflow, run_audit

HOUR = timedelta(hours=1)


async def acknowledge(desk, ticket, **changes):
    """Use a token of the request's first message, as web server and CLI do."""
    token = changes.pop("token", None) or await token_for(desk.seeded.database, ticket.id, **changes)

    async def connect():
        return desk.client

    return await acks.acknowledge(connect, desk.seeded.database, AUTHORITY, token, 30)


async def refused(desk, ticket, **changes):
    """The error of a token that has no effect."""
    with pytest.raises(AckRefused) as caught:
        await acknowledge(desk, ticket, **changes)
    return caught.value


async def send_raw(ticket, argument):
    """Send the update past all checks, as anybody with access to the namespace can."""
    return await ticket.handle.execute_update("acknowledge", argument, result_type=AckOutcome)


async def ack_refusals(desk, ticket, count=1):
    """Wait for so many refused acks; answers their events."""
    async with asyncio.timeout(30):
        while True:
            events = [event for event in await desk.audit(ticket) if event["kind"] == "ack.refused"]
            if len(events) >= count:
                return events
            await asyncio.sleep(0.05)


async def deliveries(desk, ticket):
    """Stage and state of every message of a stage."""
    async with desk.seeded.database.transaction() as tx:
        query = "SELECT id, stage, kind, channel_kind, state, note FROM deliveries WHERE request_id = :id"
        return (await tx.execute(text(query), {"id": ticket.id})).all()


async def patient_policy(desk, hours):
    """A published policy whose acks lapse after so many hours."""
    policy = desk.seeded.policy.model_copy(
        update={"id": "acme-lapsing", "ack_timeout_seconds": int(hours * 3600)}
    )
    async with desk.seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))
    return policy


async def test_an_ack_before_the_reminder_stops_all_stages_and_the_expiry_still_comes(skipping_desk):
    """No reminder, no escalation, no tier granted; at 24 h it expires as if nobody had said anything."""
    desk = skipping_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        receipt = await acknowledge(desk, ticket)
        assert receipt.acknowledged_by == "#mint"
        view = await desk.view(ticket)
        assert (view.status, view.next_timer["name"]) == (MintStatus.PENDING, "expiry")
        assert (view.acknowledged_by, view.acknowledged_at) == ("#mint", receipt.acknowledged_at)
        await desk.env.fast_forward(ticket.handle, 23 * HOUR)
        assert (await desk.view(ticket)).eligible_tiers == (1,)
        await desk.env.fast_forward(ticket.handle, HOUR)
        result = await ticket.handle.result()
    assert result.status is MintStatus.EXPIRED
    assert await desk.kinds(ticket) == ["request.opened", "stage.opened", "ack", "request.expired"]
    assert {row.stage for row in await deliveries(desk, ticket)} == {0, None}
    assert {row.kind for row in await deliveries(desk, ticket)} == {"opened", "expired"}


async def test_an_ack_never_approves_and_a_decision_still_counts(desk, pending):
    """It is still to be decided, by whom it was before."""
    await acknowledge(desk, pending)
    record = await desk.record(pending)
    assert (record.status, record.approvals, record.granted_tiers) == (MintStatus.PENDING, (), ())
    assert (await desk.decide(pending, "alice")).accepted
    assert (await desk.record(pending)).status is MintStatus.APPROVED


async def test_a_forgotten_ack_resumes_at_the_next_stage(skipping_desk):
    """With `ackTimeoutSeconds` of 6 h the reminder of 4 h comes at 6 h, and then somebody else can ack."""
    desk = skipping_desk
    policy = await patient_policy(desk, hours=6)
    async with desk.worker():
        ticket = await desk.submit(policy=policy)
        await desk.until_status(ticket, MintStatus.PENDING)
        first = await acknowledge(desk, ticket)
        view = await desk.view(ticket)
        assert view.next_timer["name"] == "reminder due"
        assert datetime.fromisoformat(view.next_timer["due_at"]) == first.acknowledged_at + 6 * HOUR
        await desk.env.fast_forward(ticket.handle, 5 * HOUR)
        assert (await desk.record(ticket)).next_stage == 1
        await desk.env.fast_forward(ticket.handle, HOUR)
        record = await desk.until(ticket, lambda record: record.next_stage == 2)
        assert (record.granted_tiers, record.acknowledged_by) == ((2,), None)
        assert await acknowledge(desk, ticket) == first
        assert (await desk.record(ticket)).acknowledged_by is None
        second = await acknowledge(desk, ticket, stage=1, recipient="carol")
        assert second.acknowledged_by == "carol"
        # 6 h + 6 h: the ack lapses at the very time at which the escalation is due
        await desk.env.fast_forward(ticket.handle, 6 * HOUR)
        await desk.until(ticket, lambda record: record.next_stage == 3)
    assert await desk.kinds(ticket) == [
        "request.opened", "stage.opened", "ack", "stage.reminder", "ack", "stage.escalation",
    ]  # fmt: skip


async def test_the_same_token_again_is_the_same_receipt(desk, pending):
    """Once in the audit log, twice answered; whichever attempt of the message it came from."""
    claim = await claim_for(desk.seeded.database, pending.id)
    token = AUTHORITY.issue(claim)
    first = await acknowledge(desk, pending, token=token)
    assert await acknowledge(desk, pending, token=token) == first
    resent = AUTHORITY.issue(claim.model_copy(update={"iat": claim.iat + 60}))
    assert resent != token
    assert await acknowledge(desk, pending, token=resent) == first
    raw = await send_raw(pending, await envelope_for(desk.seeded.database, pending.id))
    assert raw.receipt == first
    [event] = [event for event in await desk.audit(pending) if event["kind"] == "ack"]
    assert (event["actor"], event["details"]["tokenSha256"]) == ("#mint", first.token_sha256)
    assert event["details"]["jti"] == first.jti
    assert event["details"]["deliveryId"] == first.delivery_id


async def test_another_token_of_an_acknowledged_run_hears_who_was_first(desk, pending):
    """Refused with what is recorded; the first one stays."""
    first = await acknowledge(desk, pending)
    error = await refused(desk, pending, recipient="alice")
    assert error.reason == "already_acknowledged"
    assert error.recorded["acknowledged"]["by"] == "#mint"
    outcome = await send_raw(pending, await envelope_for(desk.seeded.database, pending.id, recipient="bob"))
    assert (outcome.reason, outcome.recorded["acknowledged"]["by"]) == ("already_acknowledged", "#mint")
    assert (await desk.record(pending)).acknowledged_at == first.acknowledged_at


async def test_two_people_at_once_and_one_is_first(desk, pending):
    """Of twelve tokens used in the same moment one takes effect; the others hear whose."""
    envelopes = [
        await envelope_for(desk.seeded.database, pending.id, recipient=name, jti=f"{number:064x}")
        for number, name in enumerate(("alice", "bob", "#mint") * 4)
    ]
    outcomes = await asyncio.gather(*(send_raw(pending, envelope) for envelope in envelopes))
    receipts = [outcome.receipt for outcome in outcomes if outcome.receipt]
    assert len(receipts) == 1
    others = [outcome.recorded["acknowledged"]["by"] for outcome in outcomes if not outcome.receipt]
    assert others == [receipts[0].acknowledged_by] * 11


async def test_after_a_decision_there_is_nothing_to_acknowledge(desk, pending):
    """Refused with the state: by the web server's look at the database and by the workflow alike."""
    await desk.decide(pending, "alice")
    error = await refused(desk, pending)
    assert (error.reason, error.recorded["status"]) == ("over", "APPROVED")
    outcome = await send_raw(pending, await envelope_for(desk.seeded.database, pending.id))
    assert (outcome.reason, outcome.recorded["status"]) == ("over", "APPROVED")
    assert "ack" not in await desk.kinds(pending)


async def test_after_the_end_the_database_answers(minting_desk):
    """The workflow is gone: a token that was used has its receipt, any other hears the outcome."""
    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        first = await acknowledge(desk, ticket)
        await desk.decide(ticket, "alice")
        await ticket.handle.result()
    assert await acknowledge(desk, ticket) == first
    error = await refused(desk, ticket, recipient="bob")
    assert (error.reason, error.recorded["status"]) == ("over", "CONFIRMED")


FORGED = {
    "signed by somebody else": ({"authority": FORGER}, "bad_signature"),
    "for another tenant": ({"tenant": "globex"}, "wrong_tenant"),
    "for another purpose": ({"purpose": "approve"}, "wrong_purpose"),
    "for another request": ({"request_id": "mr_01KAN3D0000000000000000000"}, "wrong_request"),
    "of a message that was never written": ({"delivery_id": "0" * 64}, "wrong_request"),
    "in another's name": ({"sub": "carol"}, "wrong_request"),
    "expired": ({"expires_utc": datetime(2026, 1, 1, tzinfo=UTC)}, "expired"),
}


@pytest.mark.parametrize(("changes", "reason"), FORGED.values(), ids=FORGED)
async def test_a_bad_token_sent_raw_changes_nothing_and_leaves_a_trace(desk, pending, changes, reason):
    """As an update and as a signal: the workflow goes on, the audit log says what was tried."""
    before = await desk.record(pending)
    envelope = await envelope_for(desk.seeded.database, pending.id, **changes)
    outcome = await send_raw(pending, envelope)
    assert (outcome.receipt, outcome.reason) == (None, reason)
    await pending.handle.signal("ack", envelope)
    await pending.handle.signal("ack", "not even an object")
    events = await ack_refusals(desk, pending, 2)
    assert [event["details"]["reason"] for event in events] == [reason, "malformed"]
    assert events[0]["actor"] == changes.get("sub", "#mint")
    assert await desk.record(pending) == before
    assert (await desk.view(pending)).next_timer["name"] == "reminder due"


@pytest.mark.parametrize("reason", ["bad_signature", "wrong_tenant"])
async def test_the_front_door_writes_nothing_about_strangers(desk, pending, reason):
    """Who has no token of ours can't fill the audit log by way of the web server."""
    changes = {"bad_signature": {"authority": FORGER}, "wrong_tenant": {"tenant": "globex"}}[reason]
    before = await desk.kinds(pending)
    assert (await refused(desk, pending, **changes)).reason == reason
    assert await desk.kinds(pending) == before


@pytest.mark.parametrize("arguments", [(), (None,), (1, 2), ([],), ({},), ({"payload": {}},), (b"\x00",)])
async def test_signals_of_any_shape_are_refused_and_wedge_nothing(desk, pending, arguments):
    """The workflow answers afterwards, and an honest ack still counts."""
    await pending.handle.signal("ack", args=list(arguments))
    [event] = await ack_refusals(desk, pending)
    assert event["details"]["reason"] == "malformed"
    assert (await acknowledge(desk, pending)).acknowledged_by == "#mint"


async def test_a_user_who_has_left_stops_nothing(desk, pending):
    """Mail lives longer than employment."""
    async with desk.seeded.database.transaction() as tx:
        await tx.execute(text("UPDATE users SET active = false WHERE name = 'alice'"))
    assert (await refused(desk, pending, recipient="alice")).reason == "inactive_recipient"


async def test_an_ack_while_no_worker_runs_is_kept(desk):
    """It is left as a signal and takes effect when a worker is back."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
    token = await token_for(desk.seeded.database, ticket.id)

    async def connect():
        return desk.client

    # the server still remembers the worker's last poll, so the update is tried first
    assert await acks.acknowledge(connect, desk.seeded.database, AUTHORITY, token, 0.5) is None
    async with desk.worker():
        record = await desk.until(ticket, lambda record: record.acknowledged_at is not None)
    assert record.acknowledged_by == "#mint"
    assert (await desk.kinds(ticket)).count("ack") == 1


async def test_a_lost_workflow_comes_back_acknowledged(desk):
    """Started again from the database: nobody is reminded, and the expiry stands where it stood."""
    async with desk.worker():
        ticket = await desk.submit()
        before = await desk.until_status(ticket, MintStatus.PENDING)
        receipt = await acknowledge(desk, ticket)
        await delete_workflow(desk.client, ticket.handle.id)
        assert (await run_audit(desk)).restarted == (ticket.id,)
        view = await desk.view(ticket)
    assert (view.acknowledged_by, view.acknowledged_at) == ("#mint", receipt.acknowledged_at)
    assert (view.next_timer["name"], view.expires_at) == ("expiry", before.expires_at)


async def test_an_ack_while_the_workflow_is_lost_says_so(desk, pending):
    """Nothing is recorded behind the workflow's back; the message says what to do."""
    await delete_workflow(desk.client, pending.handle.id)
    with pytest.raises(Exception, match="will be started again"):
        await acknowledge(desk, pending)
    assert (await desk.record(pending)).acknowledged_at is None


async def test_a_worker_that_dies_with_the_answer_acknowledges_once(desk, pending):
    """The step runs again after it was written: the same receipt, and the stage finds the ack."""
    database = desk.seeded.database
    activities = AckActivities(database, AUTHORITY)
    envelope = await envelope_for(database, pending.id)
    step = AckStep(
        request_id=pending.id, tenant="acme", signed=envelope.model_dump(by_alias=True), at=datetime.now(UTC)
    )
    first, again = [await ActivityEnvironment().run(activities.acknowledge, step) for _ in range(2)]
    assert first.outcome == again.outcome
    assert first.standing == again.standing
    due = datetime.now(UTC) + 4 * HOUR
    stage = StageStep(request_id=pending.id, stage=1, due_at=due, at=due)
    standing = await RequestActivities(database).run_stage(stage)
    assert (standing.next_stage, standing.acknowledged_by) == (1, "#mint")
    assert (await desk.kinds(pending)).count("ack") == 1


async def test_an_ack_racing_with_a_stage_lets_no_message_out_afterwards(desk):
    """Twelve requests whose reminder comes due while they are acknowledged: what was not sent never is."""
    async with desk.worker():
        tickets = [await desk.submit(sla_scale=3600) for _ in range(12)]
        opened = [await desk.until(ticket, lambda record: record.next_stage >= 1) for ticket in tickets]

        async def race(number):
            # the reminder comes 4 s after the opening: some acks are before it, some after
            begins = opened[number].created_at + timedelta(seconds=3.7 + 0.05 * number)
            await asyncio.sleep(max(0.0, (begins - datetime.now(UTC)).total_seconds()))
            return await acknowledge(desk, tickets[number])

        receipts = await asyncio.gather(*(race(number) for number in range(12)))
        answered = [await desk.record(ticket) for ticket in tickets]
        assert [record.acknowledged_at for record in answered] == [one.acknowledged_at for one in receipts]
        async with running_providers() as url, aiohttp.ClientSession(url) as http:
            outbox = Outbox(desk.seeded, url, http)
            [marker] = await outbox.open()
            async with outbox.relay().running():
                await until_sent(outbox, marker.id)
                received = set(await outbox.received_ids())
            await outbox.close()
    for ticket in tickets:
        rows = [row for row in await deliveries(desk, ticket) if row.stage is not None]
        assert {row.state for row in rows if row.channel_kind != "in-app"} == {"skipped"}
        assert not received & {row.id for row in rows}


async def until_sent(outbox, request_id):
    """Wait until the provider has the request's message."""
    async with asyncio.timeout(30):
        while not any(request_id in message["text"] for message in await outbox.received()):
            await asyncio.sleep(0.05)
