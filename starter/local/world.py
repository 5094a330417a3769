"""The demo world: people with keys, funded accounts, a tenant. Made once, found again later."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db import reads
from db.reads import accounts
from db.seed import TENANT, seed_demo_tenant
from db.session import Database
from db.writes.accounts import set_password
from starter.key_file import rotate
from starter.keys import load_key, new_key
from starter.local.accounts import ASSET_CODE, keep_seed, prepare_accounts
from starter.local.environment import Addresses
from starter.local.layout import PEOPLE, DataDir, keep_password
from starter.local.stack_file import DemoWorld
from starter.passwords import hash_password


async def prepare_world(data: DataDir, addresses: Addresses) -> DemoWorld:
    """Bring ledger and database to where the demo tenant can mint; changes nothing that is there already."""
    keys = {name: keep_key(data, name) for name in PEOPLE}
    if not data.authority.exists():
        rotate(data.authority, datetime.now(UTC))
    issuer, destination = keep_seed(data.seed("issuer")), keep_seed(data.seed("destination"))
    asset = f"{ASSET_CODE}:{issuer.public_key}"
    await prepare_accounts(data, addresses.horizon_url, addresses.network_passphrase)
    public_keys = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    password = keep_password(data.demo_password)
    await _seed_tenant(addresses.database_url, public_keys, asset, password)
    return DemoWorld(
        tenant=TENANT,
        issuer=issuer.public_key,
        asset=asset,
        destination=destination.public_key,
        password=password,
    )


async def _seed_tenant(database_url: str, public_keys: dict[str, bytes], asset: str, password: str) -> None:
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            # only once: what people changed since, such as rules or the policy, stays
            if await reads.current_policy(tx, TENANT) is None:
                await seed_demo_tenant(tx, public_keys, asset, datetime.now(UTC))
        await _let_in(database, password)
    finally:
        await database.close()


async def _let_in(database: Database, password: str) -> None:
    """Give the demo's people a password, unless they have chosen one."""
    hashed = await hash_password(password)
    async with database.transaction() as tx:
        for user in await reads.users(tx, TENANT):
            account = await accounts.account(tx, TENANT, user.name)
            if account is not None and account.password_hash is None:
                await set_password(
                    tx,
                    tenant=TENANT,
                    name=user.name,
                    password_hash=hashed,
                    actor="setup",
                    at=datetime.now(UTC),
                )


def keep_key(data: DataDir, user: str) -> Ed25519PrivateKey:
    """A user's private key; a new one the first time."""
    path = data.key(user)
    return load_key(path) if path.exists() else new_key(path)
