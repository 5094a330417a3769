"""A mint request as one row: everything a record holds, in a single round trip."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Row, TextClause, text

from db.session import Transaction
from domain.amounts import Asset
from domain.approvals import Approval, ApprovalRule
from domain.errors import NotFound
from domain.escalation import EscalationPolicy
from domain.mint_request import MintRequest, MintStatus
from domain.records import RequestRecord
from domain.submission import FeeBump, Outcome, Proof, Submission, SubmissionResult

_RECORD = """
SELECT r.id, r.tenant, r.network_passphrase, r.asset_code, r.asset_issuer, r.amount, r.destination, r.topic,
    r.requester, r.memo, r.resubmission_of, r.ledger_deadline, CAST(r.rule AS text) AS rule, r.sla_scale,
    r.created_at, r.expires_at, r.status, r.version, r.granted_tiers, r.next_stage, r.escalation_level,
    r.assignee, r.last_activity_at, r.decided_at, r.ended_at, r.reason,
    CAST(p.body AS text) AS policy,
    (SELECT json_agg(json_build_object('decision_id', a.decision_id, 'approver', a.approver, 'tier', a.tier,
            'reason', a.reason, 'at', a.at) ORDER BY a.at, a.approver)
        FROM approvals a WHERE a.request_id = r.id) AS approvals,
    s.hash, s.channel, s.sequence, s.max_time, s.envelope_xdr, s.signed_at_ledger, s.outcome,
    s.outcome_reason, s.ledger, s.proof,
    CASE WHEN s.hash IS NOT NULL THEN
        (SELECT json_agg(json_build_object('hash', b.hash, 'fee', b.fee, 'envelope_xdr', b.envelope_xdr)
            ORDER BY b.position) FROM fee_bumps b WHERE b.request_id = r.id) END AS fee_bumps,
    (SELECT n.id FROM mint_requests n WHERE n.resubmission_of = r.id) AS resubmitted_as,
    (SELECT v.version FROM mint_requests v WHERE v.id = r.id) AS seen_version
FROM mint_requests r
JOIN escalation_policies p ON p.id = r.policy_id
LEFT JOIN submissions s ON s.request_id = r.id
"""


def record_query(tail: str) -> TextClause:
    """Selects records; `tail` holds WHERE, ORDER BY, LIMIT on `r` and never a value."""
    return text(_RECORD + tail)


_BY_ID = record_query("WHERE r.id = :id")
_LOCKED = record_query("WHERE r.id = :id FOR UPDATE OF r")
_BY_TRACK_NUMBER = record_query("WHERE r.track_number = :track_number")


async def request(tx: Transaction, request_id: str) -> RequestRecord | None:
    """The request of that id, or None."""
    row = (await tx.execute(_BY_ID, {"id": request_id})).one_or_none()
    return None if row is None else record_from(row)


async def lock_request(tx: Transaction, request_id: str) -> RequestRecord:
    """The request of that id, held until the transaction ends; raises NotFound."""
    row = (await tx.execute(_LOCKED, {"id": request_id})).one_or_none()
    if row is not None and row.seen_version != row.version:
        # the lock was waited for: the row is the newest, but what hangs on it is as old as the statement
        row = (await tx.execute(_BY_ID, {"id": request_id})).one()
    if row is None:
        raise NotFound(f"there is no mint request {request_id}")
    return record_from(row)


async def request_by_track_number(tx: Transaction, track_number: str) -> RequestRecord | None:
    """The request that clients follow under that number, or None."""
    row = (await tx.execute(_BY_TRACK_NUMBER, {"track_number": track_number})).one_or_none()
    return None if row is None else record_from(row)


async def select_records(tx: Transaction, query: TextClause, params: dict[str, Any]) -> list[RequestRecord]:
    """Records that a `record_query` finds."""
    return [record_from(row) for row in (await tx.execute(query, params)).all()]


@lru_cache(maxsize=256)
def parse_policy(body: str) -> EscalationPolicy:
    """The policy of a stored body; the same few bodies come with every request."""
    return EscalationPolicy.model_validate_json(body)


@lru_cache(maxsize=1024)
def parse_rule(body: str) -> ApprovalRule:
    """The rule of a stored body; the same few bodies come with every request."""
    return ApprovalRule.model_validate_json(body)


def record_from(row: Row[Any]) -> RequestRecord:
    """The record that a row of a `record_query` holds."""
    return RequestRecord(
        request=_request_from(row),
        policy=parse_policy(row.policy),
        rule=parse_rule(row.rule),
        sla_scale=row.sla_scale,
        status=MintStatus(row.status),
        version=row.version,
        created_at=row.created_at,
        expires_at=row.expires_at,
        approvals=tuple(Approval.model_validate(item) for item in row.approvals or ()),
        granted_tiers=tuple(row.granted_tiers),
        next_stage=row.next_stage,
        escalation_level=row.escalation_level,
        assignee=row.assignee,
        last_activity_at=row.last_activity_at,
        decided_at=row.decided_at,
        ended_at=row.ended_at,
        reason=row.reason,
        submission=submission_from(row) if row.hash else None,
        result=_result_from(row),
        resubmitted_as=row.resubmitted_as,
    )


def _request_from(row: Row[Any]) -> MintRequest:
    return MintRequest(
        id=row.id,
        tenant=row.tenant,
        network_passphrase=row.network_passphrase,
        asset=Asset(code=row.asset_code, issuer=row.asset_issuer),
        amount=row.amount,
        destination=row.destination,
        topic=row.topic,
        requester=row.requester,
        memo=row.memo,
        resubmission_of=row.resubmission_of,
        ledger_deadline=row.ledger_deadline,
    )


def submission_from(row: Row[Any]) -> Submission:
    """The submission in a row that has its columns, `fee_bumps` included."""
    return Submission(
        request_id=row.id,
        hash=row.hash,
        channel=row.channel,
        sequence=row.sequence,
        max_time=row.max_time,
        envelope_xdr=row.envelope_xdr,
        signed_at_ledger=row.signed_at_ledger,
        fee_bumps=tuple(FeeBump(**bump) for bump in row.fee_bumps or ()),
    )


def _result_from(row: Row[Any]) -> SubmissionResult | None:
    if row.outcome is not None:
        return SubmissionResult(
            outcome=Outcome(row.outcome),
            reason=row.outcome_reason,
            proof=Proof.model_validate(row.proof),
            ledger=row.ledger,
        )
    if row.status == MintStatus.FAILED:
        # failed before anything was signed: there is no submission that could hold it
        return SubmissionResult(
            outcome=Outcome.FAILED, reason=row.reason, proof=Proof(kind="precheck", note=row.reason)
        )
    return None
