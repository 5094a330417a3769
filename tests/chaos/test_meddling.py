"""A workflow that somebody ends or resets around the end of its request: the request stays as it ended."""

import asyncio
import dataclasses

import pytest

from activities.stellar.activities import StellarActivities
from activities.stellar.channel_accounts import ChannelAccountActivities
from activities.stellar.horizon import Horizon
from benchmarks.chaos.audit import Findings, audit
from benchmarks.chaos.clients import Case, workflow_of
from benchmarks.chaos.meddler import REASON, reset_to_start
from benchmarks.chaos.plan import SHORT, Course, make_plan
from benchmarks.chaos.sandbox_client import SandboxClient
from domain.approvals import Verdict
from domain.mint_request import MintStatus
from starter.local.stack_file import DemoWorld
from tests.support.acks import AUTHORITY
from tests.support.desk import PATIENCE
from tests.workflows.test_upkeep import run_audit
from worker import mint_worker, stellar_worker

ASK = dataclasses.replace(make_plan(1, SHORT).asks[0], course=Course.PLAIN)


async def until_scheduled(ticket, kind):
    """Wait until the workflow has asked for an activity."""
    async with asyncio.timeout(PATIENCE):
        while True:
            history = await ticket.handle.fetch_history()
            asked = [event.activity_task_scheduled_event_attributes for event in history.events]
            if any(one.activity_type.name == kind for one in asked):
                return
            await asyncio.sleep(0.05)


async def paid_and_not_told(desk):
    """A request that is CONFIRMED in the database, while no worker has told its workflow yet."""
    database, ledger = desk.seeded.database, desk.ledger
    async with mint_worker(desk.client, database, AUTHORITY):
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        await until_scheduled(ticket, "submit")
    horizon = Horizon(ledger.url)
    means = (database, horizon, ledger.wallet(), ledger.rules())
    async with stellar_worker(desk.client, StellarActivities(*means), ChannelAccountActivities(*means)):
        await desk.until_status(ticket, MintStatus.CONFIRMED)
    await horizon.close()
    return ticket


async def audited(desk, ticket) -> Findings:
    """What the audit of a chaos run says of a request."""
    ledger = desk.ledger
    demo = DemoWorld(
        desk.seeded.tenant,
        ledger.issuer.public_key,
        str(ledger.asset),
        ledger.holder.public_key,
        password="",
    )
    sandbox = SandboxClient(ledger.url)
    case = Case(ASK, ticket.request, workflow_of(desk.client, ticket.id))
    try:
        return await audit(demo, desk.seeded.database, sandbox, [case])
    finally:
        await sandbox.close()


async def test_a_workflow_terminated_after_the_payment_is_written_loses_nothing(minting_desk):
    """The request is CONFIRMED and paid once; no sweep starts it again, and the audit only counts it."""
    desk = minting_desk
    ticket = await paid_and_not_told(desk)
    await ticket.handle.terminate(reason=REASON)
    async with desk.worker():
        assert (await run_audit(desk)).restarted == ()
    assert (await desk.record(ticket)).status is MintStatus.CONFIRMED
    assert len(await desk.ledger.payments()) == 1
    findings = await audited(desk, ticket)
    assert (findings.not_ended, findings.bereft) == ([], 1)


async def test_the_audit_names_a_workflow_that_somebody_else_ended(minting_desk):
    """Only what the run itself has done explains a workflow without a result; the cause is named."""
    ticket = await paid_and_not_told(minting_desk)
    await ticket.handle.terminate(reason="by nobody of the run")
    findings = await audited(minting_desk, ticket)
    assert findings.bereft == 0
    assert "TerminatedError('by nobody of the run')" in findings.not_ended[0]


async def confirmed(desk):
    """Approved and paid."""
    ticket = await desk.submit()
    await desk.decide(ticket, "alice")
    return ticket


async def rejected(desk):
    """Rejected by an approver."""
    ticket = await desk.submit()
    await desk.decide(ticket, "alice", Verdict.REJECT)
    return ticket


async def cancelled(desk):
    """Cancelled by its requester."""
    ticket = await desk.submit()
    await desk.decide(ticket, "rita", Verdict.CANCEL)
    return ticket


async def failed(desk):
    """Approved, but its destination trusts the asset no more."""
    await desk.ledger.trust(desk.ledger.holder, limit="0")
    return await confirmed(desk)


@pytest.mark.parametrize("course", [confirmed, rejected, cancelled, failed], ids=lambda end: end.__name__)
async def test_a_reset_after_the_end_leads_to_the_same_end(minting_desk, course):
    """Its decisions come again from the history, find themselves recorded, and nothing is written anew."""
    desk = minting_desk
    async with desk.worker():
        ticket = await course(desk)
        ended = await ticket.handle.result()
        before, kinds = await desk.record(ticket), await desk.kinds(ticket)
        for _ in range(2):
            await reset_to_start(desk.client, ticket.id)
            again = await workflow_of(desk.client, ticket.id).result()
            assert (again.status, again.ledger) == (ended.status, ended.ledger)
    assert await desk.record(ticket) == before
    assert await desk.kinds(ticket) == kinds
    assert len(await desk.ledger.payments()) == (ended.status is MintStatus.CONFIRMED)


async def test_a_reset_while_it_is_pending_keeps_its_approvals(minting_desk):
    """One of two approvals stands in the database; the second one after the reset is enough."""
    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit(amount=200_000_000_000)
        await desk.decide(ticket, "alice")
        await reset_to_start(desk.client, ticket.id)
        assert (await desk.decide(ticket, "carol")).accepted
        result = await workflow_of(desk.client, ticket.id).result()
    assert result.status is MintStatus.CONFIRMED
    assert len(await desk.ledger.payments()) == 1


async def test_a_reset_while_the_payment_is_not_told_of_pays_once(minting_desk):
    """The new run finds the request CONFIRMED and ends as the old one would have."""
    desk = minting_desk
    ticket = await paid_and_not_told(desk)
    await reset_to_start(desk.client, ticket.id)
    async with desk.worker():
        result = await workflow_of(desk.client, ticket.id).result()
    assert result.status is MintStatus.CONFIRMED
    assert len(await desk.ledger.payments()) == 1
    findings = await audited(desk, ticket)
    assert (findings.not_ended, findings.bereft, findings.disagreements) == ([], 0, [])
