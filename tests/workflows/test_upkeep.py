"""The pending audit: timers do the work, the audit finds where one did not."""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.approvals import Verdict
from domain.mint_request import MintStatus
from domain.steps import MAINTENANCE_QUEUE
from domain.upkeep import AuditReport
from worker import maintenance_worker


async def run_audit(desk) -> AuditReport:
    """Run the audit's workflow once, as its schedule does."""
    async with maintenance_worker(desk.client, desk.seeded.database):
        return await desk.client.execute_workflow(
            "AuditPending",
            id=f"audit-{datetime.now(UTC).timestamp()}",
            task_queue=MAINTENANCE_QUEUE,
            result_type=AuditReport,
        )


async def delete_workflow(client: Client, workflow_id: str) -> None:
    """Delete a workflow behind mintkeeper's back, and wait until it is gone."""
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest

    execution = WorkflowExecution(workflow_id=workflow_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution),
        retry=True,
    )
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get_workflow_handle(workflow_id).describe()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return
                raise
            await asyncio.sleep(0.1)


async def test_a_deleted_workflow_is_started_again_with_its_old_deadline(desk):
    """Nothing forgets a request: its workflow is back, its expiry unmoved, and the leads are told."""
    async with desk.worker():
        ticket = await desk.submit()
        before = await desk.until_status(ticket, MintStatus.PENDING)
        await delete_workflow(desk.client, ticket.handle.id)
        report = await run_audit(desk)
        assert report.restarted == (ticket.id,)
        view = await desk.view(ticket)
        assert (view.status, view.expires_at) == (MintStatus.PENDING, before.expires_at)
        assert (await desk.decide(ticket, "alice")).accepted
    assert "audit.restarted" in await desk.kinds(ticket)


async def test_a_terminated_workflow_is_started_again(desk):
    """Terminated in the Web UI while PENDING: the request goes on, its approvals counted."""
    async with desk.worker():
        ticket = await desk.submit(amount=200_000_000_000)
        await desk.decide(ticket, "alice")
        await ticket.handle.terminate("by mistake")
        assert (await run_audit(desk)).restarted == (ticket.id,)
        assert (await desk.decide(ticket, "carol")).accepted
    assert (await desk.record(ticket)).status is MintStatus.APPROVED


async def test_a_request_in_good_order_is_left_alone(desk):
    """The audit of a healthy request changes and reports nothing."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        before = await desk.kinds(ticket)
        report = await run_audit(desk)
    assert report == AuditReport(checked=1)
    assert await desk.kinds(ticket) == before


async def test_a_request_whose_timer_did_not_fire_is_reported_once(desk):
    """No worker for 5 h: the reminder is overdue; leads hear of it once, however often the audit looks."""
    async with desk.worker():
        ticket = await desk.submit(created_at=datetime.now(UTC) - timedelta(hours=3, minutes=50))
        await desk.until_status(ticket, MintStatus.PENDING)
    await _pretend_the_reminder_was_due_an_hour_ago(desk, ticket)
    for _ in range(2):
        assert (await run_audit(desk)).late == (ticket.id,)
    assert (await desk.kinds(ticket)).count("audit.late") == 1


async def _pretend_the_reminder_was_due_an_hour_ago(desk, ticket):
    """Set the row's clock back, as if nobody had worked since; the guard is lifted for this one line."""
    from sqlalchemy import text

    async with desk.seeded.database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(
            text(
                "UPDATE mint_requests SET created_at = created_at - interval '1 hour', "
                "last_activity_at = last_activity_at - interval '1 hour' WHERE id = :id"
            ),
            {"id": ticket.id},
        )


async def test_an_audit_whose_worker_died_is_taken_over_within_seconds(desk):
    """It heartbeats, and a missed heartbeat ends the attempt: the schedule's next runs are not kept away."""
    async with maintenance_worker(desk.client, desk.seeded.database):
        handle = await desk.client.start_workflow("AuditPending", id="audit-1", task_queue=MAINTENANCE_QUEUE)
        await handle.result()
    history = await handle.fetch_history()
    [scheduled] = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert 0 < scheduled.heartbeat_timeout.seconds <= 10


async def test_the_audit_takes_leaked_channel_accounts_back(desk):
    """One left by a rejected request is free again; one that a PENDING request holds is only reported."""
    async with desk.worker():
        rejected, pending = await desk.submit(), await desk.submit()
        await desk.decide(rejected, "alice", Verdict.REJECT)
        await desk.until_status(pending, MintStatus.PENDING)
        for account, ticket in (("GLEAKED", rejected), ("GODD", pending)):
            await _reserve_by_hand(desk, account, ticket)
        report = await run_audit(desk)
        again = await run_audit(desk)
    assert (report.returned_channels, report.suspect_channels) == (("GLEAKED",), ("GODD",))
    assert (again.returned_channels, again.suspect_channels) == ((), ("GODD",))
    assert "channel.returned" in await desk.kinds(rejected)
    assert (await desk.kinds(pending)).count("audit.channel") == 1


async def _reserve_by_hand(desk, account, ticket):
    """A reservation that no code of ours makes."""
    from sqlalchemy import text

    async with desk.seeded.database.transaction() as tx:
        await tx.execute(
            text("INSERT INTO stellar_channels (account, state, request_id) VALUES (:a, 'RESERVED', :id)"),
            {"a": account, "id": ticket.id},
        )
