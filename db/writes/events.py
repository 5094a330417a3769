"""Operational events of a request: recorded once, with what the tenant's rule makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db import reads
from db.reads.escalations import event_rule, event_run
from db.session import Transaction
from db.writes.letters import Notice
from db.writes.notices import event_notices, event_word
from db.writes.routing import Routing, person, routing
from db.writes.run_steps import event_params, run_outbox
from db.writes.steps import SIDE_EFFECTS
from domain.ack import action_hash
from domain.errors import NotFound
from domain.escalation import EscalationPolicy
from domain.records import RequestRecord
from domain.runs import EventAction, EventKind, EventRule, EventRun, RunState, event_run_id

_COLUMNS = (
    "id, tenant, event_kind, request_id, occurrence, rule_id, policy_id, action_hash, urgent, sla_scale, "
    "state, version, next_stage, started_at, closes_at, ended_at, ended_by, reason"
)
_START = text(
    f"""
WITH changed AS (
    INSERT INTO escalation_runs ({_COLUMNS})
    SELECT :run_id, :tenant, :event_kind, :id, :occurrence, :rule_id, :policy_id, :action_hash, :urgent,
        :sla_scale, CAST(:state AS varchar), 1, 0, :at, :closes_at,
        CASE WHEN :state <> 'running' THEN CAST(:at AS timestamptz) END,
        CASE WHEN :state <> 'running' THEN 'clock' END, :reason
    ON CONFLICT DO NOTHING
    RETURNING request_id AS id
)
"""
    + SIDE_EFFECTS
)
_ALIKE = text("SELECT pg_advisory_xact_lock(hashtextextended(:action_hash, 4))")
_EARLIER = text("""
SELECT id FROM escalation_runs WHERE action_hash = :action_hash AND state NOT IN ('throttled', 'suppressed')
    AND started_at > :since ORDER BY started_at DESC LIMIT 1
""")
_THROTTLED = text("""
INSERT INTO deliveries (id, tenant, request_id, kind, stage, channel, channel_kind, target, recipient,
    time_zone, facts, state, attempt, max_attempts, backoff_seconds, due_at, provider_id, note, error, run_id)
SELECT n.id, :tenant, :id, n.kind, n.stage, n.channel, n.channel_kind, n.target, n.recipient, n.time_zone,
    '{}', 'throttled', 0, 1, 0, :at, '', :note, '', :run_id
FROM jsonb_to_recordset(CAST(:notices AS jsonb)) AS n (id varchar, kind varchar, stage integer,
    channel varchar, channel_kind varchar, target varchar, recipient varchar, time_zone varchar)
ON CONFLICT (id) DO NOTHING
""")


@dataclass(frozen=True)
class _Start:
    """An event that was thought through before it is written."""

    state: RunState
    reason: str
    policy: EscalationPolicy | None
    rule: EventRule
    notices: Sequence[Notice] = ()
    unsent: Sequence[Notice] = ()


async def raise_event(
    tx: Transaction, *, request_id: str, kind: EventKind, occurrence: str, at: datetime
) -> EventRun | None:
    """Record an event of a request and what it leads to; the same event again changes nothing.

    The run to start is RUNNING; THROTTLED and SUPPRESSED ones are only recorded. None: the tenant wants
    nothing to happen at events of this kind. Raises NotFound for an unknown request.
    """
    record = await reads.request(tx, request_id)
    if record is None:
        raise NotFound(f"there is no mint request {request_id}")
    tenant = record.request.tenant
    run_id = event_run_id(tenant, kind, request_id, occurrence)
    known = await event_run(tx, run_id)
    if known is not None:
        return known
    rule = await event_rule(tx, tenant, kind) or EventRule(
        tenant=tenant, event_kind=kind, action=EventAction.INFORM
    )
    if rule.action is EventAction.IGNORE:
        return None
    run = EventRun(
        id=run_id,
        tenant=tenant,
        event_kind=kind,
        request_id=request_id,
        occurrence=occurrence,
        rule_id=rule.id,
        policy=await reads.policy(tx, rule.policy_id) if rule.policy_id else None,
        action_hash=action_hash(tenant, rule.id, request_id, kind.value),
        urgent=rule.urgent,
        sla_scale=record.sla_scale,
        state=RunState.RUNNING,
        started_at=at,
    )
    await _write_start(tx, record, run, await _think(tx, record, run, rule))
    return await event_run(tx, run_id)


async def _think(tx: Transaction, record: RequestRecord, run: EventRun, rule: EventRule) -> _Start:
    if run.policy is None:
        people = await routing(tx, record.request)
        word = await _word(tx, record, run, people, urgent=rule.urgent)
        return _Start(RunState.SUPPRESSED, "the rule asks for one message only", None, rule, word)
    people = await routing(tx, record.request, run.policy.stages[0].notify.tiers())
    if not rule.urgent and people.deferred_until(run.started_at, None) is not None:
        word = await _word(tx, record, run, people, urgent=False)
        return _Start(RunState.SUPPRESSED, "not urgent, and these are quiet hours", run.policy, rule, word)
    await tx.run(_ALIKE, {"action_hash": run.action_hash})
    since = run.started_at - run.escalation().scaled(run.policy.throttle_window_seconds)
    earlier = await tx.value(_EARLIER, {"action_hash": run.action_hash, "since": since})
    if earlier is not None:
        unsent = event_notices(record, run, 0, people, run.started_at, urgent=rule.urgent)
        return _Start(RunState.THROTTLED, f"{earlier} has just been started", run.policy, rule, (), unsent)
    return _Start(RunState.RUNNING, "", run.policy, rule)


async def _word(
    tx: Transaction, record: RequestRecord, run: EventRun, people: Routing, *, urgent: bool
) -> list[Notice]:
    overdue = run.event_kind is EventKind.SLA_OVERDUE
    assignee = await person(tx, run.tenant, record.assignee) if overdue else None
    return event_word(record, run, people, run.started_at, urgent=urgent, assignee=assignee)


async def _write_start(tx: Transaction, record: RequestRecord, run: EventRun, start: _Start) -> None:
    at, ends = run.started_at, run.escalation().expires_at if start.policy else None
    kind = "escalation.started" if start.state is RunState.RUNNING else f"escalation.{start.state}"
    details = {
        "runId": run.id,
        "eventKind": run.event_kind,
        "occurrence": run.occurrence,
        "ruleId": run.rule_id,
        "policy": start.policy.id if start.policy else None,
        "actionHash": run.action_hash,
        "reason": start.reason,
        "deliveries": len(start.notices),
    }
    params = {
        **event_params(run, f"escalation:{run.id}", kind, "clock", at, details),
        **run_outbox(record, start.policy, start.notices, at),
        # of these only an overdue request's message goes to in-app lists
        "inbox_text": f"overdue in {record.status}: {record.request.summary}",
        "run_id": run.id,
        "event_kind": run.event_kind.value,
        "occurrence": run.occurrence,
        "rule_id": run.rule_id,
        "policy_id": start.policy.id if start.policy else None,
        "action_hash": run.action_hash,
        "urgent": run.urgent,
        "sla_scale": run.sla_scale,
        "state": start.state.value,
        "closes_at": ends,
        "reason": start.reason,
    }
    if await tx.value(_START, params) and start.unsent:
        rows = json.dumps([notice.row() for notice in start.unsent])
        await tx.run(_THROTTLED, {**params, "notices": rows, "note": start.reason})
