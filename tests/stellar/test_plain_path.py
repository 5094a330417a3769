"""The plain path: one payment, confirmed with its proof, and as few calls as it takes."""

import asyncio

from domain.mint_request import MintStatus
from domain.submission import Outcome
from tests.support.minting import minting_on


async def test_an_approved_request_is_minted_once(minting, ledger):
    """CONFIRMED with ledger and proof; the holder has the amount; the channel is free again."""
    request = await minting.approved()
    result = await minting.mint(request)
    record = await minting.record(request)
    assert (result.outcome, record.status) == (Outcome.CONFIRMED, MintStatus.CONFIRMED)
    assert record.result == result
    assert result.proof.landed.found_hash == record.submission.hash
    assert len(await ledger.payments()) == 1
    assert await ledger.balance() == request.amount
    assert set((await minting.channel_states()).values()) == {"FREE"}


async def test_the_issuer_alone_is_channel_enough(seeded):
    """Without channel accounts the issuer's own sequence is reserved, and it signs once."""
    async with minting_on(seeded) as alone:
        request = await alone.approved()
        result = await alone.mint(request)
        assert result.outcome is Outcome.CONFIRMED
        assert (await alone.record(request)).submission.channel == alone.ledger.issuer.public_key
        assert len(await alone.ledger.payments()) == 1


async def test_one_channel_serves_requests_one_after_the_other(seeded):
    """A channel account belongs to one request until that one is terminal; the others wait."""
    async with minting_on(seeded, channels=1) as minting:
        worker = minting.activities()
        requests = [await minting.approved(f"request-{number}") for number in range(4)]
        results = await asyncio.gather(*(minting.mint(request, worker) for request in requests))
        assert {result.outcome for result in results} == {Outcome.CONFIRMED}
        assert len({result.ledger for result in results}) == 4
        assert len(await minting.ledger.payments()) == 4


async def test_several_channels_share_a_ledger(minting, ledger):
    """With two channel accounts two mints can stand in one ledger."""
    worker = minting.activities()
    requests = [await minting.approved(f"request-{number}") for number in range(6)]
    async with ledger.closing(every=0.3):
        results = await asyncio.gather(*(minting.mint(request, worker) for request in requests))
    assert {result.outcome for result in results} == {Outcome.CONFIRMED}
    assert len(await ledger.payments()) == 6
    used = {(await minting.record(request)).submission.channel for request in requests}
    assert used == {channel.public_key for channel in ledger.channels}


async def test_a_plain_mint_asks_horizon_four_times(minting, ledger):
    """Destination, channel account, one POST, one look; issuer and newest ledger are remembered."""
    worker = minting.activities()
    await minting.mint(await minting.approved("warm"), worker)
    request = await minting.approved("counted")
    await ledger.forget_requests()
    await minting.submit(request, worker)
    served = await ledger.requests_served()
    await ledger.close()
    await minting.settle(request, worker)
    total = await ledger.requests_served()
    assert served["GET /accounts/{account_id}"] == 2
    assert total["POST /transactions_async"] == 1
    assert total["GET /transactions/{hash}"] == 1


async def test_a_repeated_activity_changes_nothing(minting, ledger):
    """After the end both activities answer what is stored, and nothing is sent again."""
    request = await minting.approved()
    result = await minting.mint(request)
    sent = await minting.answers(request)
    answer = await minting.submit(request)
    again = await minting.settle(request)
    assert (answer.status, again) == (MintStatus.CONFIRMED, result)
    assert await minting.answers(request) == sent
    assert len(await ledger.payments()) == 1


async def test_submitting_twice_keeps_the_first_envelope(minting):
    """Whatever is sent is what was stored first: hash, sequence and bound stay."""
    request = await minting.approved()
    first = await minting.submit(request)
    second = await minting.submit(request)
    assert first == second
    assert await minting.answers(request) == ["DUPLICATE"]


async def test_ledgers_that_close_at_once(seeded):
    """Nothing depends on the pace: a ledger a transaction works like one every five seconds."""
    async with minting_on(seeded, channels=1, interval=0) as minting:
        request = await minting.approved()
        await minting.submit(request)
        result = await minting.settle(request)
        assert result.outcome is Outcome.CONFIRMED
