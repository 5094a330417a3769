"""Interleavings of lag, views and deaths that might make a verdict wrong: each ends as the ledger says."""

from collections.abc import AsyncIterator

import pytest

from activities.stellar.horizon import Horizon
from domain.mint_request import MintStatus
from domain.submission import Outcome
from tests.support.minting import Minting, minting_on, tried


@pytest.fixture
async def minting(seeded) -> AsyncIterator[Minting]:
    """A ledger closed by hand, with one channel account."""
    async with minting_on(seeded, channels=1) as opened:
        yield opened


async def landed_late(minting, after_ledgers: int = 5):
    """A request whose envelope lands in the last ledgers of its time, unseen: its worker is dead."""
    request = await minting.approved()
    await minting.ledger.fault("timeout_then_land", after_ledgers=after_ledgers)
    assert (await minting.submit(request, minting.hurried())).status is MintStatus.SUBMITTING
    await minting.ledger.close(after_ledgers + 3)
    assert len(await minting.ledger.payments()) == 1
    return request


class UnluckyHorizon(Horizon):
    """A balancer before two nodes that sends every look-up to the one that lags, all else to the other."""

    def __init__(self, ledger) -> None:
        super().__init__(ledger.url)
        self._ledger = ledger

    async def transaction(self, hash_):
        """The sandbox's nodes take turns: after the one that knows it has answered, the other is next."""
        for _ in range(4):
            if (await self._ledger.control.get(f"/transactions/{hash_}")).status_code == 200:
                break
        return await super().transaction(hash_)


@pytest.mark.parametrize("behind", [2, 5, 10, 20, 40])
async def test_a_view_far_behind_makes_no_anomaly(minting, behind):
    """Two nodes in turn, one many ledgers behind: what landed is found in the end, and is no anomaly."""
    request = await landed_late(minting)
    await minting.ledger.fault("two_views", ledgers=behind)
    horizon = UnluckyHorizon(minting.ledger)
    worker = minting.activities(horizon=horizon, rules=minting.ledger.rules(window_seconds=30))
    async with minting.ledger.closing():
        result = await tried(lambda: minting.settle(request, worker))
    await horizon.close()
    assert result.outcome is Outcome.CONFIRMED, result.reason
