"""A look at the ledger: asked for, and shown to people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from commands.context import Cli
from commands.documents import Document
from commands.render import print_rich
from domain.evidence import LedgerEvidence, SeenHash, SeenOperation, SeenTransaction
from domain.mint_request import TERMINAL, MintStatus, utc_text
from domain.records import RequestRecord
from domain.steps import Inspection
from domain.submission import Landed
from domain.weighing import Conclusion, Finding
from starter.ledger import INSPECTION_SECONDS, inspect_ledger
from starter.temporal import reachable

_STYLES = {
    Conclusion.CONFIRMED: "green",
    Conclusion.WAIT: "yellow",
    Conclusion.CONTRADICTION: "bold white on red",
}


async def look(cli: Cli, request_id: str, limit_seconds: float = INSPECTION_SECONDS) -> Inspection:
    """Have a worker look at the ledger now; raises what `starter.ledger.inspect_ledger` raises."""
    async with reachable(await cli.temporal()) as client:
        return await inspect_ledger(client, request_id, limit_seconds)


def inspection_document(inspection: Inspection, record: RequestRecord, saved: Path | None) -> Document:
    """The look as `--json` gives it."""
    finding, result = inspection.finding, record.result
    return {
        "id": record.request.id,
        "status": record.status.value,
        **finding.model_dump(mode="json"),
        "next": next_step(record, finding, saved),
        "stored": result.model_dump(mode="json", exclude_none=True) if result else None,
        "evidence_sha256": inspection.sha256,
        "saved": str(saved) if saved else None,
        "evidence": inspection.evidence.model_dump(mode="json"),
    }


def next_step(record: RequestRecord, finding: Finding, saved: Path | None = None) -> str:
    """The exact command to run next, or why there is none."""
    request_id = record.request.id
    if record.status is MintStatus.SUBMITTING:
        return f"wait, the workflow concludes by itself: mintkeeper watch {request_id}"
    if record.status in TERMINAL:
        wrong = finding.conclusion is Conclusion.CONTRADICTION
        return "show this to an auditor" if wrong else f"nothing: the request is {record.status}"
    if not finding.supports:
        return f"look again after some ledgers: mintkeeper ledger inspect {request_id}"
    evidence = f" --evidence {saved}" if saved else ""
    outcome = finding.supports[0].lower()
    return f'mintkeeper resolve {request_id} --as ADMIN --outcome {outcome} --reason "WHY"{evidence}'


def inspection_view(inspection: Inspection, record: RequestRecord, document: Document) -> None:
    """Print the look: what was stored, what is there, and what follows."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _facts(inspection.evidence, record):
        grid.add_row(name, Text(value))
    finding = inspection.finding
    if document["saved"]:
        grid.add_row("saved as", Text(document["saved"]))
    grid.add_row("evidence", Text(f"SHA-256 {inspection.sha256}"))
    grid.add_row("verdict", Text(finding.conclusion, style=_STYLES.get(finding.conclusion, "red")))
    grid.add_row("", Text(finding.words))
    for warning in finding.warnings:
        grid.add_row("warning", Text(warning, style="bold red"))
    grid.add_row("next", Text(document["next"]))
    print_rich(grid)


def _facts(evidence: LedgerEvidence, record: RequestRecord) -> Iterator[tuple[str, str]]:
    yield "request", f"{evidence.request_id} {record.status}: {record.request.summary}"
    yield "digest", evidence.request_digest
    yield from _envelope(evidence)
    newest = evidence.newest
    past = "the time bound is past" if evidence.bound_is_past else "within the time bound"
    yield "newest ledger", f"{newest.sequence}, closed {utc_text(newest.closed_at)}: {past}"
    for seen in evidence.hashes:
        yield "fee bump" if seen.fee else "transaction", _hash(seen)
    yield from _channel(evidence)
    for other in evidence.others:
        yield "also paid by", _transaction(other, evidence)
    searched = evidence.issuer_search
    reach = "to the newest" if searched.whole else "and no further"
    yield (
        "other payments",
        f"{len(evidence.others)} with this digest among {searched.transactions} of the issuer's "
        f"transactions, from ledger {searched.from_ledger} {reach}",
    )
    if record.result is not None:
        proof = record.result.proof
        yield "stored outcome", f"{record.result.outcome} (proof: {proof.kind}): {record.result.reason}"


def _envelope(evidence: LedgerEvidence) -> Iterator[tuple[str, str]]:
    envelope = evidence.envelope
    yield (
        "envelope",
        f"from {envelope.source}, sequence {envelope.sequence}, fee at most {envelope.fee} stroops",
    )
    yield "memo", _memo(envelope.memo, evidence)
    yield "time bound", utc_text(datetime.fromtimestamp(envelope.max_time, UTC))
    for operation in envelope.operations:
        yield "operation", _operation(operation)


def _channel(evidence: LedgerEvidence) -> Iterator[tuple[str, str]]:
    channel = evidence.channel
    sequence = "does not exist" if channel.sequence is None else f"sequence {channel.sequence}"
    use = "" if channel.sequence is None else ", unused" if evidence.sequence_is_unused else ", used up"
    state = evidence.channel_state or "unknown"
    yield (
        "channel account",
        f"{channel.account} {sequence} as of ledger {channel.ledger}{use}; here it is {state}",
    )
    if evidence.consumed is not None:
        how = evidence.consumed.how.replace("_", " ")
        yield "used up by", f"({how}) {_transaction(evidence.consumed.by, evidence)}"


def _hash(seen: SeenHash) -> str:
    fee = f" (fee at most {seen.fee} stroops)" if seen.fee else ""
    return f"{seen.hash}{fee}: {_landed(seen.landed)}"


def _landed(landed: Landed | None) -> str:
    if landed is None:
        return "absent"
    how = "successful" if landed.successful else f"refused, {landed.result_codes}"
    where = f"landed in ledger {landed.ledger}, closed {utc_text(landed.closed_at)}"
    return f"{where}: {how}, fee {landed.fee_charged} stroops"


def _transaction(seen: SeenTransaction, evidence: LedgerEvidence) -> str:
    how = "successful" if seen.successful else "failed"
    what = "; ".join(map(_operation, seen.operations))
    more = seen.operation_count - len(seen.operations)
    rest = f"; {more} more" if more else ""
    return (
        f"{seen.hash} in ledger {seen.ledger}, closed {utc_text(seen.closed_at)}, {how}; "
        f"memo {_memo(seen.memo, evidence)}; {what}{rest}"
    )


def _memo(memo: str, evidence: LedgerEvidence) -> str:
    return "the request's digest" if memo == f"hash:{evidence.request_digest}" else memo or "none"


def _operation(operation: SeenOperation) -> str:
    moved = f" {operation.amount or 'some'} {operation.asset}" if operation.asset else ""
    whom = f" -> {', '.join(operation.destinations)}" if operation.destinations else ""
    detail = f" {operation.detail}" if operation.detail else ""
    if operation.conditional:
        detail += f" (under conditions: {', '.join(operation.conditional)})"
    return f"{operation.kind}{moved} from {operation.source}{whom}{detail}"
