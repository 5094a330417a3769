"""Asking a worker to look at the ledger for one request."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.errors import OutcomeUnknown, Unavailable
from domain.steps import MINT_QUEUE, STELLAR_QUEUE, Inspection, InspectStep
from starter.failures import domain_error
from starter.temporal import worker_polls

INSPECTION_SECONDS = 60.0
"""How long somebody waits for a look at the ledger unless they say otherwise."""

_LONGEST = timedelta(minutes=5)
"""Nobody waits any longer; an inspection that hangs must not answer tomorrow's question."""


def inspection_id(request_id: str) -> str:
    """One inspection of a request at a time: who asks meanwhile gets the same answer."""
    return f"inspect-{request_id}"


async def inspect_ledger(
    client: Client, request_id: str, limit_seconds: float = INSPECTION_SECONDS
) -> Inspection:
    """Look at the ledger now, and answer what was seen.

    Raises Unavailable when nobody serves a queue it needs or Horizon can't be reached, OutcomeUnknown
    when no answer comes in time, Refused when the request has no envelope, and RPCError.
    """
    await _check_workers(client)
    handle = await client.start_workflow(
        "LedgerInspection",
        InspectStep(request_id=request_id),
        id=inspection_id(request_id),
        task_queue=MINT_QUEUE,
        result_type=Inspection,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        execution_timeout=_LONGEST,
        static_summary=f"look at the ledger for {request_id}",
    )
    try:
        async with asyncio.timeout(limit_seconds):
            inspection: Inspection = await handle.result()
            return inspection
    except TimeoutError as error:
        raise OutcomeUnknown(
            f"no look at the ledger within {limit_seconds:g} s: see the workflow {handle.id} in Temporal"
        ) from error
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error


async def _check_workers(client: Client) -> None:
    for queue in (STELLAR_QUEUE, MINT_QUEUE):
        if not await worker_polls(client, queue):
            raise Unavailable(
                f"no worker serves the queue {queue}, so nobody can look at the ledger: "
                f"start one with 'mintkeeper worker --queues {queue}'"
            )
