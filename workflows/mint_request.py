"""The life of a mint request, from PENDING to an end that never changes.

`run` reads as the business process. The workflow is the only arbiter of the request's state; each
step writes the database, its read model, by one activity. Signals and the update `decide` go
through the same code, one at a time (`_turn`).
"""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from domain import steps
    from domain.approvals import RESOLUTIONS, DecisionOutcome, RefusalReason, Verdict
    from domain.assignment_steps import StandingStep
    from domain.escalation import Due, EscalationRun
    from domain.mint_request import TERMINAL, MintStatus
    from domain.runs import EventKind
    from domain.steps import (
        AckAnswer,
        AssignMessage,
        AssignStep,
        CommandAnswer,
        CommentMessage,
        CommentStep,
        DecideAnswer,
        DecideStep,
        ExpireStep,
        MintOrder,
        MintResult,
        OpenStep,
        RequestView,
        StageStep,
        Standing,
        SubmitAnswer,
    )
    from domain.submission import SubmissionResult
    from workflows import ledger_steps
    from workflows.answering import Answering, Whose
    from workflows.handling import (
        as_json_object,
        cause_of,
        comes_due,
        see_through,
        write_step,
    )
    from workflows.visibility import current_details, request_view, status_attributes

_EVERY_VERDICT = tuple(Verdict)

_SOON = timedelta(seconds=30)
"""After so long without an outcome, operators are shown that an approved request waits."""


