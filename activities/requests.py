"""Activities that write a request's steps into the database: open, stage, expiry, assignment, comment."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import activity

from activities import journal
from activities.journal import Run
from db import reads
from db.session import Database
from db.writes import requests
from db.writes.stages import StagePlan
from domain import steps
from domain.assignment_steps import StandingStep
from domain.errors import NotFound, Refused
from domain.mint_request import MintStatus, utc_text, workflow_id
from domain.records import RequestRecord
from domain.steps import AssignStep, CommentStep, ExpireStep, OpenStep, StageStep, Standing


class RequestActivities:
    """One transaction a step: state, audit event and outbox rows together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=steps.OPEN)
    async def open_request(self, step: OpenStep) -> Standing:
        """Write the request as PENDING, or find how far it has come.

        Raises NotFound, Refused or IdempotencyConflict when its terms are not the published ones.
        """
        order = step.order
        if activity.info().workflow_id != workflow_id(order.request.id):
            raise Refused(f"only the workflow {workflow_id(order.request.id)} may open {order.request.id}")
        ran: list[StagePlan] = []
        async with self._database.transaction() as tx:
            record = await requests.open_request(
                tx,
                request=order.request,
                policy=order.policy,
                rule=order.rule,
                sla_scale=order.sla_scale,
                created_at=step.created_at,
                expires_at=step.expires_at,
                run_id=step.run_id,
                ran=ran,
            )
        _tell_started(record, ran)
        return Standing.of(record)

    @activity.defn(name=steps.RUN_STAGE)
    async def run_stage(self, step: StageStep) -> Standing:
        """Record a stage, grant its tier, write its deliveries; nothing once the request has left PENDING.

        A decision or an ack whose answer was lost with its worker may stand in the database already.
        """
        ran: list[StagePlan] = []
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
            if held := _why_held(record, step):
                journal.stage_held(Run.of_request(record), step.stage, held)
            else:
                record = await requests.run_stage(
                    tx, record=record, stage=step.stage, due_at=step.due_at, at=step.at, ran=ran
                )
        _tell_stages(record, ran)
        return Standing.of(record)

    @activity.defn(name=steps.EXPIRE)
    async def expire(self, step: ExpireStep) -> Standing:
        """Close the request as EXPIRED, if it is still PENDING."""
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
            if record.status is MintStatus.PENDING:
                record = await requests.change_status(
                    tx,
                    record=record,
                    to=MintStatus.EXPIRED,
                    step="expire",
                    kind="request.expired",
                    actor="clock",
                    at=step.at,
                    reason=f"no decision in time: {record.missing.text()} missing",
                )
        return Standing.of(record)

    @activity.defn(name=steps.ASSIGN)
    async def assign(self, step: AssignStep) -> Standing:
        """Claim, release or assign. Raises Refused, NotFound."""
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
            record = await requests.set_assignee(
                tx,
                record=record,
                assignee=step.assignee,
                actor=step.actor,
                at=step.at,
                step=step.step,
                kind=f"request.{step.verb}",
                only_if_unassigned=step.verb == "claim",
            )
        return Standing.of(record)

    @activity.defn(name=steps.READ_STANDING)
    async def read_standing(self, step: StandingStep) -> Standing:
        """How the request stands in the database. Raises NotFound."""
        async with self._database.transaction() as tx:
            record = await reads.request(tx, step.request_id)
        if record is None:
            raise NotFound(f"there is no mint request {step.request_id}")
        return Standing.of(record)

    @activity.defn(name=steps.COMMENT)
    async def comment(self, step: CommentStep) -> Standing:
        """Add a comment by a known user. Raises NotFound."""
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
            record = await requests.add_comment(
                tx,
                record=record,
                author=step.author,
                text=step.text,
                at=step.at,
                comment_id=step.comment_id,
            )
        return Standing.of(record)


def _why_held(record: RequestRecord, step: StageStep) -> str:
    """Why a stage that is due does not run; empty: it does."""
    if record.status is not MintStatus.PENDING:
        return f"the request is {record.status} already"
    if record.escalation_cancelled_by is not None:
        return f"{record.escalation_cancelled_by} has cancelled it"
    if record.escalation().is_held(step.at):
        return "somebody is on it"
    return ""


def _tell_started(record: RequestRecord, ran: Sequence[StagePlan]) -> None:
    # a later version was opened, and told of, by an earlier attempt
    if ran or record.version == 1:
        why = f"it waits for {record.missing.text()} until {utc_text(record.expires_at)}"
        journal.started(Run.of_request(record), f"the request was opened: {why}")
    _tell_stages(record, ran)


def _tell_stages(record: RequestRecord, ran: Sequence[StagePlan]) -> None:
    for plan in ran:
        journal.stage_sent(Run.of_request(record), plan.stage, plan.due_at, plan.told)
