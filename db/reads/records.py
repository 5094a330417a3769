"""A mint request as one JSON value: everything a record holds, in a single round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import TextClause, text

from db.session import Transaction
from domain.approvals import ApprovalRule
from domain.errors import NotFound
from domain.escalation import EscalationPolicy
from domain.records import RequestRecord

SUBMISSION_JSON = """
json_build_object(
    'request_id', s.request_id, 'hash', s.hash, 'channel', s.channel, 'sequence', s.sequence,
    'max_time', s.max_time, 'envelope_xdr', s.envelope_xdr, 'signed_at_ledger', s.signed_at_ledger,
    'plan', s.plan,
    'fee_bumps', (SELECT coalesce(json_agg(json_build_object(
            'hash', b.hash, 'fee', b.fee, 'envelope_xdr', b.envelope_xdr) ORDER BY b.position), '[]')
        FROM fee_bumps b WHERE b.request_id = s.request_id))
"""
"""A row `s` of `submissions`, in the shape of `domain.submission.Submission`."""

# what failed before anything was signed has no submission that could hold its result
_RECORD = """
SELECT json_build_object(
    'request', json_build_object(
        'id', r.id, 'tenant', r.tenant, 'network_passphrase', r.network_passphrase,
        'asset', json_build_object('code', r.asset_code, 'issuer', r.asset_issuer), 'amount', r.amount,
        'destination', r.destination, 'topic', r.topic, 'requester', r.requester, 'memo', r.memo,
        'resubmission_of', r.resubmission_of, 'ledger_deadline', r.ledger_deadline),
    'sla_scale', r.sla_scale, 'status', r.status, 'version', r.version, 'created_at', r.created_at,
    'expires_at', r.expires_at, 'status_since', r.status_since,
    'approvals', (SELECT coalesce(json_agg(json_build_object(
            'decision_id', a.decision_id, 'approver', a.approver,
            'on_behalf_of', a.on_behalf_of,
            'tier', a.tier, 'reason', a.reason, 'at', a.at)
            ORDER BY a.at, a.approver), '[]')
        FROM approvals a WHERE a.request_id = r.id),
    'granted_tiers', r.granted_tiers, 'next_stage', r.next_stage, 'escalation_level', r.escalation_level,
    'assignee', r.assignee, 'assigned_at', r.assigned_at,
    'assigned_automatically', r.assigned_automatically, 'unassigned_since', r.unassigned_since,
    'first_response_at', r.first_response_at,
    'last_activity_at', r.last_activity_at, 'decided_at', r.decided_at,
    'acknowledged_by', r.acknowledged_by, 'acknowledged_at', r.acknowledged_at,
    'escalation_cancelled_by', r.escalation_cancelled_by,
    'escalation_cancelled_at', r.escalation_cancelled_at,
    'ended_at', r.ended_at, 'reason', r.reason,
    'submission', CASE WHEN s.request_id IS NOT NULL THEN {submission} END,
    'result', CASE
        WHEN s.outcome IS NOT NULL THEN json_build_object(
            'outcome', s.outcome, 'reason', s.outcome_reason, 'proof', s.proof, 'ledger', s.ledger)
        WHEN r.status = 'FAILED' THEN json_build_object('outcome', 'FAILED', 'reason', r.reason,
            'proof', json_build_object('kind', 'precheck', 'note', r.reason)) END,
    'ledger_options', coalesce((SELECT json_build_object(
            'auth_sandwich', o.auth_sandwich, 'claimable_balance', o.claimable_balance,
            'reclaim_after_days', o.reclaim_after_days, 'one_shot_ticket', o.one_shot_ticket)
        FROM ledger_options o WHERE o.tenant = r.tenant), '{{}}'),
    'ticket', (SELECT json_build_object(
            'request_id', t.request_id, 'hash', t.hash, 'channel', t.channel, 'sequence', t.sequence,
            'max_time', t.max_time, 'envelope_xdr', t.envelope_xdr, 'signed_at_ledger', t.signed_at_ledger,
            'removes', t.removes, 'outcome', t.outcome, 'reason', coalesce(t.reason, ''), 'proof', t.proof)
        FROM tickets t WHERE t.request_id = r.id),
    'resubmitted_as', (SELECT n.id FROM mint_requests n WHERE n.resubmission_of = r.id)) AS record,
    CAST(p.body AS text) AS policy, CAST(r.rule AS text) AS rule,
    (SELECT v.version FROM mint_requests v WHERE v.id = r.id) AS seen_version
FROM mint_requests r
JOIN escalation_policies p ON p.id = r.policy_id
LEFT JOIN submissions s ON s.request_id = r.id
"""


def record_query(tail: str) -> TextClause:
    """Selects records; `tail` holds WHERE, ORDER BY, LIMIT on `r` and never a value."""
    return text(_RECORD.format(submission=SUBMISSION_JSON) + tail)


_BY_ID = record_query("WHERE r.id = :id")
_BY_IDS = record_query("WHERE r.id = ANY (CAST(:ids AS varchar[]))")
# whoever only refers to the request, as every message and event does, waits for nobody
_LOCKED = record_query("WHERE r.id = :id FOR NO KEY UPDATE OF r")
_BY_TRACK_NUMBER = record_query("WHERE r.track_number = :track_number")


async def request(tx: Transaction, request_id: str) -> RequestRecord | None:
    """The request of that id, or None."""
    row = await tx.row(_BY_ID, {"id": request_id})
    return None if row is None else record_from(row)


async def requests_of(tx: Transaction, ids: Sequence[str]) -> list[RequestRecord]:
    """The requests of those ids, in any order; what does not exist is left out."""
    return await select_records(tx, _BY_IDS, {"ids": list(ids)})


async def lock_request(tx: Transaction, request_id: str) -> RequestRecord:
    """The request of that id, held until the transaction ends; raises NotFound."""
    row = await tx.row(_LOCKED, {"id": request_id})
    if row is None:
        raise NotFound(f"there is no mint request {request_id}")
    if row.seen_version != row.record["version"]:
        # the lock was waited for: the row is the newest, but what hangs on it is as old as the statement
        row = (await tx.rows(_BY_ID, {"id": request_id}))[0]
    return record_from(row)


async def request_by_track_number(tx: Transaction, track_number: str) -> RequestRecord | None:
    """The request that clients follow under that number, or None."""
    row = await tx.row(_BY_TRACK_NUMBER, {"track_number": track_number})
    return None if row is None else record_from(row)


async def select_records(
    tx: Transaction, query: TextClause, params: Mapping[str, Any]
) -> list[RequestRecord]:
    """Records that a `record_query` finds."""
    return [record_from(row) for row in await tx.rows(query, params)]


def record_from(row: Any) -> RequestRecord:
    """The record that a row of a `record_query` holds."""
    pinned = {"policy": parse_policy(row.policy), "rule": parse_rule(row.rule)}
    return RequestRecord.model_validate({**row.record, **pinned})


@lru_cache(maxsize=256)
def parse_policy(body: str) -> EscalationPolicy:
    """The policy of a stored body; the same few bodies come with every request."""
    return EscalationPolicy.model_validate_json(body)


@lru_cache(maxsize=1024)
def parse_rule(body: str) -> ApprovalRule:
    """The rule of a stored body; the same few bodies come with every request."""
    return ApprovalRule.model_validate_json(body)
