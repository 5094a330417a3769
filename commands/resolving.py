"""Resolving an anomaly: the ledger is looked at, and what it shows is signed with the decision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from commands.context import Cli
from commands.deciding import Order, decide
from commands.inspecting import inspection_document, inspection_view, look
from commands.lookup import load_request
from db.reads.inspections import inspections
from db.session import Database
from domain.approvals import Verdict
from domain.errors import InvalidInput, NotOpen
from domain.evidence import LedgerEvidence
from domain.judgement import outcome_of
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.steps import Inspection
from domain.weighing import judge_evidence, judge_recorded, weigh

_LARGEST = 65_536
"""Bytes of a file that may be evidence; a signed decision carries less."""


async def resolve_request(cli: Cli, order: Order, file: Path | None) -> None:
    """Show the evidence, check that it supports the outcome, then sign and send both.

    Raises DecisionRefused when it does not, and what looking and deciding raise. The worker that
    verifies the decision judges the same again.
    """
    async with cli.database() as database:
        record = await load_request(database, order.request_id)
        if record.status is not MintStatus.ANOMALY:
            raise NotOpen(
                f"{record.request.id} is {record.status}: only a request in ANOMALY can be resolved by hand"
            )
        inspection = await _evidence(cli, record, file)
        if not cli.as_json:
            inspection_view(inspection, record, inspection_document(inspection, record, file))
        await _check(database, inspection.evidence, record, order)
    await decide(cli, order, inspection.evidence)


async def _evidence(cli: Cli, record: RequestRecord, file: Path | None) -> Inspection:
    if file is None:
        return await look(cli, record.request.id)
    evidence = load_evidence(file)
    return Inspection(finding=weigh(evidence, record), sha256=evidence.sha256(), evidence=evidence)


async def _check(database: Database, evidence: LedgerEvidence, record: RequestRecord, order: Order) -> None:
    outcome = outcome_of(Verdict(order.verdict))
    judge_evidence(evidence, record, outcome)
    async with database.transaction() as tx:
        judge_recorded(evidence, outcome, await inspections(tx, record.request.id), datetime.now(UTC))


def load_evidence(file: Path) -> LedgerEvidence:
    """Read what `ledger inspect --save` wrote; raises InvalidInput when it is anything else."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST)
    except OSError as error:
        raise InvalidInput(f"can't read the evidence {file}: {error.strerror}", "evidence") from error
    return LedgerEvidence.parse(content)
