"""Escalation runs: those of operational events as records, and every run as operators see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.reads.records import parse_policy
from db.session import Transaction
from domain.errors import NotFound
from domain.runs import EventKind, EventRule, EventRun

MOST_LISTED = 200

_RUN = """
SELECT e.id, e.tenant, e.event_kind, e.request_id, e.occurrence, e.rule_id, e.action_hash, e.urgent,
    e.sla_scale, e.state, e.version, e.next_stage, e.started_at, e.closes_at, e.acknowledged_by,
    e.acknowledged_at, e.ended_at, e.ended_by, e.reason, CAST(p.body AS text) AS policy
FROM escalation_runs e LEFT JOIN escalation_policies p ON p.id = e.policy_id
"""
_BY_ID = text(_RUN + "WHERE e.id = :id")
_LOCKED = text(_RUN + "WHERE e.id = :id FOR UPDATE OF e")
_RUNNING = text(_RUN + "WHERE e.ended_at IS NULL ORDER BY e.started_at, e.id")
_RULE = text("""
SELECT tenant, event_kind, action, policy_id, urgent FROM event_rules
WHERE tenant = :tenant AND event_kind = :kind
""")
_RULES = text("""
SELECT tenant, event_kind, action, policy_id, urgent FROM event_rules
WHERE tenant = :tenant ORDER BY event_kind
""")
_VIEW_PARTS = """
SELECT * FROM (
    SELECT r.id, r.tenant, 'request.opened' AS event_kind, r.id AS request_id, r.track_number, r.policy_id,
        r.policy_id AS rule_id, '' AS action_hash,
        CASE WHEN r.status = 'PENDING' AND r.escalation_cancelled_at IS NOT NULL THEN 'cancelled'
            WHEN r.status = 'PENDING' AND r.acknowledged_at IS NOT NULL THEN 'acknowledged'
            WHEN r.status = 'PENDING' THEN 'running' ELSE 'over' END AS state,
        r.status = 'PENDING' AND r.ended_at IS NULL AS is_open,
        r.status AS request_status, r.next_stage, r.created_at AS started_at, r.expires_at AS closes_at,
        r.acknowledged_by, r.acknowledged_at,
        coalesce(r.escalation_cancelled_at, r.decided_at, r.ended_at) AS ended_at,
        coalesce(r.escalation_cancelled_by, '') AS ended_by, r.reason
    FROM mint_requests r
    UNION ALL
    SELECT e.id, e.tenant, e.event_kind, e.request_id, r.track_number, e.policy_id, e.rule_id, e.action_hash,
        CASE WHEN e.state = 'running' AND e.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE e.state END,
        e.ended_at IS NULL, r.status, e.next_stage, e.started_at, e.closes_at, e.acknowledged_by,
        e.acknowledged_at, e.ended_at, coalesce(e.ended_by, ''), e.reason
    FROM escalation_runs e JOIN mint_requests r ON r.id = e.request_id
) AS run
"""
_VIEW = text(_VIEW_PARTS + "WHERE id = :id")
_LISTED = text(f"""{_VIEW_PARTS}
WHERE tenant = :tenant AND (:every OR is_open) AND (CAST(:requester AS varchar) IS NULL
    OR request_id IN (SELECT id FROM mint_requests WHERE tenant = :tenant AND requester = :requester))
ORDER BY started_at DESC, id LIMIT :limit
""")  # noqa: S608 - constants of ours
_STAGES = text("""
SELECT stage, due_at, ran_at, granted_tier, routed FROM stage_runs WHERE request_id = :id
UNION ALL
SELECT stage, due_at, ran_at, NULL, routed FROM escalation_stage_runs WHERE run_id = :id
ORDER BY stage
""")
_ACKS = text("""
SELECT recipient AS acknowledged_by, at AS acknowledged_at, stage, delivery_id, token_sha256 FROM acks
WHERE request_id = coalesce((SELECT request_id FROM escalation_runs WHERE id = :id), :id)
    AND coalesce(run_id, request_id) = :id ORDER BY at
""")
_MESSAGES = text("""
SELECT json_agg(json_build_object(
    'id', d.id, 'stage', d.stage, 'kind', d.kind, 'channel', d.channel, 'channel_kind', d.channel_kind,
    'recipient', d.recipient, 'state', d.state, 'due_at', d.due_at, 'deferred_until', d.deferred_until,
    'accepted_at', d.accepted_at, 'delivered_at', d.delivered_at, 'fallback_of', d.fallback_of,
    'provider_id', d.provider_id, 'note', d.note, 'error', d.error,
    'attempts', (SELECT coalesce(json_agg(json_build_object(
            'attempt', a.attempt, 'started_at', a.started_at, 'outcome', a.outcome, 'detail', a.detail,
            'ack_sha256', a.ack_sha256) ORDER BY a.attempt), '[]')
        FROM delivery_attempts a WHERE a.delivery_id = d.id))
    ORDER BY d.stage NULLS LAST, d.due_at, d.channel COLLATE "C", d.recipient COLLATE "C", d.id)
