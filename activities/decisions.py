"""The activity that verifies a signed decision and lets it take effect, or records why not."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from temporalio import activity

from db import reads
from db.reads.inspections import inspections
from db.session import Database, Transaction
from db.writes import codes, decisions
from db.writes.authority_keys import register_authority_key
from domain import dsse, steps
from domain.ack import NO_AUTHORITY, Authority
from domain.approvals import (
    DECISION_TYPE,
    RESOLUTIONS,
    Approval,
    Decision,
    DecisionOutcome,
    RefusalReason,
    SignedDecision,
    Verdict,
    tally,
)
from domain.authority import Authority as Tier
from domain.authority import authority_of
from domain.errors import DecisionRefused, InvalidInput
from domain.judgement import judge, needs_step_up, outcome_of
from domain.mint_request import MintStatus
from domain.records import RequestRecord, Signer
from domain.steps import DecideAnswer, DecideStep, Standing
from domain.weighing import judge_recorded

_ENDS_IN = {
    Verdict.REJECT: MintStatus.REJECTED,
    Verdict.CANCEL: MintStatus.CANCELLED,
    Verdict.CONFIRMED: MintStatus.CONFIRMED,
    Verdict.FAILED: MintStatus.FAILED,
    Verdict.TIMEOUT_FAILED: MintStatus.TIMEOUT_FAILED,
}

_CLOSED = {
    RefusalReason.NOT_OPEN: "the request is {status} already; it can't change any more",
    RefusalReason.EXPIRED: "the decision came after the request's time was over: re-submit it",
}


class DecisionActivities:
    """Verification is an activity, so that its result is recorded in history."""

    def __init__(self, database: Database, authority: Authority = NO_AUTHORITY) -> None:
        self._database = database
        self._authority = authority
        self._registered: set[tuple[str, bytes]] = set()

    @activity.defn(name=steps.DECIDE)
    async def decide(self, step: DecideStep) -> DecideAnswer:
        """Judge one signed decision in one transaction; a refusal is an answer and an audit event."""
        try:
            return await self._take_effect(step)
        except DecisionRefused as refusal:
            return await self._refuse(step, refusal)

    async def _take_effect(self, step: DecideStep) -> DecideAnswer:
        envelope = _read_envelope(step.signed)
        claimed = _claimed(envelope)
        vouched_by = _voucher(claimed, envelope, self._authority)
        if vouched_by is not None:
            await self._register(step.tenant, vouched_by, step.at)
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
            decision, signer = await _verify(tx, step.tenant, claimed.approver, envelope, step.at, vouched_by)
            earlier = await decisions.outcome_of_step(tx, step.request_id, f"decision:{decision.decision_id}")
            if earlier is not None:
                _check_repeated(decision, earlier)
                return _answer(record, decision, earlier=True)
            if step.closed is not None:
                raise DecisionRefused(_CLOSED[step.closed].format(status=record.status), step.closed)
            # an outage may have held this up since `at`: too late is too late when it is written
            now = max(step.at, datetime.now(UTC))
            judge(decision, frozenset(step.expected), _as_due(record, step), signer, now)
            await _check_evidence(tx, decision, now)
            await _check_step_up(tx, record, decision, now)
            authority = authority_of(decision, _as_due(record, step), signer, now)
            record = await _record(tx, record, decision, authority, envelope, step)
            return _answer(record, decision)

    async def _register(self, tenant: str, public_key: bytes, at: datetime) -> None:
        """Put the authority's key into the tenant's audit chain before the first decision that rests on it.

        In a transaction of its own: the chain is locked last, and a decision has more to lock.
        """
        if (tenant, public_key) in self._registered:
            return
        async with self._database.transaction() as tx:
            await register_authority_key(tx, tenant=tenant, public_key=public_key, at=at)
        self._registered.add((tenant, public_key))

    async def _refuse(self, step: DecideStep, refusal: DecisionRefused) -> DecideAnswer:
        """In a transaction of its own: the refused one was rolled back."""
        digest = _fingerprint(step.signed)
        async with self._database.transaction() as tx:
            await decisions.record_refusal(
                tx,
                tenant=step.tenant,
                request_id=step.request_id,
                step=f"refused:{refusal.reason}:{digest[:32]}",
                reason=refusal.reason,
                message=refusal.message,
                actor_claimed=_claimed_approver(step.signed),
                envelope_sha256=digest,
                at=step.at,
            )
            record = await reads.lock_request(tx, step.request_id)
        outcome = DecisionOutcome(
            accepted=False,
            status=record.status,
            reason=RefusalReason(refusal.reason),
            message=refusal.message,
            missing=record.missing.missing,
            missing_tier=record.missing.missing_tier,
        )
        return DecideAnswer(outcome=outcome, standing=Standing.of(record))


async def _check_evidence(tx: Transaction, decision: Decision, now: datetime) -> None:
    """A resolution's evidence must be what a worker of ours has seen, not only what somebody signed."""
    if decision.evidence is not None and decision.verdict in RESOLUTIONS:
        recorded = await inspections(tx, decision.request_id)
        judge_recorded(decision.evidence, outcome_of(decision.verdict), recorded, now)


