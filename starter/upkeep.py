"""Running a periodic task now, beside its schedule; a run of the schedule meanwhile does no harm."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError
from ulid import ULID

from domain.assignment_steps import SweepReport
from domain.errors import OutcomeUnknown, Unavailable
from domain.sla import CHECK_WORKFLOW
from domain.sla_report import SlaOutcome
from domain.steps import MAINTENANCE_QUEUE
from starter.failures import domain_error
from starter.temporal import worker_polls

Report = TypeVar("Report", bound=BaseModel)

SWEEP_SECONDS = 120.0
"""How long somebody waits for an assignment sweep unless they say otherwise."""


@dataclass(frozen=True)
class _Errand(Generic[Report]):
    """A run that somebody asked for; one that no worker takes up within `longest` never happens."""

    workflow: str
    prefix: str
    report: type[Report]
    longest: timedelta
    summary: str


_SWEEP = _Errand(
    workflow="AutoAssignUnclaimed",
    prefix="assign-run",
    report=SweepReport,
    longest=timedelta(hours=1),
    summary="assign what nobody took, asked for by 'mintkeeper assign run'",
)
_CHECK = _Errand(
    workflow=CHECK_WORKFLOW,
    prefix="sla-check",
    report=SlaOutcome,
    longest=timedelta(minutes=10),
    summary="an SLA check that somebody asked for",
)


async def run_sweep(client: Client, limit_seconds: float = SWEEP_SECONDS) -> SweepReport:
    """Assign what nobody took, and wait for the report.

    Raises Unavailable when nobody serves the queue, OutcomeUnknown when no answer comes in time, what
    the sweep failed with, and RPCError.
    """
    return await _run(client, _SWEEP, limit_seconds)


async def check_sla(client: Client, limit_seconds: float) -> SlaOutcome:
    """Check the SLA, and answer what was found. Raises as `run_sweep`."""
    return await _run(client, _CHECK, limit_seconds)


async def _run(client: Client, errand: _Errand[Report], limit_seconds: float) -> Report:
    if not await worker_polls(client, MAINTENANCE_QUEUE):
        raise Unavailable(
            f"no worker serves the queue {MAINTENANCE_QUEUE}, so nobody can do it: "
            f"start one with 'mintkeeper worker --queues {MAINTENANCE_QUEUE}'"
        )
    handle = await client.start_workflow(
        errand.workflow,
        id=f"{errand.prefix}-{ULID()}",
        task_queue=MAINTENANCE_QUEUE,
        result_type=errand.report,
        execution_timeout=errand.longest,
        static_summary=errand.summary,
    )
    try:
        async with asyncio.timeout(limit_seconds):
            report: Report = await handle.result()
            return report
    except TimeoutError as error:
        raise OutcomeUnknown(
            f"it goes on after {limit_seconds:g} s: see the workflow {handle.id} in Temporal"
        ) from error
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error
