"""Somebody with access to Temporal's namespace, who ends and resets workflows; and what mends that.

The product mends it by its own sweep of open requests, which the run starts often. A decision that was
on its way to a workflow that was ended is lost, so its people send it again, as they would.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from benchmarks.chaos.clients import Case, Clients, persist, workflow_of
from db import reads
from domain.mint_request import MintStatus, workflow_id
from domain.records import RequestRecord

SWEEP_SECONDS = 5.0
REASON = "chaos"
"""Told to Temporal with everything that is done here."""

_SWEEP = "audit-pending"


class Meddler:
    """Ends and resets workflows, and sees that somebody sweeps up."""

    def __init__(self, client: Client, clients: Clients) -> None:
        self._client = client
        self._clients = clients
        self._touched: set[int] = set()

    async def terminate(self, case: Case) -> bool:
        """End the workflow where it is; False if there is none that runs."""
        return await self._meddle(
            case, lambda: workflow_of(self._client, case.request.id).terminate(reason=REASON)
        )

    async def reset(self, case: Case) -> bool:
        """Let the workflow, even one that has ended, live its life again from the first step on."""
        return await self._meddle(case, lambda: reset_to_start(self._client, case.request.id))

    async def sweep_up(self) -> None:
        """Start the product's sweep often, and send decisions again that a workflow took with it."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._touched:
                await persist(lambda: self._client.get_schedule_handle(_SWEEP).trigger())
                await self._remind()

    async def _remind(self) -> None:
        for case in [self._clients.cases[number] for number in self._touched]:
            record = await persist(lambda case=case: self._record(case))  # type: ignore[misc]  # bound at once
            if record is not None and record.status is MintStatus.PENDING:
                # where the workflow is gone the sweep has to bring it back first
                with suppress(RPCError):
                    await self._clients.decide_again(case)

    async def _meddle(self, case: Case, act: Callable[[], Awaitable[object]]) -> bool:
        """Do it to the workflow of a request that the database knows; answers whether it was done."""
        if await persist(lambda: self._record(case)) is None:
            return False
        # even what is refused: an act whose answer was lost is done, and refused when it is tried again
        self._touched.add(case.ask.number)
        try:
            await persist(act)
        except RPCError:
            return False
        return True

    async def _record(self, case: Case) -> RequestRecord | None:
        async with self._clients.desk.database.transaction() as tx:
            return await reads.request(tx, case.request.id)


async def reset_to_start(client: Client, request_id: str) -> None:
    """Reset a request's workflow, even one that has ended, to its first step; raises RPCError."""
    history = await workflow_of(client, request_id).fetch_history()
    completed = (
        event.event_id
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    )
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id(request_id)),
            reason=REASON,
            workflow_task_finish_event_id=next(completed, 0),
            request_id=str(uuid.uuid4()),
        ),
        retry=True,
    )
