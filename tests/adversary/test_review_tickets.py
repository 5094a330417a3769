"""A ticket whose sequence is used up in a way that no history tells: its request must end all the same."""

import pytest
from stellar_sdk import BumpSequence
from temporalio.exceptions import ApplicationError

from activities.stellar import ticket_office
from domain.mint_request import MintStatus
from domain.tickets import TicketOutcome
from tests.support.anomalies import send
from tests.support.minting import minting_on

ATTEMPTS = 120
"""Each sees some ledgers; far more than the 64 of a fallback close meanwhile."""


async def test_a_ticket_ends_although_each_attempt_sees_few_ledgers(seeded, monkeypatch):
    """An attempt lasts a minute, a dozen real ledgers: what one has seen must count for the next."""
    monkeypatch.setattr(ticket_office, "PATIENCE_SECONDS", 0.3)
    async with minting_on(seeded, channels=1) as minting:
        await minting.allow(one_shot_ticket=True)
        request, ledger = await minting.approved(), minting.ledger
        worker = minting.hurried()
        await ledger.fault("timeout_never_land", count=10_000)
        with pytest.raises(ApplicationError):
            await minting.submit(request, worker)
        await ledger.clear_faults()
        [channel] = ledger.channels
        stored = (await minting.record(request)).ticket
        jump = BumpSequence(stored.sequence + 5, source=channel.public_key)
        await send(ledger, ledger.holder, channel, operations=[jump])
        await ledger.fault("timeout_never_land", count=10_000)
        async with ledger.closing(every=0.05):
            for _ in range(ATTEMPTS):
                try:
                    answer = await minting.submit(request, worker)
                except ApplicationError:
                    continue
                break
            else:
                pytest.fail("the request never ends")
        assert answer.status is MintStatus.FAILED
        assert (await minting.record(request)).ticket.outcome is TicketOutcome.LOST
        assert await minting.channel_states() == {channel.public_key: "FROZEN"}
