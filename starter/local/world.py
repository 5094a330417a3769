"""The demo world: people with keys, funded accounts, a tenant. Made once, found again later."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db import reads
from db.seed import TENANT, seed_demo_tenant
from db.session import Database
from starter.key_file import rotate
from starter.keys import load_key, new_key
from starter.local.accounts import ASSET_CODE, keep_seed, prepare_accounts
from starter.local.environment import Addresses
from starter.local.layout import PEOPLE, DataDir
from starter.local.stack_file import DemoWorld


async def prepare_world(data: DataDir, addresses: Addresses) -> DemoWorld:
    """Bring ledger and database to where the demo tenant can mint; changes nothing that is there already."""
    keys = {name: keep_key(data, name) for name in PEOPLE}
    if not data.authority.exists():
        rotate(data.authority, datetime.now(UTC))
    issuer, destination = keep_seed(data.seed("issuer")), keep_seed(data.seed("destination"))
    asset = f"{ASSET_CODE}:{issuer.public_key}"
    await prepare_accounts(data, addresses.horizon_url, addresses.network_passphrase)
    public_keys = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    await _seed_tenant(addresses.database_url, public_keys, asset)
    return DemoWorld(tenant=TENANT, issuer=issuer.public_key, asset=asset, destination=destination.public_key)


async def _seed_tenant(database_url: str, public_keys: dict[str, bytes], asset: str) -> None:
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            # only once: what people changed since, such as rules or the policy, stays
            if await reads.current_policy(tx, TENANT) is None:
                await seed_demo_tenant(tx, public_keys, asset, datetime.now(UTC))
    finally:
        await database.close()


def keep_key(data: DataDir, user: str) -> Ed25519PrivateKey:
    """A user's private key; a new one the first time."""
    path = data.key(user)
    return load_key(path) if path.exists() else new_key(path)
