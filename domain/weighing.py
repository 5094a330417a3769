"""What a look at the ledger supports: the one place where evidence is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from domain.amounts import format_amount
from domain.approvals import RefusalReason
from domain.errors import DecisionRefused
from domain.evidence import (
    DecodedEnvelope,
    LedgerEvidence,
    RecordedInspection,
    SeenOperation,
    SeenTransaction,
)
from domain.mint_request import TERMINAL, MintRequest, utc_text
from domain.records import RequestRecord
from domain.submission import Landed, Outcome

MAX_AGE = timedelta(hours=1)
"""So old an inspection may be when it is used: a Horizon may have filled a gap in its history since."""

ISSUING = ("payment", "create_claimable_balance")
"""Operations by which a mint can reach its destination."""


class Conclusion(StrEnum):
    """What an operator has to do."""

    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    TIMEOUT_FAILED = "TIMEOUT_FAILED"
    WAIT = "WAIT"
    CONTRADICTION = "CONTRADICTION"


class Finding(BaseModel):
    """What the evidence supports, in words for people."""

    model_config = ConfigDict(frozen=True)

    conclusion: Conclusion
    words: str
    supports: tuple[Outcome, ...] = ()
    """Outcomes that may be signed; the first says it best."""
    warnings: tuple[str, ...] = ()


def weigh(evidence: LedgerEvidence, record: RequestRecord) -> Finding:
    """Say what the evidence supports for this request.

    A mint that landed outweighs everything else; that none did counts only once none can any more.
    """
    fault = _other_subject(evidence, record)
    if fault:
        return _contradiction(f"the evidence is of {fault}")
    finding = _weigh_success(evidence, record.request) or _weigh_absence(evidence)
    warnings = (*finding.warnings, *_warnings(evidence, record.request))
    stored = record.result.outcome if record.result else None
    if record.status in TERMINAL and stored not in finding.supports:
        return _contradiction(f"the database says {stored}, but {finding.words}", warnings)
    return finding.model_copy(update={"warnings": warnings})


def judge_evidence(
    evidence: LedgerEvidence | None, record: RequestRecord, outcome: Outcome
) -> tuple[LedgerEvidence, Finding]:
    """The evidence, if it supports this outcome; raises DecisionRefused (missing, contradicts)."""
    if evidence is None:
        raise DecisionRefused(
            "resolving an anomaly needs evidence from the ledger: use 'mintkeeper resolve'",
            RefusalReason.EVIDENCE_MISSING,
        )
    finding = weigh(evidence, record)
    if outcome not in finding.supports:
        raise DecisionRefused(
            f"the evidence does not support {outcome}: {finding.words}", RefusalReason.EVIDENCE_CONTRADICTS
        )
    return evidence, finding


def judge_recorded(
    evidence: LedgerEvidence, outcome: Outcome, recorded: Sequence[RecordedInspection], now: datetime
) -> None:
    """Refuse evidence that no inspection of ours has seen, that is old, or that another one outweighs.

    That is a newer one that does not support the outcome, or any that found a mint where the outcome says
    that there is none: the ledger forgets nothing, but a node may not know it yet.

    Whoever signs can write any document; only what a worker that looked has put on the audit chain counts.
    Both times are the house's own, and decide about nothing but the need to look again. Raises
    DecisionRefused (unknown, stale).
    """
    digest = evidence.sha256()
    same = [inspection for inspection in recorded if inspection.sha256 == digest]
    if not same:
        raise DecisionRefused(
            f"no inspection of this request has seen the evidence {digest[:16]}…: inspect the ledger again",
            RefusalReason.EVIDENCE_UNKNOWN,
        )
    found = max(same, key=lambda inspection: inspection.at)
    if now - found.at > MAX_AGE:
        raise DecisionRefused(
            f"the evidence is of {utc_text(found.at)}, more than an hour ago: inspect the ledger again",
            RefusalReason.EVIDENCE_STALE,
        )
    newest = max(recorded, key=lambda inspection: (inspection.ledger, inspection.at))
    paid = [inspection for inspection in recorded if Outcome.CONFIRMED in inspection.supports]
    for other in (newest, *paid):
        if outcome not in other.supports:
            raise DecisionRefused(
                f"another inspection, at ledger {other.ledger}, does not support {outcome}: look at it first",
                RefusalReason.EVIDENCE_STALE,
            )


def issues_otherwise(request: MintRequest, transaction: SeenTransaction | DecodedEnvelope) -> str:
    """Name the first thing in which a transaction does not issue exactly what was asked; empty: it does."""
    if transaction.memo != f"hash:{request.digest()}":
        return "its memo is not the request's digest"
    if transaction.operation_count > len(transaction.operations):
        return f"it has {transaction.operation_count} operations, too many for a mint"
    issuing = issuing_operations(request, transaction)
    if len(issuing) != 1:
        return f"it issues the asset {len(issuing)} times"
    [operation] = issuing
    if operation.kind not in ISSUING:
        return f"it issues the asset by {operation.kind}"
    if operation.amount != format_amount(request.amount):
        return f"its amount is {operation.amount}"
    if operation.destinations != (request.destination,):
        return f"it goes to {', '.join(operation.destinations) or 'nobody for certain'}"
    # the issuer may keep the right to take back what nobody claims
    others = set(operation.conditional) - {request.asset.issuer}
    return f"{', '.join(sorted(others))} may claim it too" if others else ""


def issuing_operations(
    request: MintRequest, transaction: SeenTransaction | DecodedEnvelope
) -> list[SeenOperation]:
    """The operations that bring units of the request's asset into the world."""
    asset = request.asset
    return [
        operation
        for operation in transaction.operations
        if operation.source == asset.issuer and operation.asset == str(asset)
    ]


