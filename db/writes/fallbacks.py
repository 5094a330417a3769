"""Deliveries that are given up, and those that take their place over another channel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import rfc8785
from sqlalchemy import text

from db.reads.records import parse_policy
from db.session import Transaction
from db.writes import audit
from domain.escalation import EscalationPolicy

_EXHAUSTED = text("""
(SELECT id FROM deliveries WHERE lease_until <= :now AND attempt >= max_attempts
    ORDER BY lease_until LIMIT 100)
UNION ALL (SELECT id FROM deliveries WHERE replace_at <= :now ORDER BY replace_at LIMIT 100)
""")
_LOST = text("""
WITH dead AS (
    UPDATE deliveries SET state = 'dead', lease_until = NULL, revise_at = NULL,
        error = 'no answer, and no attempt is left'
    WHERE id = :id AND state = 'sending' AND lease_until <= :now AND attempt >= max_attempts
    RETURNING id, attempt
)
UPDATE delivery_attempts a SET outcome = 'ambiguous', detail = 'no answer before the lease ended'
FROM dead WHERE a.delivery_id = dead.id AND a.attempt = dead.attempt AND a.outcome IS NULL
""")
_TAKEN_UP = text("UPDATE deliveries SET replace_at = NULL WHERE id = :id AND replace_at IS NOT NULL")
_REQUEST_LOCK = text("""
SELECT 1 FROM mint_requests WHERE id = (SELECT request_id FROM deliveries WHERE id = :id) FOR NO KEY UPDATE
""")
_AGAIN = text("""
WITH again AS (
    UPDATE deliveries SET next_attempt_at = greatest(CAST(:at AS timestamptz), deferred_until),
        state = CASE WHEN deferred_until > CAST(:at AS timestamptz) THEN 'deferred' ELSE 'pending' END,
        max_attempts = greatest(max_attempts, attempt + 1)
    WHERE request_id = :request_id AND run_id IS NOT DISTINCT FROM CAST(:run_id AS varchar)
        AND stage IS NOT NULL AND state = 'skipped'
), replaced AS (
    -- nothing took its place while somebody was on it
    UPDATE deliveries d SET replace_at = :at
    WHERE request_id = :request_id AND run_id IS NOT DISTINCT FROM CAST(:run_id AS varchar)
        AND stage IS NOT NULL AND state = 'dead'
        AND NOT EXISTS (SELECT 1 FROM deliveries f WHERE f.request_id = d.request_id AND f.fallback_of = d.id)
)
SELECT pg_notify('mintkeeper_deliveries', '')
""")
_DEAD = text("""
SELECT d.id, d.tenant, d.request_id, d.run_id, d.stage, d.kind, d.channel, d.channel_kind, d.recipient,
    d.error, coalesce(e.closes_at, r.expires_at) AS closes_at, r.sla_scale, CAST(p.body AS text) AS policy
FROM deliveries d JOIN mint_requests r ON r.id = d.request_id
LEFT JOIN escalation_runs e ON e.id = d.run_id
JOIN escalation_policies p ON p.id = coalesce(e.policy_id, r.policy_id)
WHERE d.id = :id AND d.state = 'dead' AND d.stage IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM deliveries f WHERE f.request_id = d.request_id AND f.fallback_of = d.id)
""")
_OF_STAGE = text("""
SELECT o.id, o.channel, o.recipient, o.state, o.fallback_of FROM deliveries o, deliveries d
WHERE d.id = :id AND o.request_id = d.request_id AND o.run_id IS NOT DISTINCT FROM d.run_id
    AND o.stage = d.stage AND o.kind = d.kind
""")
_INSERT = text("""
WITH sent AS (
    INSERT INTO deliveries (id, tenant, request_id, run_id, kind, stage, channel, channel_kind, target,
        recipient, time_zone, facts, state, attempt, max_attempts, backoff_seconds, due_at, next_attempt_at,
        accepted_at, provider_id, note, error, deferred_until, fallback_of)
    SELECT n.id, d.tenant, d.request_id, d.run_id, d.kind, d.stage, n.channel, n.channel_kind, n.target,
        n.recipient, n.time_zone, d.facts,
        CASE WHEN n.in_app THEN 'accepted' WHEN n.deferred_until IS NULL THEN 'pending' ELSE 'deferred' END,
        0, :max_attempts, :backoff_seconds, :at,
        CASE WHEN NOT n.in_app THEN coalesce(n.deferred_until, :at) END,
        CASE WHEN n.in_app THEN CAST(:at AS timestamptz) END, '', n.note, '', n.deferred_until, d.id
    FROM deliveries d, jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id varchar, channel varchar,
        channel_kind varchar, target varchar, recipient varchar, time_zone varchar, in_app boolean,
        deferred_until timestamptz, note varchar)
    WHERE d.id = :id
    ON CONFLICT (id) DO NOTHING
    RETURNING id, tenant, request_id, kind, recipient, state, channel_kind
), told AS (
    INSERT INTO notifications (id, tenant, request_id, recipient_kind, recipient, event, kind, body,
        created_at)
    SELECT id, tenant, request_id, 'ADMIN_USER', recipient,
        CASE WHEN kind = 'event_overdue' THEN 'SLA_OVERDUE' ELSE 'ESCALATION' END, kind, :inbox_text, :at
    FROM sent
    WHERE channel_kind = 'in-app'
    ON CONFLICT (id) DO NOTHING
)
SELECT count(pg_notify('mintkeeper_deliveries', '')) FROM (
    SELECT 1 FROM sent WHERE state = 'pending' LIMIT 1) AS waiting
