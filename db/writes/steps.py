"""The one way a mint request moves: state, audit event and outbox rows in a single statement.

A step is guarded twice: by the version and status of the record it was decided on, and by its key,
the unique (request, step) of the audit chain. A repeated step changes nothing and returns the record
as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text

from db.reads.records import request as read_request
from db.session import Transaction
from db.writes.audit import event_body
from db.writes.letters import Notice
from db.writes.notices import facts_of
from domain.errors import NotFound, TransitionRefused
from domain.mint_request import TRANSITIONS, MintStatus
from domain.records import RequestRecord

_FOUND = """
WITH found AS (
    SELECT id AS request_id FROM mint_requests
    WHERE id = :id AND version = :version AND status = :was
        AND NOT EXISTS (SELECT 1 FROM audit_events WHERE request_id = :id AND step = CAST(:step AS varchar))
    FOR NO KEY UPDATE
)
"""
_CHANGED = """
, changed AS (
    UPDATE mint_requests SET status = :status, version = version + 1,
        granted_tiers = CAST(:granted_tiers AS integer[]), next_stage = :next_stage,
        escalation_level = :escalation_level, assignee = :assignee, assigned_at = :assigned_at,
        assigned_automatically = :assigned_automatically, unassigned_since = :unassigned_since,
        status_since = :status_since, first_response_at = :first_response_at,
        last_activity_at = :last_activity_at,
        decided_at = :decided_at, ended_at = :ended_at, reason = :reason,
        acknowledged_by = :acknowledged_by, acknowledged_at = :acknowledged_at,
        escalation_cancelled_by = :escalation_cancelled_by, escalation_cancelled_at = :escalation_cancelled_at
    FROM {source} WHERE id = {source}.request_id
    RETURNING id
)
"""
_UNCHANGED = """
, changed AS (SELECT request_id AS id FROM {source})
"""
SIDE_EFFECTS = """
, overtaken AS (
    -- one update for both: of a row that is claimed just now, its state after the claim counts
    UPDATE deliveries SET state = CASE WHEN next_attempt_at IS NULL THEN state ELSE 'skipped' END,
        note = CASE WHEN next_attempt_at IS NULL THEN note ELSE :unwanted END,
        revise_at = CASE WHEN next_attempt_at IS NULL THEN CAST(:revise_at AS timestamptz) END,
        next_attempt_at = NULL, revise_attempt = 0
    FROM changed WHERE (:unwanted <> '' OR CAST(:revise_at AS timestamptz) IS NOT NULL)
        AND request_id = changed.id AND stage IS NOT NULL
        AND run_id IS NOT DISTINCT FROM CAST(:event_run_id AS varchar)
        AND CASE WHEN next_attempt_at IS NOT NULL THEN :unwanted <> ''
            ELSE channel_kind = ANY (CAST(:revised_kinds AS varchar[]))
                AND (state = 'sending' OR (state IN ('accepted', 'delivered') AND provider_id <> '')) END
)
, sent AS (
    INSERT INTO deliveries (id, tenant, request_id, kind, stage, channel, channel_kind, target, recipient,
        time_zone, facts, state, attempt, max_attempts, backoff_seconds, due_at, next_attempt_at, accepted_at,
        provider_id, note, error, run_id, deferred_until)
    SELECT n.id, :tenant, changed.id, n.kind, n.stage, n.channel, n.channel_kind, n.target, n.recipient,
        n.time_zone, CAST(:facts AS jsonb),
        CASE WHEN n.inbox IS NOT NULL THEN 'accepted' WHEN n.deferred_until IS NULL THEN 'pending'
            ELSE 'deferred' END,
        0, :max_attempts, :backoff_seconds, :due_at,
        CASE WHEN n.inbox IS NULL THEN greatest(CAST(:at AS timestamptz), :due_at, n.deferred_until) END,
        CASE WHEN n.inbox IS NOT NULL THEN CAST(:at AS timestamptz) END, '', n.note, '', n.run_id,
        n.deferred_until
    FROM changed, jsonb_to_recordset(CAST(:notices AS jsonb)) AS n (id varchar, kind varchar,
        stage integer, channel varchar, channel_kind varchar, target varchar, recipient varchar,
        time_zone varchar, inbox varchar, run_id varchar, deferred_until timestamptz, note varchar)
    ON CONFLICT (id) DO NOTHING
    RETURNING state
)
, told AS (
    INSERT INTO notifications (id, tenant, request_id, recipient_kind, recipient, event, kind, body,
        created_at)
    SELECT n.id, :tenant, changed.id, n.inbox_kind, n.inbox, n.event, n.kind, :inbox_text, :at
    FROM changed, jsonb_to_recordset(CAST(:notices AS jsonb)) AS n (id varchar, kind varchar,
        event varchar, inbox_kind varchar, inbox varchar)
    WHERE n.inbox IS NOT NULL
    ON CONFLICT (id) DO NOTHING
)
, noted AS (
    INSERT INTO audit_events (tenant, request_id, step, kind, actor, at, body)
    SELECT :tenant, changed.id, :step, :kind, :actor, :at, :body FROM changed
)
SELECT (SELECT count(*) FROM changed) AS changed,
    (SELECT count(pg_notify('mintkeeper_deliveries', '')) FROM (
        SELECT 1 FROM sent WHERE state = 'pending' LIMIT 1) AS waiting) AS woken
