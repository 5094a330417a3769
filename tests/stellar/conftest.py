"""What the tests of the ledger activities ask for."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from activities.stellar.horizon import Horizon
from tests.support.ledger import MintLedger, mint_ledger
from tests.support.minting import Minting
from tests.support.postgres import Seeded


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


@pytest.fixture
def minting(ledger: MintLedger, seeded: Seeded, horizon: Horizon) -> Minting:
    """The activities over that ledger and the demo tenant's database."""
    return Minting(ledger, seeded, horizon)
