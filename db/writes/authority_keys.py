"""The server's own public keys in a tenant's audit chain: what it vouched for is verified by them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db.session import Transaction
from db.writes.rows import note
from domain.dsse import key_id

_REGISTER = text("""
INSERT INTO authority_keys (tenant, key_id, public_key, registered_at)
VALUES (:tenant, :key_id, :public_key, :at)
ON CONFLICT DO NOTHING RETURNING key_id
""")


async def register_authority_key(tx: Transaction, *, tenant: str, public_key: bytes, at: datetime) -> None:
    """Say in the tenant's chain that decisions signed by this key count from now on; once a key."""
    params = {"tenant": tenant, "key_id": key_id(public_key), "public_key": public_key, "at": at}
    if await tx.value(_REGISTER, params) is not None:
        facts = {"key_id": key_id(public_key), "publicKey": public_key.hex()}
        await note(tx, "authority_keys.set", tenant, facts, "mintkeeper", at)
