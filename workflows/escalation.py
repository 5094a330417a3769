"""The run of an operational event: stages until somebody is on it, it is over, or its time is.

The same engine as inside a mint request (`domain.escalation.EscalationRun`). It moves no authority: a
stage's `grants` has a meaning only inside a mint request.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from workflows.answering import Answering, Whose
from workflows.handling import (
    cause_of,
    comes_due,
    see_through,
    write_step,
)

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from domain import steps
    from domain.escalation import Due, EscalationRun
    from domain.mint_request import utc_text
    from domain.run_steps import EscalationOrder, EventStageStep, RunStanding, RunStep
    from domain.runs import RunState
    from domain.steps import AckAnswer, CommandAnswer
    from workflows.search_attributes import ESCALATION_LEVEL


# input that can't be read fails it: stuck for ever, it would hold the place of the true workflow of its run
@workflow.defn(name="Escalation", failure_exception_types=[ValidationError])
class EscalationWorkflow(Answering):
    """One run of an event; its id is `escalation-<run id>`."""

    @workflow.init
    def __init__(self, order: EscalationOrder) -> None:
        # handlers may run before the first line of `run`, so all state is born here
        self._order = order
        self._id = order.run.id
        # its engine comes with the first look: anybody can start a workflow, only the database knows the run
        self._run: EscalationRun
        self._standing = RunStanding.of(order.run)
        self._opened = False
        self._turn = asyncio.Lock()

    @workflow.run
    async def run(self, order: EscalationOrder) -> RunStanding:  # noqa: ARG002 - `__init__` keeps it
        """See the run through; a cancel sent by Temporal itself ends nothing."""
        return await see_through(self._live(), "'mintkeeper escalation cancel'")

    async def _live(self) -> RunStanding:
        """One that was started again goes on where the database stands."""
        self._take(await self._look())
        self._opened = True
        while self._standing.state is RunState.RUNNING:
            due = self._run.due_next()
            if await comes_due(due, functools.partial(self._overtaken, due)):
                await self._run_due(due)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._standing

    def _overtaken(self, due: Due) -> bool:
        return self._standing.state is not RunState.RUNNING or self._run.due_next() != due

    async def _run_due(self, due: Due) -> None:
        async with self._turn:
            # an ack that held the turn may have moved the clock
            if self._overtaken(due):
                return
            now = workflow.now()
            if due.stage is None:
                step = RunStep(run_id=self._id, at=now)
                self._take(await write_step(steps.CLOSE_RUN, step, RunStanding, due.name))
                return
            stage = EventStageStep(run_id=self._id, stage=due.stage, due_at=due.at, at=now)
            try:
                self._take(await write_step(steps.RUN_EVENT_STAGE, stage, RunStanding, due.name))
            except FailureError as error:
                # a stage that can't be run must not keep the next one away
                workflow.logger.error("stage %d was left out: %s", due.stage, cause_of(error))
                self._run.next_stage = due.stage + 1

    # ---- messages; any number of arguments of any shape, as in a mint request

    @workflow.signal
    async def look(self, *_: Any) -> None:
        """Its reason may be over: see for yourself."""
        async with self._in_turn():
            try:
                self._take(await self._look())
            except FailureError as error:
                workflow.logger.warning("could not look: %s", cause_of(error))

    @workflow.query
    def view(self) -> RunStanding:
        """The run as its workflow sees it."""
        return self._standing

    # ---- plumbing

    def _whose(self) -> Whose:
        run = self._order.run
        return Whose(run.request_id, run.tenant, self._id)

    def _adopt(self, answer: AckAnswer | CommandAnswer) -> None:
        if answer.run is not None:
            self._take(answer.run)

    def _check_commandable(self) -> None:
        if self._standing.state is not RunState.RUNNING:
            raise ApplicationError(f"the escalation is {self._standing.state} already", type="not_open")

    async def _look(self) -> RunStanding:
        step = RunStep(run_id=self._id, at=workflow.now())
        found = await write_step(steps.OPEN_RUN, step, RunStanding)
        self._order = self._order.model_copy(update={"run": found.run or self._order.run})
        if found.state is RunState.RUNNING:
            self._run = self._order.run.escalation()
        return found.model_copy(update={"run": None})

    def _take(self, standing: RunStanding) -> None:
        if standing.next_stage != self._standing.next_stage:
            # as in a mint request: how many stages after the first have run
            workflow.upsert_search_attributes([ESCALATION_LEVEL.value_set(max(standing.next_stage - 1, 0))])
        self._standing = standing
        if standing.state is RunState.RUNNING:
            self._run.next_stage = standing.next_stage
            self._run.acknowledge(standing.acknowledged_at)
        self._describe()

    def _describe(self) -> None:
        """What operators see in the Web UI."""
        run, standing = self._order.run, self._standing
        lines = [f"**{standing.state}** {run.event_kind}: {self._order.summary}", ""]
        if standing.state is RunState.RUNNING:
            due = self._run.due_next()
            lines.append(f"* next: {due.name} at {utc_text(due.at)}")
        if standing.acknowledged_at is not None:
            lines.append(f"* {standing.acknowledged_by} is on it since {utc_text(standing.acknowledged_at)}")
        if standing.reason:
            lines.append(f"* {standing.reason}")
        lines.append(f"* see `mintkeeper escalation show {run.id}`")
        workflow.set_current_details("\n".join(lines))
