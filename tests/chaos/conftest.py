"""A desk with a ledger and worker processes, none of which runs inside the test."""

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.support.desk import Desk
from tests.support.ledger import mint_ledger
from tests.support.postgres import Seeded

CHANNELS = 60
"""The request of a dead worker keeps its channel account for some ten seconds: more than die meanwhile."""


@pytest_asyncio.fixture
async def desk(temporal_server: WorkflowEnvironment, seeded: Seeded) -> AsyncIterator[Desk]:
    """A ledger that closes as soon as something waits, and many channel accounts."""
    async with mint_ledger(CHANNELS, interval=0) as ledger:
        opened = Desk(temporal_server, temporal_server.client, seeded, ledger=ledger)
        yield opened
        await opened.close()
