"""Acknowledgements that were verified and judged, and refusals for the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction
from db.writes import audit
from db.writes.steps import advance, step_statement
from domain.ack import AckClaim, AckRefusal
from domain.errors import NotFound, Refused
from domain.records import RequestRecord

_ACKNOWLEDGE = step_statement(
    """acked AS (
    INSERT INTO acks (request_id, jti, delivery_id, recipient, stage, token_sha256, at)
    SELECT request_id, :jti, :delivery_id, :actor, :stage, :token_sha256, :at FROM found
    RETURNING request_id)""",
    source="acked",
)
_TOKENS = text("""
UPDATE delivery_attempts a SET ack_sha256 = c.sha256
FROM unnest(CAST(:ids AS varchar[]), CAST(:attempts AS integer[]), CAST(:hashes AS varchar[]))
    AS c (id, attempt, sha256)
WHERE a.delivery_id = c.id AND a.attempt = c.attempt
""")
_NAMED = text("""
SELECT id, tenant, request_id, stage FROM deliveries WHERE starts_with(id, :name) LIMIT 2
""")
_REVOKE = text("UPDATE deliveries SET ack_revoked_at = :at WHERE id = :id AND ack_revoked_at IS NULL")
_REQUEST_LOCK = text("SELECT 1 FROM mint_requests WHERE id = :id FOR NO KEY UPDATE")


async def record_ack(
    tx: Transaction, *, record: RequestRecord, claim: AckClaim, token_sha256: str, at: datetime
) -> RequestRecord:
    """Step `ack:JTI`: the recipient is on it; messages of stages that still wait are skipped."""
    return await advance(
        tx,
        before=record,
        after=record.model_copy(update={"acknowledged_by": claim.actor, "acknowledged_at": at}),
        step=f"ack:{claim.jti}",
        kind="ack",
        actor=claim.actor,
        at=at,
        details={
            "jti": claim.jti,
            "deliveryId": claim.delivery_id,
            "stage": claim.stage,
            "tokenSha256": token_sha256,
            "sentTo": claim.sub,
        },
        statement=_ACKNOWLEDGE,
        extra={
            "jti": claim.jti,
            "delivery_id": claim.delivery_id,
            "stage": claim.stage,
            "token_sha256": token_sha256,
        },
    )


async def note_tokens(tx: Transaction, carried: Sequence[tuple[str, int, str]]) -> None:
    """Note which attempts carried which token: (delivery, attempt, the token's SHA-256) each."""
    ids, attempts, hashes = zip(*carried, strict=True)
    await tx.run(_TOKENS, {"ids": list(ids), "attempts": list(attempts), "hashes": list(hashes)})


async def revoke(tx: Transaction, *, delivery: str, actor: str, at: datetime) -> str:
    """Make every acknowledgement link of a delivery worthless, and tell the audit; answers its id.

    `delivery` is its id or how it begins; again changes nothing. Raises NotFound, or Refused for a
    message that carries no link. An acknowledgement that was made already stays.
    """
    found = await tx.rows(_NAMED, {"name": delivery})
    if len(found) != 1:
        many = "several deliveries begin" if found else "no delivery begins"
        raise NotFound(f"{many} with {delivery!r}: see 'mintkeeper deliveries list'")
    [message] = found
    if message.stage is None:
        raise Refused(f"delivery {message.id[:12]} is no message of a stage: it carries no link")
    # the row first, the chain last: the order of every other step
    await tx.run(_REQUEST_LOCK, {"id": message.request_id})
    await tx.run(_REVOKE, {"id": message.id, "at": at})
    await audit.append(
        tx,
        tenant=message.tenant,
        request_id=message.request_id,
        step=f"ack.revoked:{message.id}",
        kind="ack.revoked",
        actor=actor,
        at=at,
        details={"deliveryId": message.id},
    )
    return str(message.id)


async def record_ack_refusal(
    tx: Transaction,
    *,
    tenant: str,
    request_id: str,
    reason: AckRefusal,
    message: str,
    actor_claimed: str,
    envelope_sha256: str,
    at: datetime,
) -> None:
    """An audit event `ack.refused`, once for the same reason and message, and nothing else.

    `actor_claimed` is who the unverified envelope says it is from.
    """
    # the row first, the chain last: the order of every other step
    await tx.run(_REQUEST_LOCK, {"id": request_id})
    await audit.append(
        tx,
        tenant=tenant,
        request_id=request_id,
        step=f"ack.refused:{reason}:{envelope_sha256[:32]}",
        kind="ack.refused",
        actor=actor_claimed,
        at=at,
        details={"reason": reason, "message": message, "envelopeSha256": envelope_sha256},
    )
