"""What an acknowledgement is judged by."""

from __future__ import annotations

from sqlalchemy import text

from db.session import Transaction
from domain.ack import AckClaim, AckReceipt, Addressee, ButtonPress
from domain.channels import GROUP_KINDS

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

# whoever still keeps the stages back hears their own receipt again; a used message is nobody else's
_OWN_OR_GROUPS = text("""
SELECT d.id AS delivery_id, d.tenant, d.request_id, d.run_id, d.recipient, d.stage,
    clock_timestamp() AS sent_at
FROM users u JOIN deliveries d ON d.tenant = u.tenant
LEFT JOIN acks a ON a.request_id = d.request_id AND a.delivery_id = d.id
WHERE u.tenant = :tenant AND u.name = :name AND u.active AND d.request_id = :request_id AND d.run_id IS NULL
    AND d.stage IS NOT NULL AND d.ack_revoked_at IS NULL
    AND (a.jti IS NULL OR (:is_on_it AND a.recipient = u.name))
    AND CASE WHEN d.channel_kind = ANY (:groups) THEN 'approver' = ANY (u.roles)
        ELSE d.recipient = u.name END
ORDER BY a.jti IS NULL, d.channel_kind = ANY (:groups), d.due_at DESC, d.id LIMIT 1
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


async def message_for(
    tx: Transaction, *, tenant: str, request_id: str, name: str, is_on_it: bool
) -> ButtonPress | None:
    """The message of the request's own run by which a user may say that they are on it, as if sent now.

    The newest one to themselves, else for an approver the newest one to a group; None: there is none.
    """
    values = {"tenant": tenant, "request_id": request_id, "name": name, "is_on_it": is_on_it}
    row = await tx.row(_OWN_OR_GROUPS, {**values, "groups": sorted(GROUP_KINDS)})
    return None if row is None else ButtonPress(**row._asdict())


async def token_hashes(tx: Transaction, request_id: str) -> dict[str, list[str]]:
    """By delivery the SHA-256 of every token that its attempts carried, in their order."""
    return {row.id: row.hashes for row in await tx.rows(_HASHES, {"request_id": request_id})}
