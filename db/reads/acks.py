"""What an acknowledgement is judged by."""

from __future__ import annotations

from sqlalchemy import text

from db.session import Transaction
from domain.ack import AckClaim, AckReceipt, Addressee

# a group's name is no user's: only people can have left
_ADDRESSEE = text("""
SELECT d.tenant, d.request_id, d.run_id, d.recipient, d.channel, d.channel_kind, d.stage,
    d.channel_kind NOT IN ('email', 'in-app') OR coalesce(u.active, false) AS active,
    d.ack_revoked_at IS NOT NULL AS revoked
FROM deliveries d LEFT JOIN users u ON u.tenant = d.tenant AND u.name = d.recipient
WHERE d.id = :id
""")
_RECEIPT = text("""
SELECT request_id, run_id, delivery_id, jti, stage, recipient AS acknowledged_by, at AS acknowledged_at,
    token_sha256
FROM acks WHERE request_id = :request_id AND jti = :jti
""")


async def addressee(tx: Transaction, delivery_id: str) -> Addressee | None:
    """The delivery of that id as a token must describe it, or None."""
    row = await tx.row(_ADDRESSEE, {"id": delivery_id})
    return None if row is None else Addressee(**row._asdict())


async def ack_receipt(tx: Transaction, claim: AckClaim) -> AckReceipt | None:
    """What an earlier use of the claim's token has recorded, or None."""
    row = await tx.row(_RECEIPT, {"request_id": claim.request_id, "jti": claim.jti})
    return None if row is None else AckReceipt(**row._asdict())
