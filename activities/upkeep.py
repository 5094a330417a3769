"""The pending audit: timers do the work, this finds where one did not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities.pulse import Pulse, beating
from db import reads
from db.session import Database
from db.writes import requests, stellar_channels
from domain import steps
from domain.records import RequestRecord
from domain.upkeep import AuditReport, WorkflowState, lateness


class Workflows(Protocol):
    """What the audit needs of Temporal; given by `starter`."""

    async def state(self, request_id: str) -> WorkflowState:
        """What Temporal says about a request's workflow. Raises Unavailable."""

    async def restart(self, record: RequestRecord) -> None:
        """Start a lost workflow again, from where the database stands. Raises Unavailable."""


class UpkeepActivities:
    """Sweeps over the whole database."""

    def __init__(self, database: Database, workflows: Workflows) -> None:
        self._database = database
        self._workflows = workflows

    @activity.defn(name=steps.AUDIT_PENDING)
    async def audit_pending(self) -> AuditReport:
        """Look at every open request: start a lost workflow again, report a late one.

        Then at the channel accounts that ended requests left reserved.
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
        returned, suspect = await self._sweep_channels()
        return AuditReport(
            checked=len(records),
            restarted=tuple(restarted),
            late=tuple(late),
            returned_channels=returned,
            suspect_channels=suspect,
        )

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
