"""A worker that stops for long and wakes up knows nothing of what others did meanwhile, and does no harm."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from temporalio.exceptions import ApplicationError

from activities.stellar.horizon import Horizon
from domain.mint_request import MintStatus
from domain.submission import Outcome
from tests.support.minting import Minting, minting_on, tried


class SleepyHorizon(Horizon):
    """The real client of a worker that stops before, or right after, its first question of one kind."""

    def __init__(self, url: str, question: str, moment: str) -> None:
        super().__init__(url)
        self.asleep, self.woken = asyncio.Event(), asyncio.Event()
        self._question, self._moment = question, moment

    async def account(self, account_id):
        """An account, perhaps long ago."""
        return await self._drowsily("account", super().account, account_id)

    async def send(self, envelope_xdr):
        """An answer, perhaps long ago."""
        return await self._drowsily("send", super().send, envelope_xdr)

    async def _drowsily(self, question, ask, argument):
        if self._question == question and self._moment == "before":
            await self._sleep()
        answer = await ask(argument)
        if self._question == question and self._moment == "after":
            await self._sleep()
        return answer

    async def _sleep(self):
        self.asleep.set()
        await self.woken.wait()


@pytest.fixture
async def minting(seeded) -> AsyncIterator[Minting]:
    """A ledger closed by hand, with one channel account, which every request has to use."""
    async with minting_on(seeded, channels=1) as opened:
        yield opened


async def fall_asleep(minting, request, question, moment):
    """A worker whose attempt of `submit` stops there; its Horizon and the attempt that goes on later."""
    horizon = SleepyHorizon(minting.ledger.url, question, moment)
    worker = minting.activities(horizon=horizon, rules=minting.ledger.rules(window_seconds=30))
    attempt = asyncio.create_task(minting.submit(request, worker))
    await asyncio.wait_for(horizon.asleep.wait(), 30)
    return horizon, attempt


async def wake_up(horizon, attempt):
    """Let it go on to its end; what it answers goes nowhere, Temporal has long given it up."""
    horizon.woken.set()
    with suppress(ApplicationError):
        await attempt
    await horizon.close()


MOMENTS = [("account", "before"), ("account", "after"), ("send", "before"), ("send", "after")]


@pytest.mark.parametrize(("question", "moment"), MOMENTS)
async def test_a_worker_that_wakes_up_after_the_payment_pays_nothing(minting, question, moment):
    """Another worker has minted, and the next request has the channel account: neither is paid twice."""
    first, second = await minting.approved("first"), await minting.approved("second", amount=70_000_000)
    horizon, attempt = await fall_asleep(minting, first, question, moment)
    assert (await minting.mint(first)).outcome is Outcome.CONFIRMED
    assert (await minting.submit(second)).status is MintStatus.SUBMITTING
    await wake_up(horizon, attempt)
    assert (await minting.mint(second)).outcome is Outcome.CONFIRMED
    await minting.ledger.close(3)
    assert await minting.ledger.balance() == first.amount + second.amount
    assert len(await minting.ledger.payments()) == 2


@pytest.mark.parametrize(("question", "moment"), MOMENTS)
async def test_a_worker_that_wakes_up_after_the_proof_pays_nothing(minting, question, moment):
    """It was proved that the envelope can't land, and the next request uses its sequence: it stays so."""
    await minting.ledger.fault("timeout_never_land", count=1000)
    first, second = await minting.approved("first"), await minting.approved("second", amount=70_000_000)
    horizon, attempt = await fall_asleep(minting, first, question, moment)
    assert (await minting.mint(first, minting.hurried())).outcome is Outcome.TIMEOUT_FAILED
    await minting.ledger.clear_faults()
    assert (await minting.submit(second)).status is MintStatus.SUBMITTING
    await wake_up(horizon, attempt)
    assert (await minting.mint(second)).outcome is Outcome.CONFIRMED
    await minting.ledger.close(3)
    assert await minting.ledger.balance() == second.amount
    assert (await minting.record(first)).status is MintStatus.TIMEOUT_FAILED


async def test_two_workers_that_wake_up_together_sign_once(minting):
    """Both have read the channel account before either has stored an envelope: only one is ever sent."""
    request = await minting.approved()
    sleepers = [await fall_asleep(minting, request, "account", "after") for _ in range(2)]
    for horizon, _ in sleepers:
        horizon.woken.set()
    await asyncio.gather(*(wake_up(horizon, attempt) for horizon, attempt in sleepers))
    async with minting.ledger.closing():
        result = await tried(lambda: minting.settle(request))
    assert result.outcome is Outcome.CONFIRMED
    assert await minting.ledger.balance() == request.amount