""")


@dataclass(frozen=True)
class DeadDelivery:
    """A delivery of a stage that was given up and has nothing in its place yet.

    `closes_at` is the end of its run, `policy` the one that the run follows.
    """

    id: str
    tenant: str
    request_id: str
    run_id: str | None
    stage: int
    kind: str
    channel: str
    channel_kind: str
    recipient: str
    error: str
    closes_at: datetime
    sla_scale: int
    policy: EscalationPolicy


@dataclass(frozen=True)
class Sibling:
    """A delivery of the same stage."""

    id: str
    channel: str
    recipient: str
    state: str
    fallback_of: str | None


@dataclass(frozen=True)
class Substitute:
    """A message that takes the place of a dead one."""

    channel: str
    channel_kind: str
    target: str
    recipient: str
    time_zone: str
    deferred_until: datetime | None = None

    def id(self, dead_id: str) -> str:
        """The same for the same substitute of the same dead delivery, whoever writes it."""
        return hashlib.sha256(rfc8785.dumps(["fallback", dead_id, self.channel, self.recipient])).hexdigest()


async def exhausted(tx: Transaction, now: datetime) -> list[str]:
    """Deliveries whose last attempt had no answer before its lease ended, and those that their provider
    has lost since; at most 100 of each."""
    return [row.id for row in await tx.rows(_EXHAUSTED, {"now": now})]


async def give_up_exhausted(tx: Transaction, id: str, now: datetime) -> None:
    """Let such a delivery be dead, unless its answer has come meanwhile."""
    await tx.run(_LOST, {"id": id, "now": now})
    await tx.run(_TAKEN_UP, {"id": id})


async def send_again(tx: Transaction, *, request_id: str, run_id: str | None, at: datetime) -> None:
    """Let out what an acknowledgement or a cancel had held back, now that it is taken back.

    Nobody may be forgotten because somebody else was on it for a while: what was skipped waits again, and
    what had died without anything in its place is looked at again. `run_id` None: the request's own run.
    """
    await tx.run(_AGAIN, {"request_id": request_id, "run_id": run_id, "at": at})


async def hold_request(tx: Transaction, id: str) -> None:
    """Hold the request of a delivery until the transaction ends: request, delivery, chain is the order."""
    await tx.run(_REQUEST_LOCK, {"id": id})


async def dead_delivery(tx: Transaction, id: str) -> DeadDelivery | None:
    """The dead delivery of a stage, if nothing has taken its place yet."""
    row = await tx.row(_DEAD, {"id": id})
    if row is None:
        return None
    return DeadDelivery(**{**row._asdict(), "policy": parse_policy(row.policy)})


async def of_same_stage(tx: Transaction, id: str) -> list[Sibling]:
    """Every delivery of the same message of the same stage, this one included."""
    return [Sibling(**row._asdict()) for row in await tx.rows(_OF_STAGE, {"id": id})]


async def insert(
    tx: Transaction,
    dead: DeadDelivery,
    substitutes: Sequence[Substitute],
    *,
    note: str,
    inbox_text: str,
    at: datetime,
) -> None:
    """Write what takes the place of a dead delivery, due at `at`."""
    rows = [
        {
            **vars(one),
            "id": one.id(dead.id),
            "in_app": one.channel_kind == "in-app",
            "deferred_until": one.deferred_until.isoformat() if one.deferred_until else None,
            "note": note,
        }
        for one in substitutes
    ]
    params = {
        "id": dead.id,
        "rows": json.dumps(rows),
        "max_attempts": dead.policy.retry.max_attempts,
        "backoff_seconds": dead.policy.retry.backoff_seconds,
        "inbox_text": inbox_text,
        "at": at,
    }
    await tx.run(_INSERT, params)


async def note_unreached(tx: Transaction, dead: DeadDelivery, others: Sequence[str], at: datetime) -> None:
    """Audit event `delivery.unreached`, once a delivery: no channel is left that could carry its message.

    `others` are the channels over which the stage has told the recipient all the same.
    """
    await audit.append(
        tx,
        tenant=dead.tenant,
        request_id=dead.request_id,
        step=f"unreached:{dead.id}",
        kind="delivery.unreached",
        actor="relay",
        at=at,
        details={
            "deliveryId": dead.id,
            "runId": dead.run_id or dead.request_id,
            "stage": dead.stage,
            "channel": dead.channel,
            "recipient": dead.recipient,
            "error": dead.error,
            "otherChannels": sorted(set(others)),
        },
    )
