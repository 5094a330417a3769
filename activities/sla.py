"""The SLA check: figures and their snapshot, and an alert for each stay that lasts too long."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.exc import DBAPIError
from temporalio import activity

from activities import journal
from activities.journal import Run
from activities.pulse import beating
from db.reads.sla import Stay, findings, unraised
from db.session import Database
from db.writes import sla
from domain import steps
from domain.assignment_steps import Behind
from domain.errors import MintkeeperError, Unavailable
from domain.runs import EventRun, RunState
from domain.sla import MOST_ALERTS, AlertPass, SlaStep
from domain.sla_report import SlaOutcome, build_report


class Runs(Protocol):
    """What an alert needs of Temporal; given by `starter`."""

    async def start_run(self, run: EventRun, summary: str) -> None:
        """Start the workflow of a run, unless it is running. Raises RPCError."""


class SlaActivities:
    """Sweeps over every request of every tenant; a pass alerts about `most` stays."""

    def __init__(self, database: Database, runs: Runs, most: int = MOST_ALERTS) -> None:
        self._database = database
        self._runs = runs
        self._most = most

    @activity.defn(name=steps.SLA_CHECK)
    async def sla_check(self, step: SlaStep) -> SlaOutcome:
        """Count what is overdue and how long things take, and keep it as a snapshot."""
        async with beating():
            async with self._database.transaction() as tx:
                report = build_report(await findings(tx, step.at))
            # what is read at one moment can't be written beside another check that keeps its own
            async with self._database.transaction() as tx:
                await sla.keep_snapshot(tx, report)
        return report.without_lines()

    @activity.defn(name=steps.SLA_ALERT)
    async def sla_alert(self, step: SlaStep) -> AlertPass:
        """Raise SLA_OVERDUE for stays that have none yet, the oldest first, each by itself.

        One that can't be raised is left for the next check and keeps no other back.
        """
        async with beating() as pulse:
            async with self._database.transaction() as tx:
                late = await unraised(tx, step.at, self._most, step.behind)
            raised = failed = 0
            for stay in late:
                pulse(stay.request_id)
                try:
                    raised += await self._raise(stay, step)
                except Unavailable:
                    raise
                except (MintkeeperError, DBAPIError, ValueError):
                    activity.logger.exception("SLA_OVERDUE of %s could not be raised", stay.request_id)
                    failed += 1
        last = (
            Behind(since=late[-1].since, request_id=late[-1].request_id) if len(late) == self._most else None
        )
        return AlertPass(raised=raised, failed=failed, behind=last)

    async def _raise(self, stay: Stay, step: SlaStep) -> bool:
        """The row first and the workflow after it: the pending audit starts what nobody did."""
        async with self._database.transaction() as tx:
            done = await sla.raise_overdue(tx, stay, step.at)
        if done is None:
            return False
        record, run = done
        if run.state is not RunState.RUNNING:
            journal.not_started(Run.of_event(run), f"{run.state}: {run.reason}")
            return True
        journal.started(Run.of_event(run), f"{run.event_kind} of {run.request_id}, as {run.rule_id} asks for")
        await self._runs.start_run(run, record.request.summary)
        return True