"""
"""What every step does once its CTE `changed` has found the request's `id`: outbox and audit event."""

REVISED_KINDS = ("slack", "pagerduty")
"""Channels whose messages can be brought up to date."""

REVISION_DELAY = timedelta(seconds=3)
"""What changes again within it is told once."""

_STEP_DONE = text("SELECT 1 FROM audit_events WHERE request_id = :id AND step = :step")


def step_statement(*parts: str, source: str = "found") -> TextClause:
    """A step that also runs `parts`: CTEs that read `found` and come before the request's own change.

    `source` names the CTE with a `request_id` that the change waits for, so that the guards of the
    tables in `parts` still see the request as it was.
    """
    before = "".join(f", {part.strip()}\n" for part in parts)
    return text(_FOUND + before + _CHANGED.format(source=source) + SIDE_EFFECTS)


PLAIN = step_statement()
"""A step that changes nothing but the request."""


def announcement_statement(*parts: str, source: str = "found") -> TextClause:
    """An announcement that also runs `parts`, as `step_statement` does."""
    before = "".join(f", {part.strip()}\n" for part in parts)
    return text(_FOUND + before + _UNCHANGED.format(source=source) + SIDE_EFFECTS)


ANNOUNCEMENT = announcement_statement()
"""An audit event and messages, and nothing else."""


