"""What an acknowledgement is judged by."""

from __future__ import annotations

from sqlalchemy import text

from db.session import Transaction
from domain.ack import AckClaim, AckReceipt, Addressee, ButtonPress

# a group's name is no user's: only people can have left
_ADDRESSEE = text("""
SELECT d.tenant, d.request_id, d.run_id, d.recipient, d.channel, d.channel_kind, d.stage,
    d.channel_kind NOT IN ('email', 'in-app') OR coalesce(u.active, false) AS active,
    CAST(:by AS varchar) IS NULL OR EXISTS (SELECT 1 FROM users b WHERE b.tenant = d.tenant AND b.name = :by
        AND b.active) AS by_active, d.ack_revoked_at IS NOT NULL AS revoked
FROM deliveries d LEFT JOIN users u ON u.tenant = d.tenant AND u.name = d.recipient
WHERE d.id = :id
""")
_RECEIPT = text("""
SELECT request_id, run_id, delivery_id, jti, stage, recipient AS acknowledged_by, at AS acknowledged_at,
    token_sha256
FROM acks WHERE request_id = :request_id AND jti = :jti
""")
_HASHES = text("""
SELECT d.id, array_agg(a.ack_sha256 ORDER BY a.attempt) AS hashes
FROM deliveries d JOIN delivery_attempts a ON a.delivery_id = d.id
WHERE d.request_id = :request_id AND a.ack_sha256 IS NOT NULL GROUP BY d.id
""")
_BUTTON = text("""
SELECT d.id AS delivery_id, d.tenant, d.request_id, d.run_id, d.recipient, d.stage,
    coalesce(d.accepted_at, h.created_at) AS sent_at
FROM ack_handles h JOIN deliveries d ON d.id = h.delivery_id WHERE h.handle = :handle AND d.stage IS NOT NULL
""")
# a private chat has the id of its user
_PRESSED_BY = text("""
SELECT u.name FROM users u WHERE u.tenant = :tenant AND u.telegram_chat = :chat AND u.active
    AND ('approver' = ANY (u.roles) OR EXISTS (SELECT 1 FROM deliveries d WHERE d.request_id = :request_id
        AND d.run_id IS NOT DISTINCT FROM CAST(:run_id AS varchar) AND d.recipient = u.name))
LIMIT 2
""")


async def addressee(tx: Transaction, claim: AckClaim) -> Addressee | None:
    """The delivery that a claim names as its token must describe it, or None."""
    row = await tx.row(_ADDRESSEE, {"id": claim.delivery_id, "by": claim.by})
    return None if row is None else Addressee(**row._asdict())


async def ack_receipt(tx: Transaction, claim: AckClaim) -> AckReceipt | None:
    """What an earlier use of the claim's token has recorded, or None."""
    row = await tx.row(_RECEIPT, {"request_id": claim.request_id, "jti": claim.jti})
    return None if row is None else AckReceipt(**row._asdict())


async def button(tx: Transaction, handle: str) -> ButtonPress | None:
    """The message whose button carries that handle, or None."""
    row = await tx.row(_BUTTON, {"handle": handle})
    return None if row is None else ButtonPress(**row._asdict())


async def pressed_by(tx: Transaction, press: ButtonPress, telegram_user: str) -> str | None:
    """The one active user of that Telegram account who may speak for themselves: an approver, or somebody
    whom the same run has told; None: nobody, or several."""
    values = {**press.model_dump(include={"tenant", "request_id", "run_id"}), "chat": telegram_user}
    found = await tx.rows(_PRESSED_BY, values)
    return str(found[0].name) if len(found) == 1 else None


async def token_hashes(tx: Transaction, request_id: str) -> dict[str, list[str]]:
    """By delivery the SHA-256 of every token that its attempts carried, in their order."""
    return {row.id: row.hashes for row in await tx.rows(_HASHES, {"request_id": request_id})}
