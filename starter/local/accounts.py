"""The demo accounts on the ledger: seeds in files, funded by friendbot, a trusting destination.

Friendbot also fills the funding account, which then makes the channel accounts of the phrase kept here.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import httpx
from stellar_sdk import Asset, Keypair, TransactionBuilder
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.exceptions import NotFoundError, SdkError
from stellar_sdk.server_async import ServerAsync

from domain.errors import Unavailable
from starter.local.layout import DataDir, write_private

ASSET_CODE = "EURT"
_TRUST_FEE = 10_000
"""Stroops; a public test network asks for more than the minimum in busy times."""
_TRUST_SECONDS = 60
_FUNDING_SECONDS = 60.0

_log = logging.getLogger("mintkeeper.local")


def keep_seed(file: Path) -> Keypair:
    """The account whose seed is in `file`; a new one the first time."""
    if not file.exists():
        write_private(file, Keypair.random().secret + "\n")
    return Keypair.from_secret(file.read_text().strip())


def keep_phrase(file: Path) -> None:
    """Let there be a mnemonic phrase in `file`; a new one the first time."""
    if not file.exists():
        write_private(file, Keypair.generate_mnemonic_phrase(strength=256) + "\n")


async def prepare_accounts(data: DataDir, horizon: str, passphrase: str) -> None:
    """Fund what does not exist yet and let the destination trust the asset; raises Unavailable."""
    keep_phrase(data.channel_phrase)
    issuer, destination = keep_seed(data.seed("issuer")), keep_seed(data.seed("destination"))
    wanted = [issuer, destination, keep_seed(data.seed("funding"))]
    try:
        async with ServerAsync(horizon, AiohttpClient()) as server:
            missing = [pair.public_key for pair in wanted if not await _exists(server, pair.public_key)]
            if missing and not await _fund(horizon, missing):
                _log.warning(
                    "%s has no friendbot: fund these accounts yourself: %s", horizon, ", ".join(missing)
                )
                return
            await _trust(server, destination, Asset(ASSET_CODE, issuer.public_key), passphrase)
    except (SdkError, httpx.HTTPError) as error:
        raise Unavailable(f"the demo accounts can't be prepared on {horizon}: {error}") from error


async def _fund(horizon: str, accounts: list[str]) -> bool:
    """Ask the network's friendbot, which its root document names; False where there is none."""
    async with httpx.AsyncClient(timeout=_FUNDING_SECONDS, trust_env=False) as client:
        root = (await client.get(horizon)).raise_for_status().json()
        link = root.get("_links", {}).get("friendbot", {}).get("href")
        if link is None:
            return False
        friendbot = str(link).partition("{")[0]
        answers = await asyncio.gather(*(client.get(friendbot, params={"addr": one}) for one in accounts))
    for answer in answers:
        answer.raise_for_status()
    return True


async def _exists(server: ServerAsync, account: str) -> bool:
    try:
        await server.load_account(account)
    except NotFoundError:
        return False
    return True


async def _trust(server: ServerAsync, holder: Keypair, asset: Asset, passphrase: str) -> None:
    account = await server.load_account(holder.public_key)
    balances = account.raw_data.get("balances", []) if account.raw_data else []
    if any(line.get("asset_issuer") == asset.issuer for line in balances):
        return
    transaction = (
        TransactionBuilder(account, network_passphrase=passphrase, base_fee=_TRUST_FEE)
        .append_change_trust_op(asset)
        .set_timeout(_TRUST_SECONDS)
        .build()
    )
    transaction.sign(holder)
    await server.submit_transaction(transaction)