async def _check_step_up(tx: Transaction, record: RequestRecord, decision: Decision, now: datetime) -> None:
    """Above the rule's amount the approver must have used a one-time code; each is good for one decision."""
    if not needs_step_up(decision, record):
        return
    request_id, approver = decision.request_id, decision.approver
    if not await codes.bind_step_up(
        tx, request_id=request_id, approver=approver, decision_id=decision.decision_id, now=now
    ):
        raise DecisionRefused(
            f"this amount needs a one-time code: 'mintkeeper code request {request_id} --as {approver}', "
            "then approve again with --code",
            RefusalReason.STEP_UP_REQUIRED,
        )


def _check_repeated(decision: Decision, earlier: dict[str, Any]) -> None:
    """Refuse another person's or another verdict under an id that is taken: it never took effect."""
    stored = Decision.parse(dsse.unverified_payload(SignedDecision.model_validate(earlier["envelope"])))
    if (stored.approver, stored.verdict) != (decision.approver, decision.verdict):
        raise DecisionRefused(
            f"decision {decision.decision_id} is another one: sign anew, with a new id",
            RefusalReason.ALREADY_DECIDED,
        )


def _as_due(record: RequestRecord, step: DecideStep) -> RequestRecord:
    """The record without the tiers of a stage that is not due yet."""
    due = tuple(tier for tier in record.granted_tiers if tier not in step.withheld_tiers)
    return record.model_copy(update={"granted_tiers": due})


def _read_envelope(signed: Any) -> SignedDecision:
    try:
        return SignedDecision.model_validate(signed)
    except ValidationError as error:
        raise DecisionRefused(
            "this is not a signed decision (a DSSE envelope)", RefusalReason.MALFORMED
        ) from error


def _claimed(envelope: SignedDecision) -> Decision:
    """What it says, unverified, only to find out whose keys to try."""
    try:
        return Decision.parse(dsse.unverified_payload(envelope))
    except (InvalidInput, dsse.EnvelopeRefused) as error:
        raise DecisionRefused(error.message, RefusalReason.MALFORMED) from error


def _voucher(claimed: Decision, envelope: SignedDecision, authority: Authority) -> bytes | None:
    """The authority's public key that signed it; None for a decision that its approver has to sign."""
    if not claimed.is_vouched:
        return None
    for public_key in authority.public_keys:
        with suppress(dsse.EnvelopeRefused):
            dsse.verify(envelope, DECISION_TYPE, [public_key])
            return public_key
    raise DecisionRefused(
        "the decision says how its approver signed in, and our authority did not sign that",
        RefusalReason.BAD_SIGNATURE,
    )


async def _verify(
    tx: Transaction,
    tenant: str,
    claimed: str,
    envelope: SignedDecision,
    since: datetime,
    vouched_by: bytes | None,
) -> tuple[Decision, Signer]:
    """Verify by the key that counts, and only then read what the verified bytes say."""
    signer = await reads.signer(tx, tenant, claimed, since)
    if signer is None:
        raise DecisionRefused(
            f"nobody called {claimed} is registered in tenant {tenant}", RefusalReason.UNKNOWN_APPROVER
        )
    try:
        payload = dsse.verify(envelope, DECISION_TYPE, [vouched_by] if vouched_by else signer.public_keys)
    except dsse.EnvelopeRefused as error:
        raise DecisionRefused(error.message, RefusalReason.BAD_SIGNATURE) from error
    return Decision.parse(payload), signer


async def _record(
    tx: Transaction,
    record: RequestRecord,
    decision: Decision,
    authority: Tier,
    envelope: SignedDecision,
    step: DecideStep,
) -> RequestRecord:
    stored = envelope.model_dump(mode="json", by_alias=True)
    if decision.verdict is not Verdict.APPROVE:
        return await decisions.record_verdict(
            tx,
            record=record,
            decision=decision,
            envelope=stored,
            to=_ENDS_IN[decision.verdict],
            at=step.at,
            delegated=authority.facts(),
        )
    approval = Approval(
        decision_id=decision.decision_id,
        approver=decision.approver,
        on_behalf_of=authority.on_behalf_of,
        tier=authority.tier or record.rule.min_tier,
        reason=decision.reason,
        at=step.at,
    )
    return await decisions.record_approval(
        tx,
        record=record,
        approval=approval,
        envelope=stored,
        satisfied=tally(record.rule, (*record.approvals, approval)).satisfied,
        at=step.at,
        delegated=authority.facts(),
    )


def _answer(record: RequestRecord, decision: Decision, *, earlier: bool = False) -> DecideAnswer:
    missing = record.missing
    if record.status is MintStatus.PENDING:
        message = f"accepted; still awaited: {missing.text()}"
    else:
        message = f"accepted; the request is {record.status}"
    outcome = DecisionOutcome(
        accepted=True,
        verdict=decision.verdict,
        status=record.status,
        message=f"{message} (this decision was recorded before)" if earlier else message,
        missing=missing.missing if record.status is MintStatus.PENDING else 0,
        missing_tier=missing.missing_tier if record.status is MintStatus.PENDING else None,
    )
    return DecideAnswer(outcome=outcome, standing=Standing.of(record))


def _fingerprint(signed: Any) -> str:
    return hashlib.sha256(json.dumps(signed, sort_keys=True, default=str).encode()).hexdigest()


def _claimed_approver(signed: Any) -> str:
    """Who the sender says they are, for the audit event; nothing is decided by it."""
    try:
        return Decision.parse(dsse.unverified_payload(SignedDecision.model_validate(signed))).approver
    except (ValidationError, InvalidInput, dsse.EnvelopeRefused):
        return "unknown"
