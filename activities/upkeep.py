"""The pending audit: timers do the work, this finds where one did not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities.pulse import Pulse, beating
from db import reads
from db.reads.escalations import event_run, running_event_runs
from db.session import Database
from db.writes import requests, stellar_channels
from domain import steps
from domain.records import RequestRecord
from domain.runs import EventRun, RunState
from domain.upkeep import AuditReport, WorkflowState, lateness


class Workflows(Protocol):
    """What the audit needs of Temporal; given by `starter`."""

    async def state(self, run_id: str) -> WorkflowState:
        """What Temporal says about the workflow of a request, or of an event's run. Raises Unavailable."""

    async def restart(self, record: RequestRecord) -> None:
        """Start a lost workflow again, from where the database stands. Raises Unavailable."""

    async def start_run(self, run: EventRun, summary: str) -> None:
        """Start the workflow of an event's run, unless it is running. Raises Unavailable."""


class UpkeepActivities:
    """Sweeps over the whole database."""

    def __init__(self, database: Database, workflows: Workflows) -> None:
        self._database = database
        self._workflows = workflows

    @activity.defn(name=steps.AUDIT_PENDING)
    async def audit_pending(self) -> AuditReport:
        """Look at every open request: start a lost workflow again, report a late one.

        Then at the runs of events, and at the channel accounts that ended requests left reserved.
        """
        async with beating() as pulse:
            return await self._audit(pulse)

    async def _audit(self, pulse: Pulse) -> AuditReport:
        async with self._database.transaction() as tx:
            records = await reads.open_requests(tx)
        restarted, late = [], []
        for record in records:
            pulse(record.request.id)
            if await self._workflows.state(record.request.id) is not WorkflowState.RUNNING:
                if await self._restart(record):
                    restarted.append(record.request.id)
            elif missed := lateness(record, datetime.now(UTC)):
                await self._report(record, "audit.late", f"{missed} is overdue and nothing happened")
                late.append(record.request.id)
        runs = await self._restart_runs(pulse)
        returned, suspect = await self._sweep_channels()
        return AuditReport(
            checked=len(records),
            restarted=tuple(restarted),
            late=tuple(late),
            restarted_runs=runs,
            returned_channels=returned,
            suspect_channels=suspect,
        )

    async def _restart_runs(self, pulse: Pulse) -> tuple[str, ...]:
        """Start the workflows of runs that are not over and have none: never started, or lost."""
        async with self._database.transaction() as tx:
            running = await running_event_runs(tx)
        restarted = []
        for run in running:
            pulse(run.id)
            if await self._workflows.state(run.id) is WorkflowState.RUNNING:
                continue
            async with self._database.transaction() as tx:
                now, record = await event_run(tx, run.id), await reads.request(tx, run.request_id)
            if now is not None and now.state is RunState.RUNNING and record is not None:
                await self._workflows.start_run(now, record.request.summary)
                restarted.append(run.id)
        return tuple(restarted)

    async def _sweep_channels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Take back what ended requests left reserved; where the proof lacks, only report it."""
        async with self._database.transaction() as tx:
            returned, suspect = await stellar_channels.take_back_channels(tx, datetime.now(UTC))
        for channel in suspect:
            activity.logger.error("channel account %s is not given back: %s", channel.account, channel.why)
            async with self._database.transaction() as tx:
                await stellar_channels.report_channel(tx, channel, datetime.now(UTC))
        return returned, tuple(channel.account for channel in suspect)

    async def _restart(self, record: RequestRecord) -> bool:
        """Start it again, unless it has come to its end since the list was read."""
        async with self._database.transaction() as tx:
            now = await reads.request(tx, record.request.id)
        if now is None or now.ended_at is not None:
            return False
        await self._workflows.restart(now)
        await self._report(now, "audit.restarted", "its workflow was gone and has been started again")
        return True

    async def _report(self, record: RequestRecord, kind: str, message: str) -> None:
        """Write an audit event and alert the leads, once per version of the request."""
        async with self._database.transaction() as tx:
            await requests.report_stalled(
                tx,
                record=record,
                step=f"{kind}:{record.version}",
                kind=kind,
                message=message,
                at=datetime.now(UTC),
            )