async def advance(
    tx: Transaction,
    *,
    before: RequestRecord,
    after: RequestRecord,
    step: str,
    kind: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
    notices: Sequence[Notice] = (),
    due_at: datetime | None = None,
    statement: TextClause = PLAIN,
    extra: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> RequestRecord:
    """Write the step that leads from `before` to `after`, and return `after` at its new version.

    `facts` is what its messages can say beside the request. A step that is done already returns the
    record as it stands. Raises TransitionRefused when the request is no longer as `before` says.
    """
    after = _dated(before, after, at)
    params = {
        **event_params(before, after, step, kind, actor, at, details),
        **_moving_columns(after),
        **outbox_params(after, notices, due_at or at, facts),
        **(extra or {}),
    }
    if not _allowed(before, after) or not await tx.value(statement, params):
        return await _as_it_stands(tx, before, after, step)
    return after.model_copy(update={"version": before.version + 1})


def _dated(before: RequestRecord, after: RequestRecord, at: datetime) -> RequestRecord:
    """`after` with the moments of what has changed: since when it has its status and its assignee."""
    dates: dict[str, Any] = {}
    if after.status is not before.status:
        dates["status_since"] = at
    if after.assignee != before.assignee:
        dates["assigned_at"] = at if after.assignee else None
        dates["unassigned_since"] = None if after.assignee else at
    return after.model_copy(update=dates) if dates else after


async def announce(
    tx: Transaction,
    *,
    record: RequestRecord,
    step: str,
    kind: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
    notices: Sequence[Notice],
    statement: TextClause = ANNOUNCEMENT,
    extra: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> bool:
    """Write an audit event and messages about a request that itself stays as it is; answers whether it did.

    Nothing happens when the step is done already, or the request is no longer as `record` says.
    """
    event = event_params(record, record, step, kind, actor, at, details)
    outbox = outbox_params(record, notices, at, facts)
    return bool(await tx.value(statement, {**event, **outbox, **(extra or {})}))


def event_params(
    before: RequestRecord,
    after: RequestRecord,
    step: str,
    kind: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """What a step's guards and its audit event need."""
    tenant, request_id = before.request.tenant, before.request.id
    return {
        "id": request_id,
        "tenant": tenant,
        "was": before.status.value,
        "version": before.version,
        "step": step,
        "kind": kind,
        "actor": actor,
        "at": at,
        "body": event_body(
            tenant=tenant,
            request_id=request_id,
            step=step,
            kind=kind,
            actor=actor,
            at=at,
            details=details,
        ),
        "unwanted": _unwanted(before, after),
        "event_run_id": None,
        "revise_at": at + REVISION_DELAY if _says_other(before, after) else None,
        # once it is resolved, nothing more can be said to PagerDuty
        "revised_kinds": list(REVISED_KINDS if before.status is MintStatus.PENDING else REVISED_KINDS[:1]),
    }


def _unwanted(before: RequestRecord, after: RequestRecord) -> str:
    """Why nobody needs the messages of its stages any more; empty: they are needed as before."""
    if before.status is MintStatus.PENDING and after.status is not MintStatus.PENDING:
        return "the request has left PENDING"
    if after.escalation_cancelled_at not in (None, before.escalation_cancelled_at):
        return "the escalation is cancelled"
    if after.acknowledged_at not in (None, before.acknowledged_at):
        return f"{after.acknowledged_by} is on it"
    return ""


def _says_other(before: RequestRecord, after: RequestRecord) -> bool:
    """Tell whether messages that were sent say something else about `after`."""
    moved = after.status is not before.status and after.status is not MintStatus.SUBMITTING
    approved = len(after.approvals) != len(before.approvals)
    return moved or approved or after.acknowledged_at != before.acknowledged_at


def _moving_columns(record: RequestRecord) -> dict[str, Any]:
    return {
        "status": record.status.value,
        "granted_tiers": list(record.granted_tiers),
        "next_stage": record.next_stage,
        "escalation_level": record.escalation_level,
        "assignee": record.assignee,
        "assigned_at": record.assigned_at,
        "assigned_automatically": record.assigned_automatically,
        "unassigned_since": record.unassigned_since,
        "status_since": record.status_since,
        "first_response_at": record.first_response_at,
        "last_activity_at": record.last_activity_at,
        "decided_at": record.decided_at,
        "ended_at": record.ended_at,
        "reason": record.reason,
        "acknowledged_by": record.acknowledged_by,
        "acknowledged_at": record.acknowledged_at,
        "escalation_cancelled_by": record.escalation_cancelled_by,
        "escalation_cancelled_at": record.escalation_cancelled_at,
    }


def outbox_params(
    record: RequestRecord,
    notices: Sequence[Notice],
    due_at: datetime,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a step's messages need; `record` as it is after the step."""
    return {
        "due_at": due_at,
        "notices": json.dumps([notice.row() for notice in notices]),
        "facts": json.dumps({**facts_of(record), **(facts or {})}) if notices else "{}",
        "inbox_text": _inbox_text(record, facts or {}),
        "max_attempts": record.policy.retry.max_attempts,
        "backoff_seconds": record.policy.retry.backoff_seconds,
    }


def _inbox_text(record: RequestRecord, facts: Mapping[str, Any]) -> str:
    """What stands in the app: what somebody said or handed in, else how the request stands."""
    if said := facts.get("excerpt") or facts.get("filename"):
        return f"{facts['author']}: {said}"
    return f"{record.status}: {record.request.summary}"


def _allowed(before: RequestRecord, after: RequestRecord) -> bool:
    if before.ended_at is not None:
        return False
    return after.status is before.status or after.status in TRANSITIONS[before.status]


async def _as_it_stands(
    tx: Transaction, before: RequestRecord, after: RequestRecord, step: str
) -> RequestRecord:
    request_id = before.request.id
    stands = await read_request(tx, request_id)
    if stands is None:
        raise NotFound(f"there is no mint request {request_id}")
    if await step_done(tx, request_id, step):
        return stands
    if stands.ended_at is not None:
        raise TransitionRefused(
            f"mint request {request_id} is {stands.status} already; it can't change any more"
        )
    if not _allowed(before, after):
        raise TransitionRefused(f"a request can't go from {before.status} to {after.status}")
    raise TransitionRefused(
        f"mint request {request_id} is {stands.status} at version {stands.version}, "
        f"not {before.status} at version {before.version}: read it again"
    )


async def step_done(tx: Transaction, request_id: str, step: str) -> bool:
    """Tell whether the step has been written."""
    return await tx.value(_STEP_DONE, {"id": request_id, "step": step}) is not None
