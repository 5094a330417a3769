"""A crowd that wants channel accounts: the line is bounded, so that others find an activity slot."""

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from activities.stellar.channel_gate import MOST_WAITING
from domain.mint_request import MintStatus
from tests.support.minting import minting_on


async def test_who_comes_to_a_full_line_is_sent_away_at_once(seeded):
    """Otherwise waiting requests take every slot, and none is left to settle those that are waited for."""
    async with minting_on(seeded, channels=1) as minting:
        first, late = await minting.approved("first"), await minting.approved("late")
        await minting.ledger.fault("timeout_never_land")
        assert (await minting.submit(first)).status is MintStatus.SUBMITTING
        worker = minting.activities(line=10_000.0)
        others = [await minting.approved(f"waiting {number}") for number in range(MOST_WAITING)]
        line = [asyncio.create_task(minting.submit(other, worker)) for other in others]
        try:
            while worker._submitter._gate._waiting < MOST_WAITING:
                await asyncio.sleep(0.01)
            with pytest.raises(ApplicationError) as caught:
                await asyncio.wait_for(minting.submit(late, worker), timeout=20)
            assert caught.value.type == "no_channel_free"
        finally:
            for task in line:
                task.cancel()
            await asyncio.gather(*line, return_exceptions=True)
