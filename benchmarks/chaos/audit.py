"""Holds every request against the ledger itself; what does not fit is named, request by request.

Nothing here is taken from the product's word: payments, close times, sequences and hashes are read from
the ledger, the time bound from the bytes of the stored envelope.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import text
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import TerminatedError
from temporalio.service import RPCError

from benchmarks.chaos.book import Book, Payment, read_book
from benchmarks.chaos.clients import Case
from benchmarks.chaos.meddler import REASON
from benchmarks.chaos.plan import Course
from benchmarks.chaos.proofs import bound_of, refute
from benchmarks.chaos.sandbox_client import SandboxClient
from db import reads
from db.session import Database
from domain.mint_request import TERMINAL, MintStatus
from domain.proven_decisions import verify_whole
from domain.records import AuditEvent, RequestRecord
from domain.submission import Proof, StoredEnvelope
from domain.tickets import TicketOutcome
from starter.local.stack_file import DemoWorld

_IN_TIME = timedelta(seconds=10)
"""A workflow that has ended answers at once."""

_HELD = text("SELECT account, state, request_id FROM stellar_channels WHERE state <> 'FREE'")

_DECIDED_BY_THE_LEDGER = frozenset({MintStatus.CONFIRMED, MintStatus.TIMEOUT_FAILED})
_EXPLAINED = {
    Course.PLAIN: _DECIDED_BY_THE_LEDGER,
    Course.CONTESTED: _DECIDED_BY_THE_LEDGER | {MintStatus.REJECTED},
    Course.REJECTED: {MintStatus.REJECTED},
    Course.STRAY: {MintStatus.FAILED},
    Course.HURRIED: _DECIDED_BY_THE_LEDGER | {MintStatus.FAILED},
}
"""How a request may end, by what people do with it; no fault of a network or a process changes that."""


@dataclass
class Findings:
    """Every demand with what breaks it; all lists empty is what is wanted."""

    statuses: dict[str, MintStatus] = field(default_factory=dict)
    payments: int = 0
    proofs: int = 0
    """Envelopes that never landed, mints and tickets, whose proof was verified against the ledger again."""
    audit_events: int = 0
    bereft: int = 0
    """Requests that had ended when the meddler terminated their workflow: it had only its result to give,
    and the product's sweep starts workflows of open requests."""
    double_mints: list[str] = field(default_factory=list)
    late_mints: list[str] = field(default_factory=list)
    unasked_mints: list[str] = field(default_factory=list)
    """A payment for a request that is not CONFIRMED, or for none."""
    wrong_mints: list[str] = field(default_factory=list)
    missing_mints: list[str] = field(default_factory=list)
    """CONFIRMED without the payment that its proof names."""
    not_ended: list[str] = field(default_factory=list)
    anomalies: list[str] = field(default_factory=list)
    refuted_proofs: list[str] = field(default_factory=list)
    strange_ends: list[str] = field(default_factory=list)
    """Ended as nothing that was done to the request explains: FAILED although the destination is ready …"""
    disagreements: list[str] = field(default_factory=list)
    """Temporal and database tell different ends."""
    broken_chain: list[str] = field(default_factory=list)
    held_channels: list[str] = field(default_factory=list)
    """Channel accounts that are not free although every request has ended."""

    def count(self) -> Counter[MintStatus]:
        """Requests by state."""
        return Counter(self.statuses.values())


async def audit(
    demo: DemoWorld, database: Database, ledger: SandboxClient, cases: Sequence[Case]
) -> Findings:
    """Read ledger, database and Temporal, and compare; every fault must be switched off."""
    findings = Findings()
    book = await read_book(ledger, demo.issuer)
    findings.payments = len(book.payments)
    paid = book.of_digest()
    for case in cases:
        record = await _record(database, case)
        if record is None:
            findings.not_ended.append(f"{case.request.id}: never opened")
            continue
        findings.statuses[case.request.id] = record.status
        _judge_state(findings, case.ask.course, record)
        _judge_payments(findings, record, paid.pop(case.request.digest(), []))
        await _judge_proof(findings, record, book, ledger)
        await _judge_workflow(findings, case, record)
    findings.unasked_mints += [
        f"payment in ledger {payment.entry.ledger} for digest {digest}"
        for digest, payments in paid.items()
        for payment in payments
    ]
    await _judge_balance(findings, demo, ledger, cases)
    await _judge_books(findings, demo.tenant, database)
    return findings


async def _record(database: Database, case: Case) -> RequestRecord | None:
    async with database.transaction() as tx:
        return await reads.request(tx, case.request.id)


def _judge_state(findings: Findings, course: Course, record: RequestRecord) -> None:
    named = f"{record.request.id}: {record.status} {record.reason}"
    explained = record.status in _EXPLAINED[course] or _without_ticket(record)
    if record.status in TERMINAL and not explained:
        findings.strange_ends.append(f"{named} ({course})")
    if record.status is MintStatus.ANOMALY:
        findings.anomalies.append(named)
    elif record.status not in TERMINAL:
        findings.not_ended.append(named)


