"""The activity that verifies an acknowledgement and lets it take effect, or records why not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities import journal
from activities.journal import Run
from db import reads
from db.reads.escalations import event_run, lock_event_run
from db.session import Database, Transaction
from db.writes import acks
from db.writes.run_steps import acknowledge_run
from domain import dsse, steps
from domain.ack import (
    AckClaim,
    AckOutcome,
    AckReceipt,
    AckRefusal,
    AckSubject,
    Authority,
    check_addressee,
    check_open,
    parse_claim,
    read_envelope,
    token_sha256,
)
from domain.errors import AckRefused, NotFound
from domain.steps import AckAnswer, AckStep, RunAckAnswer, RunAckStep, RunStanding, Standing


class AckActivities:
    """`authority` holds the keys whose tokens are believed."""

    def __init__(self, database: Database, authority: Authority) -> None:
        self._database = database
        self._authority = authority

    @activity.defn(name=steps.ACKNOWLEDGE)
    async def acknowledge(self, step: AckStep) -> AckAnswer:
        """Judge one token in one transaction; a refusal is an answer and an audit event."""
        try:
            return await self._take_effect(step)
        except AckRefused as refusal:
            outcome = await self._refuse(step, refusal)
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
        return AckAnswer(outcome=outcome, standing=Standing.of(record))

    @activity.defn(name=steps.ACKNOWLEDGE_RUN)
    async def acknowledge_run(self, step: RunAckStep) -> RunAckAnswer:
        """The same for the run of an operational event."""
        try:
            return await self._take_effect_on_run(step)
        except AckRefused as refusal:
            outcome = await self._refuse(step, refusal)
        async with self._database.transaction() as tx:
            run = await event_run(tx, step.run_id)
        if run is None:
            raise NotFound(f"there is no escalation run {step.run_id}")
        return RunAckAnswer(outcome=outcome, standing=RunStanding.of(run))

    async def _take_effect(self, step: AckStep) -> AckAnswer:
        envelope = read_envelope(step.signed)
        claim = self._authority.verify(envelope)
        async with self._database.transaction() as tx:
            record = await reads.lock_request(tx, step.request_id)
            now = _judged_at(step)
            judged = await _judge(tx, claim, AckSubject.of_request(record, now), now)
            if judged.receipt is not None:
                return AckAnswer(outcome=_said(judged.receipt), standing=Standing.of(record))
            hashed = token_sha256(envelope)
            record = await acks.record_ack(tx, record=record, claim=claim, token_sha256=hashed, at=step.at)
        journal.acknowledged(Run.of_request(record), claim.stage, claim.delivery_id, judged.by)
        return AckAnswer(outcome=_said(_receipt(claim, None, hashed, step.at)), standing=Standing.of(record))

    async def _take_effect_on_run(self, step: RunAckStep) -> RunAckAnswer:
        envelope = read_envelope(step.signed)
        claim = self._authority.verify(envelope)
        async with self._database.transaction() as tx:
            run = await lock_event_run(tx, step.run_id)
            now = _judged_at(step)
            judged = await _judge(tx, claim, AckSubject.of_run(run, now), now)
            if judged.receipt is not None:
                return RunAckAnswer(outcome=_said(judged.receipt), standing=RunStanding.of(run))
            hashed = token_sha256(envelope)
            values = {**claim.model_dump(include={"jti", "delivery_id", "stage"}), "token_sha256": hashed}
            run = await acknowledge_run(tx, run=run, by=claim.sub, at=step.at, ack=values)
        journal.acknowledged(Run.of_event(run), claim.stage, claim.delivery_id, judged.by)
        said = _said(_receipt(claim, run.id, hashed, step.at))
        return RunAckAnswer(outcome=said, standing=RunStanding.of(run))

    async def _refuse(self, step: AckStep | RunAckStep, refusal: AckRefused) -> AckOutcome:
        """In a transaction of its own: the refused one was rolled back."""
        async with self._database.transaction() as tx:
            await acks.record_ack_refusal(
                tx,
                tenant=step.tenant,
                request_id=step.request_id,
                reason=AckRefusal(refusal.reason),
                message=refusal.message,
                actor_claimed=_claimed_recipient(step.signed),
                envelope_sha256=_fingerprint(step.signed),
                at=step.at,
            )
        return AckOutcome(
            reason=AckRefusal(refusal.reason), message=refusal.message, recorded=dict(refusal.recorded)
        )


@dataclass(frozen=True)
class _Judged:
    """A token that may take effect, or has; `by` is who it is in a log."""

    receipt: AckReceipt | None
    by: str


def _judged_at(step: AckStep | RunAckStep) -> datetime:
    """An outage may have held it up since `at`: too late is too late when it is written."""
    return max(step.at, datetime.now(UTC))


async def _judge(tx: Transaction, claim: AckClaim, subject: AckSubject, now: datetime) -> _Judged:
    """Raises AckRefused."""
    addressee = await reads.addressee(tx, claim.delivery_id)
    check_addressee(claim, subject, addressee)
    earlier = await reads.ack_receipt(tx, claim)
    if earlier is None:
        check_open(claim, subject, now)
    return _Judged(earlier, addressee.spoken_name if addressee else claim.sub)


def _receipt(claim: AckClaim, run_id: str | None, hashed: str, at: datetime) -> AckReceipt:
    return AckReceipt(
        request_id=claim.request_id,
        run_id=run_id,
        delivery_id=claim.delivery_id,
        jti=claim.jti,
        stage=claim.stage,
        acknowledged_by=claim.sub,
        acknowledged_at=at,
        token_sha256=hashed,
    )


def _said(receipt: AckReceipt) -> AckOutcome:
    return AckOutcome(receipt=receipt, message=f"{receipt.acknowledged_by} is on it")


def _fingerprint(signed: Any) -> str:
    """A token's own hash where it is one, so that the audit event can be matched with it."""
    try:
        return token_sha256(read_envelope(signed))
    except AckRefused:
        return hashlib.sha256(json.dumps(signed, sort_keys=True, default=str).encode()).hexdigest()


def _claimed_recipient(signed: Any) -> str:
    """Who the sender says they are, for the audit event; nothing is decided by it."""
    try:
        return parse_claim(dsse.unverified_payload(read_envelope(signed))).sub
    except (AckRefused, dsse.EnvelopeRefused):
        return "unknown"
