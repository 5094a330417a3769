"""The stack's channel accounts, made as `mintkeeper channels create` makes them."""

from __future__ import annotations

import asyncio
import logging

from db.reads.stellar_channels import channel_accounts
from db.session import Database
from domain.channel_accounts import ChannelState, CreateOrder
from domain.errors import ConfigurationError, Refused
from starter.channel_accounts import create_channels
from starter.local.environment import Addresses
from starter.temporal import connect

_PATIENCE_SECONDS = 180.0
"""A thousand accounts on the sandbox ledger, or a slow public test network."""

_log = logging.getLogger("mintkeeper.local")


async def prepare_channels(addresses: Addresses, wanted: int) -> None:
    """Create what is missing of so many channel accounts; the worker must run already.

    Where the funding account has nothing, as on a network without friendbot, that is said and the stack
    goes on: people fund the account and create them later. Raises Unavailable.
    """
    missing = wanted - await _usable(addresses.database_url)
    if missing <= 0:
        return
    client = await connect(address=addresses.temporal_address)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await create_channels(client, CreateOrder(count=missing))
    except (Refused, ConfigurationError) as error:
        _log.warning(
            "no mint can be submitted yet: %s; then run 'mintkeeper channels create %d'", error, missing
        )
    except TimeoutError:
        _log.warning("the channel accounts are still being made: see 'mintkeeper channels list'")


async def _usable(database_url: str) -> int:
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            known = await channel_accounts(tx)
    finally:
        await database.close()
    return sum(
        channel.key_index is not None and channel.state is not ChannelState.PLANNED for channel in known
    )
