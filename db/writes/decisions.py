"""Signed decisions that were verified and judged: approvals, verdicts, and refusals for the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from db.writes import audit
from db.writes.notices import has_notices, partial_notices, status_notices
from db.writes.requests import with_status
from db.writes.routing import routing
from db.writes.steps import PLAIN, advance, step_done, step_statement
from db.writes.submissions import CONCLUDING, concluding_params
from domain.amounts import format_amount
from domain.approvals import RESOLUTIONS, Approval, Decision, RefusalReason, Verdict
from domain.errors import DecisionRefused
from domain.evidence import operator_proof
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.submission import Outcome, SubmissionResult
from domain.weighing import judge_evidence

_CAP_WINDOW = timedelta(hours=24)

NOTHING: Mapping[str, Any] = MappingProxyType({})

_APPROVE = step_statement(
    """approved AS (
    INSERT INTO approvals (request_id, approver, on_behalf_of, tier, decision_id, reason, digest, envelope,
        at)
    SELECT request_id, :actor, :on_behalf_of, :tier, :decision_id, :approval_reason, :digest,
        CAST(:envelope AS jsonb), :at
    FROM found RETURNING request_id)""",
    source="approved",
)
_CAP_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:asset, 0))")
_APPROVED_LATELY = text("""
SELECT coalesce(sum(amount), 0) FROM mint_requests
WHERE tenant = :tenant AND asset_code = :code AND asset_issuer = :issuer AND decided_at > :since
    AND status IN ('APPROVED', 'SUBMITTING', 'CONFIRMED', 'ANOMALY')
""")
_TAKEN_ELSEWHERE = text("SELECT 1 FROM approvals WHERE decision_id = :decision_id AND request_id <> :id")
_REQUEST_LOCK = text("SELECT 1 FROM mint_requests WHERE id = :id FOR NO KEY UPDATE")
_STEP_BODY = text("SELECT body FROM audit_events WHERE request_id = :id AND step = :step")


async def record_approval(
    tx: Transaction,
    *,
    record: RequestRecord,
    approval: Approval,
    envelope: Mapping[str, Any],
    satisfied: bool,
    at: datetime,
    delegated: Mapping[str, Any] = NOTHING,
) -> RequestRecord:
    """Step `decision:ID`: one accepted approval; with `satisfied` the request is APPROVED with it.

    `envelope` is the signed DSSE envelope, kept for auditors; `delegated` says by which absence the
    authority is another's. Raises DecisionRefused (daily cap).
    """
    step = f"decision:{approval.decision_id}"
    taken = {"decision_id": approval.decision_id, "id": record.request.id}
    if await tx.value(_TAKEN_ELSEWHERE, taken) is not None:
        raise DecisionRefused(
            f"decision {approval.decision_id} approved another request: sign anew, with a new id",
            RefusalReason.ALREADY_DECIDED,
        )
    if satisfied and record.rule.daily_cap_stroops and not await step_done(tx, record.request.id, step):
        await _check_daily_cap(tx, record, record.rule.daily_cap_stroops, at)
    with_it = record.answered(at).model_copy(
        update={"approvals": (*record.approvals, approval), "last_activity_at": at}
    )
    after = with_status(with_it, MintStatus.APPROVED, at) if satisfied else with_it
    return await advance(
        tx,
        before=record,
        after=after,
        step=step,
        kind="decision.approve",
        actor=approval.approver,
        at=at,
        details={
            "verdict": Verdict.APPROVE,
            "tier": approval.tier,
            "reason": approval.reason,
            "status": after.status,
            "envelope": envelope,
            **delegated,
        },
        notices=[] if satisfied else partial_notices(after, await routing(tx, record.request), at),
        statement=_APPROVE,
        extra={
            "tier": approval.tier,
            "on_behalf_of": approval.on_behalf_of,
            "decision_id": approval.decision_id,
            "approval_reason": approval.reason,
            "digest": record.request.digest(),
            "envelope": json.dumps(envelope),
        },
    )


async def _check_daily_cap(tx: Transaction, record: RequestRecord, cap: int, at: datetime) -> None:
    """Refuse what would pass the rule's cap; the lock lets no two approvals of an asset pass together."""
    request = record.request
    await tx.run(_CAP_LOCK, {"asset": f"{request.tenant}/{request.asset}"})
    params = {
        "tenant": request.tenant,
        "code": request.asset.code,
        "issuer": request.asset.issuer,
        "since": at - _CAP_WINDOW,
    }
    approved = int(await tx.value(_APPROVED_LATELY, params) or 0)
    if approved + request.amount > cap:
        raise DecisionRefused(
            f"the daily cap is {format_amount(cap)} {request.asset.code}, and {format_amount(approved)} was "
            "approved in the last 24 hours: try again later",
            RefusalReason.DAILY_CAP,
        )


