"""The line for a channel account: first come, first served, bounded in length and time."""

import asyncio

import pytest

from activities.stellar.channel_gate import MOST_WAITING, ChannelGate
from db.writes import submissions
from domain.mint_request import MintStatus
from tests.support.minting import minting_on


async def in_turn(gate: ChannelGate, number: int, served: list[int]):
    """Wait in line, take one freed channel account, leave."""
    async with gate.turn():
        await gate.wait_for_freed()
        served.append(number)


async def test_the_line_keeps_its_order():
    """Each freed channel account serves the one who has waited longest."""
    gate, served = ChannelGate(), []
    line = [asyncio.create_task(in_turn(gate, number, served)) for number in range(5)]
    for count in range(1, 6):
        await asyncio.sleep(0)
        gate.freed()
        while len(served) < count:
            await asyncio.sleep(0.001)
    await asyncio.gather(*line)
    assert served == list(range(5))


async def test_nobody_is_waited_for_in_an_empty_line():
    """A newcomer tries at once only where nobody came before."""
    gate = ChannelGate()
    assert not gate.waited_for
    async with gate.turn():
        assert gate.waited_for
    assert not gate.waited_for


async def test_a_full_line_sends_newcomers_away():
    """Activity slots are for those who submit, too: the rest come back by Temporal's timer."""
    gate, served = ChannelGate(), []
    line = [asyncio.create_task(in_turn(gate, number, served)) for number in range(MOST_WAITING)]
    assert not gate.full
    await asyncio.sleep(0)
    assert gate.full
    for waiting in line:
        waiting.cancel()
    await asyncio.gather(*line, return_exceptions=True)
    assert not gate.full
    assert not gate.waited_for


async def test_one_who_leaves_the_line_holds_up_nobody():
    """A cancelled attempt gives its place up."""
    gate, served = ChannelGate(), []
    first, second = (asyncio.create_task(in_turn(gate, number, served)) for number in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.sleep(0.01)
    gate.freed()
    await second
    assert served == [2]


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "only reserved"])
async def test_the_line_holds_up_nobody_who_has_a_channel_account(seeded, signed):
    """A dead worker's request goes on at once: those in the line wait for its channel account."""
    async with minting_on(seeded, channels=1) as minting:
        first, second = await minting.approved("first"), await minting.approved("second")
        if signed:
            await minting.ledger.fault("timeout_never_land")
            assert (await minting.submit(first)).status is MintStatus.SUBMITTING
        else:
            async with minting.database.transaction() as tx:
                accounts = minting.ledger.wallet().channels
                assert await submissions.reserve(tx, request_id=first.id, accounts=accounts)
        heir = minting.activities(line=10_000.0)
        waiting = asyncio.create_task(minting.submit(second, heir))
        done, _ = await asyncio.wait([waiting], timeout=1.0)
        assert not done
        assert (await minting.submit(first, heir)).status is MintStatus.SUBMITTING
        async with minting.ledger.closing():
            await minting.settle(first, heir)
        assert (await waiting).status is MintStatus.SUBMITTING
