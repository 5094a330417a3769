"""How the run of an event moves: run, audit event and messages in a single statement, once a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text

from db import reads
from db.reads.escalations import lock_event_run
from db.session import Transaction
from db.writes.audit import event_body
from db.writes.letters import Notice
from db.writes.notices import event_notices
from db.writes.routing import routing
from db.writes.steps import REVISED_KINDS, REVISION_DELAY, SIDE_EFFECTS, outbox_params
from domain.ack import AckClaim
from domain.errors import NotFound
from domain.escalation import EscalationPolicy
from domain.records import RequestRecord
from domain.runs import EventRun, RunState, is_over

_MOVE_SQL = """
WITH found AS (
    SELECT id AS run_id, request_id FROM escalation_runs
    WHERE id = :event_run_id AND version = :version AND state = 'running'
        AND NOT EXISTS (SELECT 1 FROM audit_events WHERE request_id = :id AND step = CAST(:step AS varchar))
    FOR NO KEY UPDATE
)
{before}
, changed AS (
    UPDATE escalation_runs SET state = :state, version = version + 1, next_stage = :next_stage,
        acknowledged_by = :acknowledged_by, acknowledged_at = :acknowledged_at, ended_at = :ended_at,
        ended_by = :ended_by, reason = :reason
    FROM {source} WHERE escalation_runs.id = {source}.run_id
    RETURNING escalation_runs.request_id AS id
)
"""
_MOVE = text(_MOVE_SQL.format(before="", source="found") + SIDE_EFFECTS)
_STAGE = text(
    _MOVE_SQL.format(
        before=""", ran AS (
    INSERT INTO escalation_stage_runs (run_id, stage, due_at, ran_at, routed)
    SELECT run_id, :stage, :due_at, :at, :routed FROM found RETURNING run_id)""",
        source="ran",
    )
    + SIDE_EFFECTS
)
_ACK = text(
    _MOVE_SQL.format(
        before=""", acked AS (
    INSERT INTO acks (request_id, jti, delivery_id, recipient, stage, token_sha256, at, run_id)
    SELECT request_id, :jti, :delivery_id, :actor, :stage, :token_sha256, :at, run_id FROM found
    RETURNING run_id)""",
        source="acked",
    )
    + SIDE_EFFECTS
)


@dataclass(frozen=True)
class RanStage:
    """A stage that has just been written, and whom it tells."""

    stage: int
    due_at: datetime
    told: tuple[Notice, ...]


async def run_event_stage(
    tx: Transaction, *, run: EventRun, stage: int, due_at: datetime, at: datetime, ran: list[RanStage]
) -> EventRun:
    """Step `RUN:stage:N`: write the messages of a stage; one that reaches nobody is passed at once.

    A run whose reason is over ends as RESOLVED instead. `ran` is given each stage that has run. `run`
    must be locked by this transaction.
    """
    record = await _record(tx, run)
    if is_over(run.event_kind, run.occurrence, record.status):
        return await end_run(
            tx,
            run=run,
            state=RunState.RESOLVED,
            actor="clock",
            at=at,
            reason=f"the request is {record.status}",
        )
    if run.policy is None or stage >= len(run.policy.stages):
        return run
    people = await routing(tx, record.request, run.policy.stages[stage].notify.tiers())
    told = event_notices(record, run, stage, people, max(due_at, at), urgent=run.urgent)
    moved = run.model_copy(
        update={
            "next_stage": max(run.next_stage, stage + 1),
            "acknowledged_by": None,
            "acknowledged_at": None,
        }
    )
    details = {"runId": run.id, "stage": stage, "dueAt": due_at.isoformat(), "deliveries": len(told)}
    after = await _move(
        tx,
        before=run,
        after=moved,
        step=f"stage:{stage}",
        kind="escalation.stage_sent" if told else "escalation.no_route",
        actor="clock",
        at=at,
        details=details,
        statement=_STAGE,
        extra={**run_outbox(record, run.policy, told, due_at), "stage": stage, "routed": bool(told)},
    )
    if after.version == run.version + 1:
        ran.append(RanStage(stage, due_at, tuple(told)))
    if told or after.next_stage != stage + 1 or stage + 1 == len(run.policy.stages):
        return after
    return await run_event_stage(tx, run=after, stage=stage + 1, due_at=at, at=at, ran=ran)


async def end_run(
    tx: Transaction,
    *,
    run: EventRun,
    state: RunState,
    actor: str,
    at: datetime,
    reason: str,
    step: str = "end",
    proof: Mapping[str, Any] | None = None,
) -> EventRun:
    """Step `RUN:end`: nothing of the run happens any more; what it has not sent is skipped.

    `proof`: the signed command that said so, for the audit event.
    """
    after = run.model_copy(update={"state": state, "ended_at": at, "ended_by": actor, "reason": reason})
    return await _move(
        tx,
        before=run,
        after=after,
        step=step,
        kind=f"escalation.{state}",
        actor=actor,
        at=at,
        details={"runId": run.id, "reason": reason, **(proof or {})},
        unwanted=f"the escalation is {state}",
    )


async def resolve_run(tx: Transaction, *, run: EventRun, at: datetime) -> EventRun:
    """End a run whose reason is over; any other stays as it is."""
    record = await _record(tx, run)
    if run.state is not RunState.RUNNING or not is_over(run.event_kind, run.occurrence, record.status):
        return run
    reason = f"the request is {record.status}"
    return await end_run(tx, run=run, state=RunState.RESOLVED, actor="clock", at=at, reason=reason)


async def acknowledge_run(
    tx: Transaction, *, run: EventRun, claim: AckClaim, token_sha256: str, at: datetime
) -> EventRun:
    """Step `RUN:ack:JTI`: the recipient is on it; messages that still wait are skipped."""
    return await _move(
        tx,
        before=run,
        after=run.model_copy(update={"acknowledged_by": claim.actor, "acknowledged_at": at}),
        step=f"ack:{claim.jti}",
        kind="ack",
        actor=claim.actor,
        at=at,
        details={
            "runId": run.id,
            "jti": claim.jti,
            "deliveryId": claim.delivery_id,
            "stage": claim.stage,
            "tokenSha256": token_sha256,
            "sentTo": claim.sub,
        },
        statement=_ACK,
        extra={
            "jti": claim.jti,
            "delivery_id": claim.delivery_id,
            "stage": claim.stage,
            "token_sha256": token_sha256,
        },
        unwanted=f"{claim.actor} is on it",
    )


async def resume_run(
    tx: Transaction,
    *,
    run: EventRun,
    actor: str,
    at: datetime,
    reason: str,
    step: str,
    proof: Mapping[str, Any],
) -> EventRun:
    """Take an acknowledgement back: the stages to come run again."""
    return await _move(
        tx,
        before=run,
        after=run.model_copy(update={"acknowledged_by": None, "acknowledged_at": None}),
        step=step,
        kind="escalation.resumed",
        actor=actor,
        at=at,
        details={"runId": run.id, "reason": reason, **proof},
    )


async def _move(
    tx: Transaction,
    *,
    before: EventRun,
    after: EventRun,
    step: str,
    kind: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
    statement: TextClause = _MOVE,
    extra: Mapping[str, Any] | None = None,
    unwanted: str = "",
) -> EventRun:
    """Write the step that leads from `before` to `after`; done already, it returns the run as it stands."""
    says_other = bool(unwanted) or before.acknowledged_at != after.acknowledged_at
    params = {
        **event_params(before, f"{before.id}:{step}", kind, actor, at, details),
        **run_outbox(await _record(tx, before), before.policy, (), at),
        "unwanted": unwanted,
        "revise_at": at + REVISION_DELAY if says_other else None,
        "version": before.version,
        "state": after.state.value,
        **{name: getattr(after, name) for name in _MOVING},
        **(extra or {}),
    }
    if await tx.value(statement, params):
        return after.model_copy(update={"version": before.version + 1})
    return await lock_event_run(tx, before.id)


_MOVING = ("next_stage", "acknowledged_by", "acknowledged_at", "ended_at", "ended_by", "reason")


def event_params(
    run: EventRun, step: str, kind: str, actor: str, at: datetime, details: Mapping[str, Any]
) -> dict[str, Any]:
    """What the guards and the audit event of a run's step need."""
    return {
        "id": run.request_id,
        "tenant": run.tenant,
        "event_run_id": run.id,
        "step": step,
        "kind": kind,
        "actor": actor,
        "at": at,
        "unwanted": "",
        "revise_at": None,
        "revised_kinds": list(REVISED_KINDS),
        "body": event_body(
            tenant=run.tenant,
            request_id=run.request_id,
            step=step,
            kind=kind,
            actor=actor,
            at=at,
            details=details,
        ),
    }


def run_outbox(
    record: RequestRecord, policy: EscalationPolicy | None, notices: Sequence[Notice], due_at: datetime
) -> dict[str, Any]:
    """What a step's messages need; they are tried as often as the run's policy says."""
    retry = (policy or record.policy).retry
    return {
        **outbox_params(record, notices, due_at),
        "max_attempts": retry.max_attempts,
        "backoff_seconds": retry.backoff_seconds,
    }


async def _record(tx: Transaction, run: EventRun) -> RequestRecord:
    record = await reads.request(tx, run.request_id)
    if record is None:
        raise NotFound(f"there is no mint request {run.request_id}")
    return record
