"""Looks at the ledger that were put on the audit chain, and what the database knows beside them."""

from __future__ import annotations

import json

from sqlalchemy import text

from db.session import Transaction
from domain.evidence import RecordedInspection

INSPECTED = "ledger.inspected"
"""Kind of the audit event."""

_RECORDED = text("SELECT at, body FROM audit_events WHERE request_id = :id AND kind = :kind ORDER BY seq")
_CHANNEL_STATE = text("SELECT state FROM stellar_channels WHERE account = :account")


async def inspections(tx: Transaction, request_id: str) -> list[RecordedInspection]:
    """Every look at the ledger for this request, oldest first."""
    rows = await tx.rows(_RECORDED, {"id": request_id, "kind": INSPECTED})
    return [
        RecordedInspection.model_validate({**json.loads(row.body)["details"], "at": row.at}) for row in rows
    ]


async def channel_state(tx: Transaction, account: str) -> str:
    """FREE, RESERVED or FROZEN; empty for an account that the database does not know."""
    return str(await tx.value(_CHANNEL_STATE, {"account": account}) or "")
