"""One-shot tickets: stored before they are sent, concluded with their proof, removed when left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction
from db.writes.steps import advance, step_statement
from db.writes.submissions import proof_details
from domain.records import RequestRecord
from domain.tickets import MOST_REMOVED, Ticket

_STORE = step_statement(
    """stored AS (
    INSERT INTO tickets (request_id, hash, channel, sequence, max_time, envelope_xdr, signed_at_ledger,
        removes, stored_at)
    SELECT request_id, :hash, :channel, :sequence, :max_time, :envelope_xdr, :signed_at_ledger,
        CAST(:removes AS varchar[]), :at
    FROM found RETURNING request_id)""",
    source="stored",
)
_CONCLUDE = step_statement(
    """concluded AS (
    UPDATE tickets SET outcome = :outcome, reason = :outcome_reason, proof = CAST(:proof AS jsonb),
        concluded_at = :at
    FROM found WHERE tickets.request_id = found.request_id)"""
)
# a claim counts until the transaction that was to remove the ticket has come to nothing
_CLAIM = text("""
UPDATE tickets SET removed_by = :id WHERE request_id IN (
    SELECT t.request_id FROM tickets t
    JOIN mint_requests r ON r.id = t.request_id
    LEFT JOIN tickets remover ON remover.request_id = t.removed_by
    WHERE t.request_id = ANY (CAST(:left AS varchar[])) AND t.outcome = 'PLACED'
        AND r.ended_at IS NOT NULL AND r.status <> 'CONFIRMED'
        AND (t.removed_by IS NULL OR remover.outcome IN ('FAILED', 'NEVER_LANDED', 'LOST'))
    ORDER BY t.request_id LIMIT :most FOR UPDATE OF t SKIP LOCKED)
RETURNING request_id
""")


async def claim_left_behind(tx: Transaction, *, request_id: str, left: Sequence[str]) -> list[str]:
    """Those of the tickets in `left` that this request's transaction may remove; nobody else will.

    `left` names requests whose tickets stand on the ledger. Only those that have ended without using
    theirs up are chosen, and at most MOST_REMOVED.
    """
    if not left:
        return []
    params = {"id": request_id, "left": list(left), "most": MOST_REMOVED}
    return sorted(row.request_id for row in await tx.rows(_CLAIM, params))


async def store_ticket(
    tx: Transaction, *, record: RequestRecord, ticket: Ticket, at: datetime
) -> RequestRecord:
    """Step `ticket.stored`: keep the one transaction that places the ticket, before it is sent."""
    columns = ticket.model_dump(include={"hash", "channel", "sequence", "max_time"})
    return await advance(
        tx,
        before=record,
        after=record.model_copy(update={"ticket": ticket}),
        step="ticket.stored",
        kind="ticket.stored",
        actor="system",
        at=at,
        details={
            "hash": ticket.hash,
            "channel": ticket.channel,
            "sequence": str(ticket.sequence),
            "maxTime": ticket.max_time,
            "removes": list(ticket.removes),
        },
        statement=_STORE,
        extra={
            **columns,
            "envelope_xdr": ticket.envelope_xdr,
            "signed_at_ledger": ticket.signed_at_ledger,
            "removes": list(ticket.removes),
        },
    )


async def conclude_ticket(
    tx: Transaction, *, record: RequestRecord, ticket: Ticket, at: datetime
) -> RequestRecord:
    """Step `ticket.concluded`: whether it stands on the ledger, with the proof; `ticket` has an outcome."""
    assert ticket.outcome is not None  # noqa: S101 - the caller's duty, not a user's
    assert ticket.proof is not None  # noqa: S101
    return await advance(
        tx,
        before=record,
        after=record.model_copy(update={"ticket": ticket}),
        step="ticket.concluded",
        kind="ticket.concluded",
        actor="ledger",
        at=at,
        details={
            "outcome": ticket.outcome,
            "reason": ticket.reason,
            "proof": proof_details(ticket.proof),
        },
        statement=_CONCLUDE,
        extra={
            "outcome": ticket.outcome.value,
            "outcome_reason": ticket.reason,
            "proof": ticket.proof.model_dump_json(),
        },
    )
