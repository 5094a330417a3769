"""A Horizon of another network knows nothing of the mint: its silence is no proof."""

import asyncio
import contextlib

import httpx
import pytest
from temporalio.exceptions import ApplicationError

from activities.stellar.horizon import Horizon
from domain.mint_request import MintStatus
from sandbox.ledger.server import SandboxOptions, running_sandbox
from settings import PUBLIC_PASSPHRASE
from tests.support.minting import minting_on


@contextlib.asynccontextmanager
async def other_network(channel: str, now: int):
    """A Horizon of the public network at a time long after, on which the channel account exists as well."""
    options = SandboxOptions(network_passphrase=PUBLIC_PASSPHRASE, manual_close=True, interval=0)
    async with running_sandbox(options) as url, httpx.AsyncClient(base_url=url) as control:
        await control.post("/sandbox/close", params={"at": now - 5000})
        await control.get("/friendbot", params={"addr": channel})
        for at in range(now, now + 500, 5):
            (await control.post("/sandbox/close", params={"at": at})).raise_for_status()
        horizon = Horizon(url)
        try:
            yield horizon
        finally:
            await horizon.close()


@pytest.mark.parametrize("ticket", [False, True])
async def test_another_networks_silence_ends_nothing(seeded, ticket):
    """MINTKEEPER_HORIZON_URL pointing elsewhere after the envelope was sent: nothing is concluded from it."""
    async with minting_on(seeded, channels=1) as minting:
        await minting.allow(one_shot_ticket=ticket)
        request = await minting.approved()
        if ticket:
            await minting.ledger.fault("timeout_then_land", after_ledgers=3)
            submitting = asyncio.create_task(minting.submit(request, minting.hurried()))
            async with asyncio.timeout(30):
                while (await minting.record(request)).ticket is None:
                    await asyncio.sleep(0.05)
            # it asks on and on how the envelope does
            await asyncio.wait({submitting}, timeout=2)
            submitting.cancel()
            await asyncio.wait({submitting})
        else:
            assert (await minting.submit(request, minting.hurried())).status is MintStatus.SUBMITTING
        channel = minting.ledger.channels[0].public_key
        async with other_network(channel, minting.ledger.now + 3600) as elsewhere:
            lost = minting.activities(horizon=elsewhere)
            step = minting.submit if ticket else minting.settle
            with pytest.raises(ApplicationError, match="serves the network"):
                await step(request, lost)
        record = await minting.record(request)
        assert record.status in (MintStatus.APPROVED, MintStatus.SUBMITTING)
        assert (await minting.mint(request)).outcome.value == "CONFIRMED"
        assert len(await minting.ledger.payments()) == 1
