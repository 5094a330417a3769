"""One watcher for all who wait: what it costs, what it may miss, and what nobody concludes from it."""

import asyncio

import pytest

from activities.stellar.horizon import Horizon
from activities.stellar.ledger_watch import LedgerWatch
from domain.mint_request import MintStatus
from domain.submission import Outcome
from tests.support.minting import minting_on, tried

IN_FLIGHT = 100
MOST_PER_MINT = 4
"""Requests to Horizon that a confirmed mint may cost: a public one allows 3,600 an hour."""


async def test_a_hundred_in_flight_cost_four_requests_each(seeded):
    """Pre-check, sending and a share of a page: confirming costs no question per request and ledger."""
    async with minting_on(seeded, channels=IN_FLIGHT // 2) as minting:
        requests = [await minting.approved(f"mint-{number}") for number in range(IN_FLIGHT)]
        worker = minting.activities(first_looks=600.0, line=600.0)
        await minting.ledger.forget_requests()
        async with minting.ledger.closing(every=2.0):
            answers = await asyncio.gather(*(minting.submit(request, worker) for request in requests))
        assert {answer.status for answer in answers} == {MintStatus.CONFIRMED}
        assert sum((await minting.ledger.requests_served()).values()) <= MOST_PER_MINT * IN_FLIGHT
        assert len(await minting.ledger.payments()) == IN_FLIGHT


async def test_one_channel_serves_everybody_in_turn(seeded):
    """With a single channel account requests queue, and each lands in a ledger of its own."""
    async with minting_on(seeded, channels=1) as minting:
        requests = [await minting.approved(f"mint-{number}") for number in range(12)]
        worker = minting.activities(first_looks=600.0, line=600.0)
        async with minting.ledger.closing():
            answers = await asyncio.gather(*(minting.submit(request, worker) for request in requests))
        ledgers = [answer.result.ledger for answer in answers]
        assert len(set(ledgers)) == len(requests)
        assert len(await minting.ledger.payments()) == len(requests)


@pytest.mark.parametrize("path", ["/ledgers", "/accounts", "/transactions/"])
async def test_a_watcher_that_sees_nothing_is_done_without(minting, ledger, path):
    """Without the stream, the pages or the look-ups a request is confirmed all the same."""
    request = await minting.approved()
    worker = minting.activities(first_looks=1.0)
    await tried(lambda: minting.submit(request, worker))
    await ledger.fault("unavailable", count=30, path=path)
    async with ledger.closing():
        result = await tried(lambda: minting.settle(request, worker))
    await ledger.clear_faults()
    assert result.outcome is Outcome.CONFIRMED


async def test_what_landed_before_the_watcher_came_is_found(minting, ledger):
    """A worker that starts late looks once for itself: its pages begin where it began."""
    request = await minting.approved()
    await minting.submit(request)
    await ledger.close(3)
    async with ledger.closing():
        assert (await minting.settle(request)).outcome is Outcome.CONFIRMED


async def test_the_watcher_finds_bumps_and_failures(minting, ledger):
    """A page lists what failed, too, and a fee bump under the hash of what it wraps."""
    horizon = Horizon(ledger.url)
    watch = LedgerWatch(horizon, ledger.issuer.public_key)
    await ledger.fault("surge_fee", fee_per_operation=5_000)
    async with watch.following():
        await watch.newest(0)
        request = await minting.approved()
        await minting.submit(request)
        submission = (await minting.record(request)).submission
        while watch.found(submission) is None:
            await ledger.close()
            await watch.wait(submission, seen=0, until=10**9, seconds=0.2)
            await watch.newest(0)
    landed = watch.found(submission)
    await horizon.close()
    assert landed.found_hash == submission.fee_bumps[0].hash
    assert landed.successful


async def test_a_stream_that_ends_is_opened_again(minting, ledger):
    """Horizon closes a stream every minute; nobody who waits notices more than a ledger of delay."""
    watch = LedgerWatch(minting.horizon, ledger.issuer.public_key)
    async with watch.following(), ledger.closing():
        while not watch.live:
            await asyncio.sleep(0.02)
        before = (await watch.newest(0)).sequence
        await ledger.fault("reset", count=3)
        while (await watch.newest(0)).sequence <= before + 50:
            await asyncio.sleep(0.02)
        assert watch.live
