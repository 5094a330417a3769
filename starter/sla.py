"""Asking a worker for an SLA check now, beside the schedule's."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from ulid import ULID

from domain.errors import OutcomeUnknown, Unavailable
from domain.sla import CHECK_WORKFLOW
from domain.sla_report import SlaOutcome
from domain.steps import MAINTENANCE_QUEUE
from starter.failures import domain_error
from starter.temporal import worker_polls

_LONGEST = timedelta(minutes=10)
"""A check that nobody takes up must not alert tomorrow."""


async def check_sla(client: Client, limit_seconds: float) -> SlaOutcome:
    """Run a check and answer what it found.

    Raises Unavailable when no worker serves the queue, OutcomeUnknown when no answer comes in time, the
    check's own error, and RPCError.
    """
    if not await worker_polls(client, MAINTENANCE_QUEUE):
        raise Unavailable(
            f"no worker serves the queue {MAINTENANCE_QUEUE}, so nobody can check: "
            f"start one with 'mintkeeper worker --queues {MAINTENANCE_QUEUE}'"
        )
    handle = await client.start_workflow(
        CHECK_WORKFLOW,
        id=f"sla-check-{ULID()}",
        task_queue=MAINTENANCE_QUEUE,
        result_type=SlaOutcome,
        execution_timeout=_LONGEST,
        static_summary="an SLA check that somebody asked for",
    )
    try:
        async with asyncio.timeout(limit_seconds):
            outcome: SlaOutcome = await handle.result()
            return outcome
    except TimeoutError as error:
        raise OutcomeUnknown(
            f"no answer within {limit_seconds:g} s: see the workflow {handle.id} in Temporal"
        ) from error
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error
