"""How long the assignment sweep takes over a large database, and that its queries use indexes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.assignment import PASS, REPEATED, AssignmentActivities
from db.reads.assignment import assigned_lately, candidates, due_requests
from db.session import Database, Transaction
from domain.assignment_steps import PassAnswer, SweepReport, SweepStep

DUE: Final = 400
"""About so many requests are due in the sweep that is measured."""

# hours of the SLA that the oldest of those that are not to be due have been unassigned for
_LIMIT = text("""
SELECT CAST(ceil(extract(epoch FROM :at - unassigned_since) * sla_scale / 3600) AS integer) AS hours
FROM mint_requests WHERE assignee IS NULL AND status = 'PENDING' ORDER BY hours DESC OFFSET :due LIMIT 1
""")

Scans = Callable[[Database, Callable[[Transaction], Awaitable[Any]]], Awaitable[list[str]]]


@dataclass(frozen=True)
class AssignmentFigure:
    """How long one sweep takes, without telling the workflows."""

    due: int
    assigned: int
    seconds: float
    idle_seconds: float
    """Of the next sweep, which finds nothing to do."""
    scans: list[str]


class _Nobody:
    """What is measured is the database's part."""

    async def tell_assigned(self, request_id: str) -> bool:
        """Never asked for."""
        raise AssertionError(f"{request_id} was not to be told")


async def measure(database: Database, tenant: str, at: datetime, scans: Scans) -> AssignmentFigure:
    """One sweep with some hundreds due, then one with none; `scans` refuses what reads a whole table."""
    async with database.transaction() as tx:
        hours = await tx.value(_LIMIT, {"at": at, "due": DUE}) or 1
        await tx.execute(text("UPDATE topics SET auto_assign_after_hours = :hours"), {"hours": hours})
    found = await scans(database, lambda tx: _reads(tx, tenant, at))
    report, seconds = await _sweep(database, at)
    _, idle = await _sweep(database, at)
    return AssignmentFigure(report.looked_at, report.assigned, round(seconds, 2), round(idle, 2), found)


async def _reads(tx: Transaction, tenant: str, at: datetime) -> None:
    """Everything that a sweep reads, beside the requests that it locks by their id."""
    await due_requests(tx, at, behind=(datetime(1970, 1, 1, tzinfo=UTC), ""), limit=PASS)
    await candidates(tx, tenant, at)
    await assigned_lately(tx, at - REPEATED)


async def _sweep(database: Database, at: datetime) -> tuple[SweepReport, float]:
    started, report, behind = time.perf_counter(), SweepReport(), None
    activities = AssignmentActivities(database, _Nobody())
    while True:
        step = SweepStep(at=at, behind=behind)
        answer: PassAnswer = await ActivityEnvironment().run(activities.auto_assign, step)
        report, behind = report.plus(answer.report), answer.behind
        if behind is None:
            return report, time.perf_counter() - started
