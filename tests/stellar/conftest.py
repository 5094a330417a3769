"""What the tests of the ledger activities ask for."""

from collections.abc import AsyncIterator

import pytest_asyncio

from activities.stellar.horizon import Horizon
from tests.support.ledger import MintLedger, mint_ledger


@pytest_asyncio.fixture(loop_scope="session")
async def ledger() -> AsyncIterator[MintLedger]:
    """A fresh ledger with two channel accounts; its ledgers close only by hand."""
    async with mint_ledger(channels=2) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def horizon(ledger: MintLedger) -> AsyncIterator[Horizon]:
    """The product's own client of that ledger."""
    client = Horizon(ledger.url)
    yield client
    await client.close()
