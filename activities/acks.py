"""The activity that verifies an acknowledgement and lets it take effect, or records why not."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities import journal
from activities.held import Held, hold, in_log, request_standing, run_standing
from db import reads
from db.session import Database
from db.writes import acks, run_steps
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
from domain.errors import AckRefused
from domain.runs import EventRun
from domain.steps import AckAnswer, AckStep


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
            return await self._refuse(step, refusal)

    async def _take_effect(self, step: AckStep) -> AckAnswer:
        envelope = read_envelope(step.signed)
        claim = self._authority.verify(envelope)
        async with self._database.transaction() as tx:
            held = await hold(tx, step.run_id or step.request_id)
            # an outage may have held this up since `at`: too late is too late when it is written
            now = max(step.at, datetime.now(UTC))
            subject, addressee = _subject(held, now), await reads.addressee(tx, claim)
            check_addressee(claim, subject, addressee)
            earlier = await reads.ack_receipt(tx, claim)
            if earlier is not None:
                return _answer(held, earlier)
            check_open(claim, subject, now)
            hashed = token_sha256(envelope)
            if isinstance(held, EventRun):
                held = await run_steps.acknowledge_run(
                    tx, run=held, claim=claim, token_sha256=hashed, at=step.at
                )
            else:
                held = await acks.record_ack(tx, record=held, claim=claim, token_sha256=hashed, at=step.at)
        by = claim.by or (addressee.spoken_name if addressee else claim.sub)
        journal.acknowledged(in_log(held), claim.stage, claim.delivery_id, by)
        return _answer(held, _receipt(claim, step, hashed))

    async def _refuse(self, step: AckStep, refusal: AckRefused) -> AckAnswer:
        """In a transaction of its own: the refused one was rolled back."""
        async with self._database.transaction() as tx:
            # what is held first, the chain last: the order of every other step
            held = await hold(tx, step.run_id or step.request_id)
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
        outcome = AckOutcome(
            reason=AckRefusal(refusal.reason), message=refusal.message, recorded=dict(refusal.recorded)
        )
        return _with_standing(outcome, held)


def _subject(held: Held, now: datetime) -> AckSubject:
    if isinstance(held, EventRun):
        return AckSubject.of_run(held, now)
    return AckSubject.of_request(held, now)


def _receipt(claim: AckClaim, step: AckStep, hashed: str) -> AckReceipt:
    return AckReceipt(
        request_id=claim.request_id,
        run_id=step.run_id,
        delivery_id=claim.delivery_id,
        jti=claim.jti,
        stage=claim.stage,
        acknowledged_by=claim.actor,
        acknowledged_at=step.at,
        token_sha256=hashed,
    )


def _answer(held: Held, receipt: AckReceipt) -> AckAnswer:
    return _with_standing(AckOutcome(receipt=receipt, message=f"{receipt.acknowledged_by} is on it"), held)


def _with_standing(outcome: AckOutcome, held: Held) -> AckAnswer:
    return AckAnswer(outcome=outcome, standing=request_standing(held), run=run_standing(held))


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
