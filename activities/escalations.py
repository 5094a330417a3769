"""Activities behind the runs of operational events: raise, look, stage, close."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities import journal
from activities.journal import Run
from db import reads
from db.reads.escalations import lock_event_run
from db.session import Database
from db.writes import events, run_steps
from db.writes.run_steps import RanStage
from domain import steps
from domain.errors import Refused
from domain.run_steps import EventStageStep, EventStep, RaisedEvent, RunStanding, RunStep
from domain.runs import EventRun, RunState, run_workflow_id


class Runs(Protocol):
    """What raising an event needs of Temporal; given by `starter`."""

    async def start_run(self, run: EventRun, summary: str) -> None:
        """Start the workflow of a run, unless it is running. Raises RPCError."""


class EscalationActivities:
    """One transaction a step: run, audit event and outbox rows together."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    @activity.defn(name=steps.RAISE_EVENT)
    async def raise_event(self, step: EventStep) -> RaisedEvent:
        """Record an event, and start the run that the tenant's rule asks for; the same one again only looks.

        The row comes first and the workflow after it: whoever dies in between does it again, and the
        pending audit starts what nobody did.
        """
        at = datetime.now(UTC)
        async with self._database.transaction() as tx:
            run = await events.raise_event(
                tx, request_id=step.request_id, kind=step.kind, occurrence=step.occurrence, at=at
            )
            record = await reads.request(tx, step.request_id)
        if run is None:
            return RaisedEvent()
        if run.started_at == at:
            _tell_started(run)
        if run.state is RunState.RUNNING and record is not None:
            await self._runs.start_run(run, record.request.summary)
        return RaisedEvent(run_id=run.id, state=run.state)

    @activity.defn(name=steps.OPEN_RUN)
    async def open_run(self, step: RunStep) -> RunStanding:
        """The run as it is recorded; one whose reason is over ends here. Raises NotFound, Refused."""
        if activity.info().workflow_id != run_workflow_id(step.run_id):
            raise Refused(f"only the workflow {run_workflow_id(step.run_id)} may see {step.run_id} through")
        async with self._database.transaction() as tx:
            run = await lock_event_run(tx, step.run_id)
            run = await run_steps.resolve_run(tx, run=run, at=step.at)
            return RunStanding.of(run).model_copy(update={"run": run})

    @activity.defn(name=steps.RUN_EVENT_STAGE)
    async def run_event_stage(self, step: EventStageStep) -> RunStanding:
        """Write the messages of a stage; nothing when the run is over, or somebody is on it."""
        ran: list[RanStage] = []
        async with self._database.transaction() as tx:
            run = await lock_event_run(tx, step.run_id)
            if run.state is not RunState.RUNNING or run.next_stage > step.stage:
                return RunStanding.of(run)
            if run.escalation().is_held(step.at):
                journal.stage_held(Run.of_event(run), step.stage, f"{run.acknowledged_by} is on it")
                return RunStanding.of(run)
            run = await run_steps.run_event_stage(
                tx, run=run, stage=step.stage, due_at=step.due_at, at=step.at, ran=ran
            )
        for stage in ran:
            journal.stage_sent(Run.of_event(run), stage.stage, stage.due_at, stage.told)
        return RunStanding.of(run)

    @activity.defn(name=steps.CLOSE_RUN)
    async def close_run(self, step: RunStep) -> RunStanding:
        """End a run whose time is over; an end that it has already stays."""
        async with self._database.transaction() as tx:
            run = await lock_event_run(tx, step.run_id)
            run = await run_steps.resolve_run(tx, run=run, at=step.at)
            if run.state is RunState.RUNNING:
                run = await run_steps.end_run(
                    tx,
                    run=run,
                    state=RunState.CLOSED,
                    actor="clock",
                    at=step.at,
                    reason="its time was over and nobody had ended it",
                )
        return RunStanding.of(run)


def _tell_started(run: EventRun) -> None:
    if run.state is RunState.RUNNING:
        journal.started(Run.of_event(run), f"{run.event_kind} of {run.request_id}, as {run.rule_id} asks for")
    else:
        journal.not_started(Run.of_event(run), f"{run.state}: {run.reason}")
