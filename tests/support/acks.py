"""Ack tokens as the relay signs them, or as somebody forges them."""

from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from db.session import Database
from domain.ack import AckClaim, Authority, action_hash, decode
from domain.dsse import Envelope

KEY = Ed25519PrivateKey.from_private_bytes(b"\x0a" * 32)
AUTHORITY = Authority([KEY])
FORGER = Authority([Ed25519PrivateKey.from_private_bytes(b"\x0f" * 32)])


async def claim_for(
    database: Database,
    request_id: str,
    /,
    stage: int = 0,
    recipient: str = "#mint",
    run_id: str | None = None,
    **changes: Any,
) -> AckClaim:
    """What the message of a stage (of an event's run, if one is named) to that recipient lets it say."""
    async with database.transaction() as tx:
        row = (
            await tx.execute(
                text(
                    "SELECT d.id, d.tenant, coalesce(e.rule_id, r.policy_id) AS rule_id, e.action_hash, "
                    "coalesce(e.closes_at, r.expires_at) AS expires_at FROM deliveries d "
                    "JOIN mint_requests r ON r.id = d.request_id "
                    "LEFT JOIN escalation_runs e ON e.id = d.run_id "
                    "WHERE d.request_id = :id AND d.stage = :stage AND d.recipient = :recipient "
                    "AND d.run_id IS NOT DISTINCT FROM CAST(:run_id AS varchar) "
                    "AND d.kind <> 'stalled' ORDER BY d.id LIMIT 1"
                ),
                {"id": request_id, "stage": stage, "recipient": recipient, "run_id": run_id},
            )
        ).one()
    values = {
        "tenant": row.tenant,
        "delivery_id": row.id,
        "expires_utc": row.expires_at,
        "rule_id": row.rule_id,
        "action_hash": row.action_hash or action_hash(row.tenant, row.rule_id, request_id),
        "jti": row.id[::-1],
        "sub": recipient,
        "purpose": "ack",
        "request_id": request_id,
        "stage": stage,
        "iat": int(datetime.now(UTC).timestamp()),
    }
    return AckClaim(**(values | changes))


async def token_for(
    database: Database, request_id: str, /, *, authority: Authority = AUTHORITY, **changes: Any
) -> str:
    """A token for that claim."""
    return authority.issue(await claim_for(database, request_id, **changes))


async def envelope_for(
    database: Database, request_id: str, /, *, authority: Authority = AUTHORITY, **changes: Any
) -> Envelope:
    """The same as the workflow gets it."""
    return decode(await token_for(database, request_id, authority=authority, **changes))
