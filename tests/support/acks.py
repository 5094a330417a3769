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
    database: Database, request_id: str, /, stage: int = 0, recipient: str = "#mint", **changes: Any
) -> AckClaim:
    """What the message of a stage to that recipient lets it say, with changes."""
    async with database.transaction() as tx:
        row = (
            await tx.execute(
                text(
                    "SELECT d.id, d.tenant, r.policy_id, r.expires_at FROM deliveries d "
                    "JOIN mint_requests r ON r.id = d.request_id "
                    "WHERE d.request_id = :id AND d.stage = :stage AND d.recipient = :recipient "
                    "AND d.kind <> 'stalled' AND d.run_id IS NULL ORDER BY d.id LIMIT 1"
                ),
                {"id": request_id, "stage": stage, "recipient": recipient},
            )
        ).one()
    values = {
        "tenant": row.tenant,
        "delivery_id": row.id,
        "expires_utc": row.expires_at,
        "rule_id": row.policy_id,
        "action_hash": action_hash(row.tenant, row.policy_id, request_id),
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