def _other_subject(evidence: LedgerEvidence, record: RequestRecord) -> str:
    """Name what the evidence is about instead of this request's one envelope; empty: it is about that."""
    request, stored = record.request, record.submission
    if evidence.request_id != request.id or evidence.request_digest != request.digest():
        return "another request"
    if evidence.network != request.network_passphrase:
        return f"the network {evidence.network!r}"
    if stored is None:
        return "an envelope, where none was signed"
    seen = (
        {item.hash for item in evidence.hashes}, evidence.envelope.hash, evidence.channel.account,
        evidence.envelope.source, evidence.envelope.sequence, evidence.envelope.max_time,
    )  # fmt: skip
    own = (
        set(stored.hashes()), stored.hash, stored.channel, stored.channel, stored.sequence, stored.max_time,
    )  # fmt: skip
    return "" if seen == own else "another envelope than the stored one"


def _weigh_success(evidence: LedgerEvidence, request: MintRequest) -> Finding | None:
    """A mint that is on the ledger, by the request's own transaction or by another one with its digest."""
    landed = evidence.landed()
    if landed is not None and landed.successful:
        mismatch = issues_otherwise(request, evidence.envelope)
        if mismatch:
            return _contradiction(f"the stored transaction {_where(landed)}, but {mismatch}")
        return _supported(f"the mint {_where(landed)}", Outcome.CONFIRMED)
    if not evidence.others:
        return None
    other = evidence.others[0]
    faults = [fault for seen in evidence.others if (fault := issues_otherwise(request, seen))]
    if faults:
        return _contradiction(f"transaction {other.hash} carries this request's digest, but {faults[0]}")
    if not (evidence.bound_is_past or landed):
        return _wait(f"transaction {other.hash} has paid it, and the stored one may still land")
    return _supported(
        f"another transaction, {other.hash} in ledger {other.ledger}, carries this request's digest and "
        "pays exactly what was asked",
        Outcome.CONFIRMED,
    )


def _weigh_absence(evidence: LedgerEvidence) -> Finding:
    """No mint was found: whether none can come any more, and why."""
    failed = evidence.landed()
    if failed is not None:
        return _supported(f"the mint {_where(failed)}, and was refused: {_codes(failed)}", Outcome.FAILED)
    newest, envelope, channel = evidence.newest, evidence.envelope, evidence.channel
    if not evidence.bound_is_past:
        bound = utc_text(datetime.fromtimestamp(envelope.max_time, UTC))
        return _wait(f"ledger {newest.sequence} closed before the time bound {bound}: it may still land")
    if channel.ledger < newest.sequence:
        return _wait(
            f"Horizon showed ledger {newest.sequence}, and then the channel account as of {channel.ledger}: "
            "its nodes stand at different heights"
        )
    absent = f"ledger {newest.sequence} closed after the time bound, and the mint is in none"
    if evidence.sequence_is_unused:
        return _supported(f"{absent}; sequence {envelope.sequence} is unused", Outcome.TIMEOUT_FAILED)
    if evidence.consumed is None:
        return _contradiction(
            f"{absent}, but sequence {envelope.sequence} is used up and Horizon does not show by what: its "
            "history may have a gap that hides the mint itself; ask a Horizon with the whole history"
        )
    by = evidence.consumed.by
    if by.hash in {seen.hash for seen in evidence.hashes}:
        return _wait("Horizon shows the mint in the account's history and not by its hash: its nodes differ")
    return _supported(
        f"{absent}; sequence {envelope.sequence} was used up in ledger {by.ledger} by another transaction, "
        f"{by.hash} ({evidence.consumed.how.replace('_', ' ')})",
        Outcome.FAILED,
        Outcome.TIMEOUT_FAILED,
    )


def _warnings(evidence: LedgerEvidence, request: MintRequest) -> Iterator[str]:
    landed = evidence.landed()
    paid = len(evidence.others) + (landed is not None and landed.successful)
    if paid > 1:
        named = ", ".join(other.hash for other in evidence.others)
        yield f"PAID {paid} TIMES: {format_amount(request.amount)} was asked for once; see also {named}"
    searched = evidence.issuer_search
    if not searched.whole:
        yield (
            f"only {searched.transactions} transactions of the issuer from ledger {searched.from_ledger} on "
            "were searched for a second payment"
        )
    # after the end the channel serves other requests, and its sequence may be used by them
    if evidence.consumed is not None and evidence.status not in TERMINAL:
        yield f"somebody else signs for channel account {evidence.channel.account}: change its key"
        by = evidence.consumed.by
        if by.successful and issuing_operations(request, by) and by.memo != f"hash:{request.digest()}":
            yield f"transaction {by.hash} issues the asset by hand: make sure that it is not this very mint"


def _where(landed: Landed) -> str:
    return f"landed in ledger {landed.ledger}, closed {utc_text(landed.closed_at)}"


def _codes(landed: Landed) -> str:
    operations = landed.result_codes.get("operations")
    named = operations if isinstance(operations, list) and operations else []
    return ", ".join(map(str, named or [landed.result_codes.get("transaction", "no result code")]))


def _supported(words: str, *outcomes: Outcome) -> Finding:
    return Finding(conclusion=Conclusion(outcomes[0].value), words=words, supports=outcomes)


def _wait(words: str) -> Finding:
    return Finding(conclusion=Conclusion.WAIT, words=words)


def _contradiction(words: str, warnings: tuple[str, ...] = ()) -> Finding:
    return Finding(conclusion=Conclusion.CONTRADICTION, words=words, warnings=warnings)
