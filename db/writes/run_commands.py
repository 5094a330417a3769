"""Stopping a run's stages, and letting them go on: signed commands that were verified."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from db.session import Transaction
from db.writes import fallbacks
from db.writes.run_steps import end_run, resume_run
from db.writes.steps import advance
from domain.commands import Command, CommandAction
from domain.errors import InvalidInput, NotOpen, Refused
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.runs import EventRun, RunState
from domain.text import check_text


async def command_request(
    tx: Transaction, *, record: RequestRecord, command: Command, at: datetime, proof: Mapping[str, Any]
) -> RequestRecord:
    """Step `command:ID`: cancel or resume the stages of a mint request, which itself goes on.

    `proof` goes into the audit event: the signed command, by which an auditor proves it.
    Raises NotOpen when the request has left PENDING, Refused when there is nothing to stop or resume,
    InvalidInput for a reason that is missing or too long.
    """
    reason = _reason(command)
    if record.status is not MintStatus.PENDING:
        raise NotOpen(f"the request is {record.status} already: no stage is to come")
    cancels = command.action is CommandAction.CANCEL_ESCALATION
    _check_needed(cancels, record.escalation_cancelled_by, record.acknowledged_by)
    changes = {
        "escalation_cancelled_by": command.actor if cancels else None,
        "escalation_cancelled_at": at if cancels else None,
    }
    if not cancels:
        changes |= {"acknowledged_by": None, "acknowledged_at": None}
    after = await advance(
        tx,
        before=record,
        after=record.model_copy(update=changes),
        step=f"command:{command.id}",
        kind="escalation.cancelled" if cancels else "escalation.resumed",
        actor=command.actor,
        at=at,
        details={
            "runId": record.request.id,
            "commandId": command.id,
            "reason": reason,
            "stage": record.next_stage,
            **proof,
        },
    )
    if not cancels:
        await fallbacks.send_again(tx, request_id=record.request.id, run_id=None, at=at)
    return after


async def command_run(
    tx: Transaction, *, run: EventRun, command: Command, at: datetime, proof: Mapping[str, Any]
) -> EventRun:
    """Step `RUN:command:ID`: end the run of an event, or take an acknowledgement of it back.

    Raises as `command_request` does.
    """
    reason = _reason(command)
    if run.state is not RunState.RUNNING:
        raise NotOpen(f"the escalation is {run.state} already: nothing of it can be stopped or resumed")
    step = f"command:{command.id}"
    if command.action is CommandAction.CANCEL_ESCALATION:
        return await end_run(
            tx,
            run=run,
            state=RunState.CANCELLED,
            actor=command.actor,
            at=at,
            reason=reason,
            step=step,
            proof=proof,
        )
    _check_needed(cancels=False, cancelled_by=None, acknowledged_by=run.acknowledged_by)
    after = await resume_run(tx, run=run, actor=command.actor, at=at, reason=reason, step=step, proof=proof)
    await fallbacks.send_again(tx, request_id=run.request_id, run_id=run.id, at=at)
    return after


def _reason(command: Command) -> str:
    reason = command.body.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidInput("a reason is needed: auditors will ask", "reason")
    return check_text(reason, "reason")


def _check_needed(cancels: bool, cancelled_by: str | None, acknowledged_by: str | None) -> None:
    if cancels and cancelled_by is not None:
        raise Refused(f"{cancelled_by} has cancelled it already")
    if not cancels and cancelled_by is None and acknowledged_by is None:
        raise Refused("nothing holds its stages back: there is nothing to resume")