def _judge_payments(findings: Findings, record: RequestRecord, payments: list[Payment]) -> None:
    id_ = record.request.id
    where = ", ".join(f"ledger {payment.entry.ledger}" for payment in payments)
    if len(payments) > 1:
        findings.double_mints.append(f"{id_}: paid in {where}")
    if payments and record.status is not MintStatus.CONFIRMED:
        findings.unasked_mints.append(f"{id_}: {record.status}, yet paid in {where}")
    for payment in payments:
        bound = _bound(record)
        deadline = record.request.ledger_deadline
        late_for_them = deadline is not None and payment.entry.closed_at > deadline.timestamp()
        if bound is None or payment.entry.closed_at > bound or late_for_them:
            findings.late_mints.append(f"{id_}: closed at {payment.entry.closed_at}, bound {bound}")
        if not _as_asked(record, payment):
            findings.wrong_mints.append(f"{id_}: {payment}")
    if record.status is MintStatus.CONFIRMED:
        landed = record.result.proof.landed if record.result else None
        named = {(landed.ledger, landed.found_hash)} if landed else set()
        if not any((one.entry.ledger, hash_) in named for one in payments for hash_ in one.entry.hashes):
            findings.missing_mints.append(f"{id_}: CONFIRMED by {landed}, paid in {where or 'no ledger'}")


def _bound(record: RequestRecord) -> int | None:
    stored = record.submission
    return None if stored is None else bound_of(stored, record.request.network_passphrase)


def _as_asked(record: RequestRecord, payment: Payment) -> bool:
    asked = record.request
    paid = (payment.stroops, payment.destination, payment.asset)
    return paid == (asked.amount, asked.destination, str(asked.asset))


async def _judge_proof(findings: Findings, record: RequestRecord, book: Book, ledger: SandboxClient) -> None:
    """Of the mint that never landed, or of the ticket without which none was signed."""
    if record.status is MintStatus.TIMEOUT_FAILED and record.submission and record.result:
        stored: StoredEnvelope = record.submission
        proof: Proof | None = record.result.proof
    elif _without_ticket(record) and record.ticket:
        stored, proof = record.ticket, record.ticket.proof
    else:
        return
    bound = bound_of(stored, record.request.network_passphrase)
    objection = await refute(stored, proof, bound, book, ledger)
    if objection is None:
        findings.proofs += 1
    else:
        findings.refuted_proofs.append(f"{record.request.id}: {objection}")


def _without_ticket(record: RequestRecord) -> bool:
    """FAILED because the ticket that its mint was to use up provably never landed."""
    ticket = record.ticket
    failed = record.status is MintStatus.FAILED and record.submission is None
    return failed and ticket is not None and ticket.outcome is TicketOutcome.NEVER_LANDED


async def _judge_workflow(findings: Findings, case: Case, record: RequestRecord) -> None:
    """The workflow has ended, and as the database says; one that has not is named already."""
    if record.status not in TERMINAL or case.handle is None:
        return
    id_ = record.request.id
    try:
        async with asyncio.timeout(_IN_TIME.total_seconds()):
            result = await case.handle.result(rpc_timeout=_IN_TIME)
    except (TimeoutError, RPCError, WorkflowFailureError) as error:
        # the SDK says "failed" of whatever was terminated, too: only the cause tells
        why = error.cause if isinstance(error, WorkflowFailureError) else error
        if isinstance(why, TerminatedError) and why.message == REASON:
            findings.bereft += 1
        else:
            findings.not_ended.append(f"{id_}: {record.status}, but its workflow has no result: {why!r}")
        return
    if result.status is not record.status:
        findings.disagreements.append(f"{id_}: workflow {result.status}, database {record.status}")


async def _judge_balance(
    findings: Findings, demo: DemoWorld, ledger: SandboxClient, cases: Sequence[Case]
) -> None:
    """The destination holds what was CONFIRMED, to the stroop."""
    confirmed = sum(
        case.request.amount
        for case in cases
        if findings.statuses.get(case.request.id) is MintStatus.CONFIRMED
    )
    account = await ledger.get(f"/accounts/{demo.destination}")
    lines = [line for line in account["balances"] if line.get("asset_issuer") == demo.issuer]
    held = sum(int(line["balance"].replace(".", "")) for line in lines)
    if held != confirmed:
        findings.wrong_mints.append(f"the destination holds {held} stroops, {confirmed} were CONFIRMED")


async def _judge_books(findings: Findings, tenant: str, database: Database) -> None:
    events: list[AuditEvent] = []
    async with database.transaction() as tx:
        while page := await reads.audit_events(tx, tenant, after_seq=len(events)):
            events += page
        report, proven = verify_whole(events, await reads.audit_head(tx, tenant))
        held = await tx.execute(_HELD)
        findings.held_channels = [f"{row.account}: {row.state} {row.request_id}" for row in held]
    findings.audit_events = report.events
    if report.fault is not None:
        findings.broken_chain.append(report.fault)
    findings.broken_chain += proven.faults if proven is not None else ()
