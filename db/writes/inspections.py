"""A look at the ledger, put on the audit chain: only what stands there can be signed as evidence."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db.reads.inspections import INSPECTED
from db.session import Transaction
from db.writes import audit
from domain.evidence import LedgerEvidence
from domain.weighing import Finding

_REQUEST_LOCK = text("SELECT 1 FROM mint_requests WHERE id = :id FOR NO KEY UPDATE")


async def record_inspection(
    tx: Transaction, *, tenant: str, evidence: LedgerEvidence, finding: Finding, at: datetime
) -> None:
    """An audit event `ledger.inspected` with the evidence's hash; the request stays as it is.

    Each look is one, also where no ledger has closed since the last: it says that somebody looked again.
    """
    digest = evidence.sha256()
    # the row first, the chain last: the order of every other step
    await tx.run(_REQUEST_LOCK, {"id": evidence.request_id})
    await audit.append(
        tx,
        tenant=tenant,
        request_id=evidence.request_id,
        step=f"inspected:{at.isoformat()}",
        kind=INSPECTED,
        actor="ledger",
        at=at,
        details={
            "sha256": digest,
            "ledger": evidence.newest.sequence,
            "conclusion": finding.conclusion,
            "supports": list(finding.supports),
            "text": finding.words,
        },
    )
