"""Running the assignment sweep now, beside its schedule."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from ulid import ULID

from domain.assignment_steps import SweepReport
from domain.errors import OutcomeUnknown, Unavailable
from domain.steps import MAINTENANCE_QUEUE
from starter.failures import domain_error
from starter.temporal import worker_polls

SWEEP_SECONDS = 120.0
"""How long somebody waits for a sweep unless they say otherwise."""

_LONGEST = timedelta(hours=1)
"""By then the schedule has started another."""


async def run_sweep(client: Client, limit_seconds: float = SWEEP_SECONDS) -> SweepReport:
    """Start a sweep and wait for its report; one of the schedule that runs meanwhile does no harm.

    Raises Unavailable when nobody serves the queue, OutcomeUnknown when no answer comes in time, what
    the sweep failed with, and RPCError.
    """
    if not await worker_polls(client, MAINTENANCE_QUEUE):
        raise Unavailable(
            f"no worker serves the queue {MAINTENANCE_QUEUE}, so nobody can assign anything: "
            f"start one with 'mintkeeper worker --queues {MAINTENANCE_QUEUE}'"
        )
    handle = await client.start_workflow(
        "AutoAssignUnclaimed",
        id=f"assign-run-{ULID()}",
        task_queue=MAINTENANCE_QUEUE,
        result_type=SweepReport,
        execution_timeout=_LONGEST,
        static_summary="assign what nobody took, asked for by 'mintkeeper assign run'",
    )
    try:
        async with asyncio.timeout(limit_seconds):
            report: SweepReport = await handle.result()
            return report
    except TimeoutError as error:
        raise OutcomeUnknown(
            f"the sweep goes on after {limit_seconds:g} s: see the workflow {handle.id} in Temporal"
        ) from error
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error