@workflow.defn(name="MintRequest")
class MintRequestWorkflow(Answering):
    """One mint request; its id is `mint-<request id>`."""

    @workflow.init
    def __init__(self, order: MintOrder) -> None:
        # handlers may run before the first line of `run`, so all state is born here
        self._order = order
        self._request = order.request
        started_at = workflow.info().workflow_start_time
        # a birth in the future would put the deadline off for as long as its author likes
        self._created_at = min(order.created_at or started_at, started_at)
        self._run = EscalationRun(order.policy, self._created_at, max(order.sla_scale, 1))
        self._standing = Standing(status=MintStatus.PENDING, last_activity_at=self._created_at)
        self._shown = self._standing
        self._submission: SubmitAnswer | None = None
        self._result: SubmissionResult | None = None
        self._ahead: set[int] = set()
        self._ahead_until = self._created_at
        self._alarms = ledger_steps.Alarms(self._request.id)
        self._opened = False
        self._will_look = False
        self._turn = asyncio.Lock()

    @workflow.run
    async def run(self, order: MintOrder) -> MintResult:  # noqa: ARG002 - `__init__` keeps it
        """See the request through; a cancel sent by Temporal itself ends nothing."""
        return await see_through(self._live(), "'mintkeeper cancel'")

    async def _live(self) -> MintResult:
        await self._open()
        await self._await_decision()
        await self._submit()
        await self._settle()
        await self._await_resolution()
        await self._alarms.over()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._finish()

    # ---- the steps of the process

    async def _open(self) -> None:
        """Write the request as PENDING; a workflow started again goes on where the database stands."""
        step = OpenStep(
            order=self._order,
            created_at=self._created_at,
            expires_at=self._run.expires_at,
            run_id=workflow.info().run_id,
        )
        standing = await write_step(steps.OPEN, step, Standing)
        self._run.touch(standing.last_activity_at)
        self._run.next_stage = standing.next_stage
        self._opened = True
        self._take(standing)

    async def _await_decision(self) -> None:
        """Wait for a decision; meanwhile time runs the stages and, at last, the expiry."""
        while self._standing.status is MintStatus.PENDING:
            due = self._run.due_next()
            self._describe(due)
            if await comes_due(due, functools.partial(self._overtaken, due)):
                await self._run_due(due)

    def _overtaken(self, due: Due) -> bool:
        return self._standing.status is not MintStatus.PENDING or self._run.due_next() != due

    async def _run_due(self, due: Due) -> None:
        async with self._turn:
            # a decision that held the turn may have ended the wait, or moved the clock
            if self._overtaken(due):
                return
            if due.stage is None:
                expire = ExpireStep(request_id=self._request.id, at=workflow.now())
                self._take(await write_step(steps.EXPIRE, expire, Standing, due.name))
                return
            stage = StageStep(request_id=self._request.id, stage=due.stage, due_at=due.at, at=workflow.now())
            try:
                standing = await write_step(steps.RUN_STAGE, stage, Standing, due.name)
            except FailureError as error:
                # a stage that can't be run must not keep the request from the next one, or from expiring
                workflow.logger.error("stage %d was left out: %s", due.stage, cause_of(error))
                self._run.next_stage = due.stage + 1
                return
            # begun a little early, so that the messages go out in time; its tier has to wait for the time
            self._ahead = set(standing.granted_tiers) - set(self._standing.granted_tiers)
            self._ahead_until = due.at
            # more than one stage has run when nobody was reachable in the first
            self._run.next_stage = standing.next_stage
            self._take(standing)

    async def _submit(self) -> None:
        """From here on only the ledger decides: sign once, store, send, and look a first time."""
        if self._standing.status not in (MintStatus.APPROVED, MintStatus.SUBMITTING):
            return
        try:
            answer = await ledger_steps.submit(self._request.id, _SOON)
        except ActivityError:
            # no channel account, no Horizon, no worker: let operators see that it waits, and go on
            self._show()
            later = ledger_steps.submit(self._request.id, None)
            answer = await self._alarms.watch(later, "approved")
        self._submission, self._result = answer, answer.result
        reason = answer.result.reason if answer.result else answer.reason
        self._take(self._standing.model_copy(update={"status": answer.status, "reason": reason}))

    async def _settle(self) -> None:
        """Find the payment in a closed ledger, or prove that it can never land."""
        if self._standing.status is not MintStatus.SUBMITTING:
            return
        result = await self._alarms.watch(ledger_steps.settle(self._request.id), "submitted")
        self._result = result
        self._take(
            self._standing.model_copy(update={"status": result.outcome.status, "reason": result.reason})
        )

    async def _await_resolution(self) -> None:
        """An anomaly waits for an operator's signed resolution, however long that takes."""
        if self._standing.status is not MintStatus.ANOMALY:
            return
        self._alarms.raise_event(EventKind.ANOMALY, "anomaly")
        await workflow.wait_condition(lambda: self._standing.status is not MintStatus.ANOMALY)

    def _finish(self) -> MintResult:
        return MintResult(
            id=self._request.id,
            status=self._standing.status,
            reason=self._standing.reason,
            hash=self._submission.hash if self._submission else self._standing.hash,
            # what an operator has signed for comes after what `settle` found
            ledger=self._standing.ledger or (self._result.ledger if self._result else None),
        )

    # ---- messages

    # any number of arguments of any shape: one that does not fit would otherwise fail the
    # workflow task for ever, and everybody with access to the namespace could stop the clock
    @workflow.signal
    async def approve(self, *signed: Any) -> None:
        """A signed approval; durable even while no worker runs."""
        await self._decide(signed, (Verdict.APPROVE,))

    @workflow.signal
    async def reject(self, *signed: Any) -> None:
        """A signed rejection, with a reason; one valid rejection ends the request."""
        await self._decide(signed, (Verdict.REJECT,))

    @workflow.signal
    async def cancel(self, *signed: Any) -> None:
        """A signed cancel by the requester or an admin."""
        await self._decide(signed, (Verdict.CANCEL,))

    @workflow.signal
    async def resolve(self, *signed: Any) -> None:
        """A signed resolution of an anomaly by an admin, with a reason."""
        await self._decide(signed, tuple(RESOLUTIONS))

    @workflow.update
    async def decide(self, signed: Any) -> DecisionOutcome:
        """The same as the signals, with an answer; update id = decision id."""
        return await self._decide((signed,), _EVERY_VERDICT)

    @decide.validator
    def _decide_validator(self, signed: Any) -> None:  # noqa: ARG002 - the signature is the update's
        if self._standing.status is MintStatus.PENDING and workflow.now() >= self._run.expires_at:
            raise ApplicationError("the request's time is over: re-submit it", type="not_open")
        if self._standing.status not in (MintStatus.PENDING, MintStatus.ANOMALY):
            raise ApplicationError(f"the request is {self._standing.status} already", type="not_open")

    @workflow.update
    async def claim(self, message: AssignMessage) -> Standing:
        """`actor` works on the request now; approves nothing."""
        return await self._assign("claim", message.actor, message)

    @workflow.update
    async def release(self, message: AssignMessage) -> Standing:
        """Nobody works on the request any more."""
        return await self._assign("release", None, message)

    @workflow.update
    async def assign(self, message: AssignMessage) -> Standing:
        """`actor` gives the request to `assignee`."""
        return await self._assign("assign", message.assignee, message)

    @claim.validator
    def _claim_validator(self, message: AssignMessage) -> None:
        self._assign_validator(message)

    @release.validator
    def _release_validator(self, message: AssignMessage) -> None:
        self._assign_validator(message)

    @assign.validator
    def _assign_validator(self, message: AssignMessage) -> None:  # noqa: ARG002 - the signature is the update's
        if self._standing.status in TERMINAL:
            raise ApplicationError(f"the request is {self._standing.status} already", type="not_open")

    @workflow.signal
    async def comment(self, *messages: Any) -> None:
        """A comment; counts as activity for the inactivity clock."""
        try:
            message = CommentMessage.model_validate(messages[0] if messages else None)
        except ValidationError:
            workflow.logger.warning("dropped a malformed comment")
            return
        async with self._in_turn():
            step = CommentStep(request_id=self._request.id, at=workflow.now(), **message.model_dump())
            try:
                self._take(await write_step(steps.COMMENT, step, Standing))
            except FailureError as error:
                workflow.logger.warning("refused a comment: %s", cause_of(error))
                return
            # what the client says is no activity
            self._run.touch(self._standing.last_activity_at)

    @workflow.signal
    async def assigned(self, *_: Any) -> None:
        """The sweep may have given it to somebody: look who has it. That is nobody's activity."""
        if self._will_look:
            # whoever waits for a turn looks later than now: a flood of signals is one look
            return
        self._will_look = True
        async with self._in_turn():
            self._will_look = False
            if self._standing.status in TERMINAL:
                return
            try:
                standing = await write_step(
                    steps.READ_STANDING, StandingStep(request_id=self._request.id), Standing
                )
            except FailureError as error:
                workflow.logger.warning("could not read the assignee: %s", cause_of(error))
                return
            # and nothing else: every other change comes with the answer of its own step
            self._take(self._standing.model_copy(update={"assignee": standing.assignee}))

    @workflow.query
    def view(self) -> RequestView:
        """The request as the workflow sees it."""
        return request_view(self._order, self._standing, self._run, self._eligible_tiers(), self._submission)

    # ---- how messages take effect

    async def _decide(self, signed: tuple[Any, ...], expected: tuple[Verdict, ...]) -> DecisionOutcome:
        async with self._in_turn():
            # checked here, at processing time: a signal sent in time but read after the deadline is too late
            now = workflow.now()
            step = DecideStep(
                request_id=self._request.id,
                tenant=self._request.tenant,
                signed=as_json_object(signed),
                expected=expected,
                withheld_tiers=self._withheld(),
                closed=self._why_closed(),
                at=now,
            )
            try:
                answer = await write_step(steps.DECIDE, step, DecideAnswer)
            except FailureError as error:
                # a failure that leaves a signal handler would fail the whole workflow
                workflow.logger.error("a decision could not be processed: %s", cause_of(error))
                return self._refused(cause_of(error).message)
            if answer.outcome.accepted:
                self._run.touch(now)
            self._take(answer.standing)
            return answer.outcome

    def _withheld(self) -> tuple[int, ...]:
        """Tiers whose stage was begun but is not due yet."""
        return tuple(sorted(self._ahead)) if workflow.now() < self._ahead_until else ()

    def _eligible_tiers(self) -> tuple[int, ...]:
        granted = set(self._standing.granted_tiers) - set(self._withheld())
        return tuple(self._order.rule.eligible_tiers(granted))

    def _why_closed(self) -> RefusalReason | None:
        """Why no decision can take effect now, if so."""
        if self._standing.status is MintStatus.ANOMALY:
            return None
        if self._standing.status is not MintStatus.PENDING:
            return RefusalReason.NOT_OPEN
        return RefusalReason.EXPIRED if workflow.now() >= self._run.expires_at else None

    def _refused(self, message: str) -> DecisionOutcome:
        return DecisionOutcome(
            accepted=False, status=self._standing.status, reason=RefusalReason.INTERNAL, message=message
        )

    async def _assign(self, verb: str, assignee: str | None, message: AssignMessage) -> Standing:
        async with self._in_turn():
            step = AssignStep(
                request_id=self._request.id,
                verb=verb,
                assignee=assignee,
                actor=message.actor,
                at=workflow.now(),
                step=f"{verb}:{message.message_id}",
            )
            try:
                standing = await write_step(steps.ASSIGN, step, Standing)
            except FailureError as error:
                raise cause_of(error) from error
            self._run.touch(step.at)
            self._take(standing)
            return standing

    # ---- plumbing

    def _whose(self) -> Whose:
        return Whose(self._request.id, self._request.tenant)

    def _adopt(self, answer: AckAnswer | CommandAnswer) -> None:
        if answer.standing is not None:
            self._take(answer.standing)

    def _check_commandable(self) -> None:
        """The activity judges: it knows what the database has recorded."""

    def _take(self, standing: Standing) -> None:
        """Adopt what a step has written, and show it where operators look.

        APPROVED mostly lasts a ledger or two; it becomes a search attribute only when it lasts longer.
        """
        self._standing = standing
        self._run.acknowledge(standing.acknowledged_at)
        self._run.cancel(standing.escalation_cancelled_at is not None)
        if standing.status is not MintStatus.APPROVED:
            self._show()
        self._describe(self._run.due_next() if standing.status is MintStatus.PENDING else None)

    def _show(self) -> None:
        """Bring the search attributes up to date; each change costs the server an index entry."""
        changed = status_attributes(self._shown, self._standing)
        self._shown = self._standing
        if changed:
            workflow.upsert_search_attributes(changed)

    def _describe(self, due: Due | None) -> None:
        workflow.set_current_details(
            current_details(self._order, self._standing, due, self._run.expires_at, self._submission)
        )
