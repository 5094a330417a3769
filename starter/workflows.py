"""How activities see, start and mend the workflows of requests and of runs."""

from __future__ import annotations

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from domain.mint_request import workflow_id
from domain.records import RequestRecord
from domain.run_steps import EscalationOrder
from domain.runs import EventRun, run_workflow_id
from domain.steps import MINT_QUEUE, MintOrder
from domain.upkeep import WorkflowState
from workflows.search_attributes import at_start, of_run


class RequestWorkflows:
    """Temporal's side of the open requests."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def state(self, run_id: str) -> WorkflowState:
        """What Temporal says about the workflow of a request, or of an event's run; raises RPCError."""
        try:
            description = await self._client.get_workflow_handle(run_workflow_id(run_id)).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return WorkflowState.MISSING
            raise
        running = description.status is WorkflowExecutionStatus.RUNNING
        return WorkflowState.RUNNING if running else WorkflowState.CLOSED

    async def restart(self, record: RequestRecord) -> None:
        """Start a lost workflow again; it takes up where the database stands, with its old deadlines."""
        order = MintOrder(
            request=record.request,
            policy=record.policy,
            rule=record.rule,
            sla_scale=record.sla_scale,
            created_at=record.created_at,
        )
        await self._client.start_workflow(
            "MintRequest",
            order,
            id=workflow_id(record.request.id),
            task_queue=MINT_QUEUE,
            # the last run did not end by itself: the database still has the request open
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo={"content_hash": record.request.content_hash()},
            static_summary=record.request.summary,
            search_attributes=at_start(record.request, record.expires_at),
        )

    async def tell_assigned(self, request_id: str) -> bool:
        """Let a request's workflow look who has it; False: none is running. Raises RPCError."""
        try:
            await self._client.get_workflow_handle(workflow_id(request_id)).signal("assigned")
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def start_run(self, run: EventRun, summary: str) -> None:
        """Start the workflow of an event's run, unless it is running; raises RPCError."""
        await self._client.start_workflow(
            "Escalation",
            EscalationOrder(run=run, summary=summary),
            id=run_workflow_id(run.id),
            task_queue=MINT_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"{run.event_kind}: {summary}",
            search_attributes=of_run(run),
        )