FROM deliveries d WHERE d.run_id = :id OR (d.run_id IS NULL AND d.request_id = :id AND d.stage IS NOT NULL)
""")
_SKIPPED = text("""
SELECT id FROM deliveries WHERE (run_id = :id OR (run_id IS NULL AND request_id = :id AND stage IS NOT NULL))
    AND state = 'skipped' ORDER BY id
""")


class RunView(BaseModel):
    """A run as operators see it; a mint request's own run has the request's id."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    event_kind: str
    request_id: str
    track_number: str
    policy_id: str | None
    rule_id: str
    action_hash: str
    state: str
    """`running`, `acknowledged`, `cancelled`, `over`, or how the run of an event has ended."""
    is_open: bool
    """Whether a stage may still come, be it after `escalation resume`."""
    request_status: str
    next_stage: int
    started_at: AwareDatetime
    closes_at: AwareDatetime | None
    acknowledged_by: str | None
    acknowledged_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    ended_by: str
    reason: str


class StageView(BaseModel):
    """A stage that has run; `routed` is false when nobody could be reached."""

    model_config = ConfigDict(frozen=True)

    stage: int
    due_at: AwareDatetime
    ran_at: AwareDatetime
    granted_tier: int | None
    routed: bool


class AckView(BaseModel):
    """An acknowledgement that took effect; of its link only the hash is kept."""

    model_config = ConfigDict(frozen=True)

    acknowledged_by: str
    acknowledged_at: datetime
    stage: int
    delivery_id: str
    token_sha256: str


async def event_run(tx: Transaction, run_id: str) -> EventRun | None:
    """The run of an operational event, or None."""
    row = await tx.row(_BY_ID, {"id": run_id})
    return None if row is None else _run(row)


async def lock_event_run(tx: Transaction, run_id: str) -> EventRun:
    """The run of that id, held until the transaction ends; raises NotFound."""
    row = await tx.row(_LOCKED, {"id": run_id})
    if row is None:
        raise NotFound(f"there is no escalation run {run_id}")
    return _run(row)


async def running_event_runs(tx: Transaction) -> list[EventRun]:
    """Every run that is not over, the oldest first."""
    return [_run(row) for row in await tx.rows(_RUNNING)]


async def event_rule(tx: Transaction, tenant: str, kind: EventKind) -> EventRule | None:
    """The tenant's rule for events of a kind, or None."""
    row = await tx.row(_RULE, {"tenant": tenant, "kind": kind.value})
    return None if row is None else EventRule(**row._asdict())


async def event_rules(tx: Transaction, tenant: str) -> list[EventRule]:
    """The tenant's rules for operational events."""
    return [EventRule(**row._asdict()) for row in await tx.rows(_RULES, {"tenant": tenant})]


async def run_view(tx: Transaction, run_id: str) -> RunView | None:
    """One run, or None."""
    row = await tx.row(_VIEW, {"id": run_id})
    return None if row is None else RunView(**row._asdict())


async def run_views(
    tx: Transaction, tenant: str, *, every: bool = False, requester: str | None = None
) -> list[RunView]:
    """The tenant's runs that are not over (or every one), the newest MOST_LISTED first.

    `requester`: those of this user's requests only.
    """
    params = {"tenant": tenant, "every": every, "requester": requester, "limit": MOST_LISTED}
    return [RunView(**row._asdict()) for row in await tx.rows(_LISTED, params)]


async def run_messages(tx: Transaction, run_id: str) -> list[dict[str, Any]]:
    """Every message of a run with every attempt to send it; of acknowledgement links the hash."""
    found: list[dict[str, Any]] = await tx.value(_MESSAGES, {"id": run_id}) or []
    return found


async def skipped_messages(tx: Transaction, run_id: str) -> list[str]:
    """The ids of a run's messages that are not sent, since nobody needs them as things stand."""
    return [row.id for row in await tx.rows(_SKIPPED, {"id": run_id})]


async def run_stages(tx: Transaction, run_id: str) -> list[StageView]:
    """The stages of a run that have run."""
    return [StageView(**row._asdict()) for row in await tx.rows(_STAGES, {"id": run_id})]


async def run_acks(tx: Transaction, run_id: str) -> list[AckView]:
    """Who has acknowledged a run, and when."""
    return [AckView(**row._asdict()) for row in await tx.rows(_ACKS, {"id": run_id})]


def _run(row: Any) -> EventRun:
    values = row._asdict()
    return EventRun(**{**values, "policy": parse_policy(row.policy) if row.policy else None})