async def record_verdict(
    tx: Transaction,
    *,
    record: RequestRecord,
    decision: Decision,
    envelope: Mapping[str, Any],
    to: MintStatus,
    at: datetime,
    delegated: Mapping[str, Any] = NOTHING,
) -> RequestRecord:
    """Step `decision:ID`: a rejection, a cancellation, or an operator's resolution of an anomaly.

    A resolution concludes the submission too, with the evidence that the operator signed as its proof;
    raises DecisionRefused without any.
    """
    answered = record.answered(at) if decision.verdict is Verdict.REJECT else record
    after = with_status(answered, to, at, decision.reason)
    statement, extra, proved = PLAIN, {}, {}
    if decision.verdict in RESOLUTIONS:
        evidence, _ = judge_evidence(decision.evidence, record, Outcome(to))
        result = SubmissionResult(
            outcome=Outcome(to),
            reason=decision.reason,
            proof=operator_proof(evidence, decision.approver),
            ledger=evidence.decided_at(),
        )
        after = after.model_copy(update={"result": result})
        # An account that was seen serves again: each submission reads its sequence anew, so whoever else
        # signs for it can only spoil one, never double it. One that is gone stays frozen.
        frozen = evidence.channel.sequence is None
        statement, extra = CONCLUDING, {**concluding_params(result), "frozen": frozen}
        proved = {"evidenceSha256": result.proof.evidence_sha256}
    return await advance(
        tx,
        before=record,
        after=after,
        step=f"decision:{decision.decision_id}",
        kind=f"decision.{decision.verdict}",
        actor=decision.approver,
        at=at,
        details={
            "verdict": decision.verdict,
            "reason": decision.reason,
            "status": to,
            "envelope": envelope,
            **proved,
            **delegated,
        },
        notices=status_notices(after, await routing(tx, record.request), at) if has_notices(to) else [],
        statement=statement,
        extra=extra,
    )


async def record_refusal(
    tx: Transaction,
    *,
    tenant: str,
    request_id: str,
    step: str,
    reason: str,
    message: str,
    actor_claimed: str,
    envelope_sha256: str,
    at: datetime,
) -> None:
    """An audit event `decision.refused`, once a step, and nothing else.

    `actor_claimed` is who the unverified envelope says it is from.
    """
    # the row first, the chain last: the order of every other step
    await tx.run(_REQUEST_LOCK, {"id": request_id})
    await audit.append(
        tx,
        tenant=tenant,
        request_id=request_id,
        step=step,
        kind="decision.refused",
        actor=actor_claimed,
        at=at,
        details={"reason": reason, "message": message, "envelopeSha256": envelope_sha256},
    )


async def outcome_of_step(tx: Transaction, request_id: str, step: str) -> dict[str, Any] | None:
    """The details of the audit event that a step wrote, or None: the first answer to a repeated decision."""
    body = await tx.value(_STEP_BODY, {"id": request_id, "step": step})
    return None if body is None else dict(json.loads(body)["details"])
