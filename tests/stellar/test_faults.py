"""Every fault of networks and gateways ends in exactly one payment, or in a proved time-out."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from domain.mint_request import MintStatus
from domain.submission import Outcome
from tests.support.minting import minting_on, tried

LANDING = [
    ("drop_after_accept", {}),
    ("timeout_then_land", {}),
    ("timeout_then_land", {"after_ledgers": 6}),
    ("timeout_never_land", {"count": 3}),
    ("try_again_later", {"count": 5}),
    ("ingestion_lag", {"ledgers": 4}),
    ("two_views", {"ledgers": 2}),
    ("rate_limit", {"count": 4}),
    ("rate_limit", {"count": 2, "path": "/transactions_async"}),
    ("reset", {"count": 7}),
    ("reset", {"count": 2, "path": "/transactions_async"}),
    ("unavailable", {"count": 5}),
]


def fault_ids(faults) -> list[str]:
    """Readable names of parametrised faults."""
    return [
        "-".join([kind, *(f"{name}={value}" for name, value in values.items())]) for kind, values in faults
    ]


async def assert_one_payment(minting, request):
    """The ledger shows exactly one payment of the amount, and it is the stored transaction's."""
    [payment] = await minting.ledger.payments()
    assert await minting.ledger.balance() == request.amount
    hashes = (await minting.record(request)).submission.hashes()
    assert payment["transaction_hash"] in hashes


@pytest.mark.parametrize(("kind", "values"), LANDING, ids=fault_ids(LANDING))
async def test_a_fault_that_passes_ends_in_one_payment(minting, kind, values):
    """Whatever was answered, the same envelope is looked for, sent again, and lands once."""
    request = await minting.approved()
    await minting.ledger.close(3)
    await minting.ledger.fault(kind, **values)
    result = await minting.mint(request)
    await minting.ledger.clear_faults()
    assert result.outcome is Outcome.CONFIRMED
    await assert_one_payment(minting, request)


LOST = [
    ("timeout_never_land", {"count": 1000}),
    ("try_again_later", {"count": 1000}),
    ("reset", {"count": 1000, "path": "/transactions_async"}),
    ("rate_limit", {"count": 1000, "path": "/transactions_async"}),
    ("surge_fee", {"fee_per_operation": 60_000}),
]


@pytest.mark.parametrize(("kind", "values"), LOST, ids=fault_ids(LOST))
async def test_an_envelope_that_never_landed_is_proved(minting, kind, values):
    """TIMEOUT_FAILED only with the proof in three steps, in their order; the channel is free again."""
    request = await minting.approved()
    await minting.ledger.fault(kind, **values)
    result = await minting.mint(request, minting.hurried())
    await minting.ledger.clear_faults()
    await minting.ledger.close(3)
    record = await minting.record(request)
    proof = result.proof
    assert (result.outcome, record.status) == (Outcome.TIMEOUT_FAILED, MintStatus.TIMEOUT_FAILED)
    assert proof.kind == "never_landed"
    assert proof.ledger_closed_at.timestamp() > proof.max_time == record.submission.max_time
    assert proof.absent_hashes == tuple(record.submission.hashes())
    assert proof.account_ledger >= proof.ledger
    assert proof.account_sequence < proof.transaction_sequence == record.submission.sequence
    assert await minting.ledger.payments() == []
    assert set((await minting.channel_states()).values()) == {"FREE"}


async def test_a_proved_envelope_is_dead(minting):
    """Sent again after its proof, in a ledger that would take it otherwise, it still does not land."""
    request = await minting.approved()
    await minting.ledger.fault("timeout_never_land", count=1000)
    await minting.mint(request, minting.hurried())
    await minting.ledger.clear_faults()
    stored = (await minting.record(request)).submission
    await minting.ledger.close(12)
    answer = await minting.horizon.send(stored.envelope_xdr)
    await minting.ledger.close()
    assert answer.word == "tx_too_late"
    assert await minting.ledger.payments() == []


async def test_a_sequence_that_was_never_used_serves_the_next_request(minting):
    """After a proved time-out the same number belongs to another request, which lands."""
    first = await minting.approved("first")
    await minting.ledger.fault("timeout_never_land", count=1000)
    await minting.mint(first, minting.hurried())
    await minting.ledger.clear_faults()
    second = await minting.approved("second")
    result = await minting.mint(second)
    before, after = (await minting.record(first)).submission, (await minting.record(second)).submission
    assert result.outcome is Outcome.CONFIRMED
    assert (after.channel, after.sequence) == (before.channel, before.sequence)
    assert len(await minting.ledger.payments()) == 1


async def test_bad_sequence_of_a_landed_transaction_is_no_failure(minting):
    """It landed while history still lagged: the answer tx_bad_seq only means look."""
    request = await minting.approved()
    await minting.ledger.fault("ingestion_lag", ledgers=5)
    await minting.submit(request)
    await minting.ledger.close()
    await minting.submit(request)
    result = await minting.mint(request)
    assert await minting.answers(request) == ["tx_bad_seq", "tx_bad_seq"]
    await minting.ledger.clear_faults()
    assert result.outcome is Outcome.CONFIRMED
    await assert_one_payment(minting, request)


async def test_too_low_a_fee_bumps_the_same_inner_transaction(minting):
    """The bump is stored before it is sent, wraps the same inner transaction, and lands once."""
    request = await minting.approved()
    await minting.ledger.fault("surge_fee", fee_per_operation=5_000)
    result = await minting.mint(request)
    submission = (await minting.record(request)).submission
    assert result.outcome is Outcome.CONFIRMED
    assert [bump.fee for bump in submission.fee_bumps] == [10_000]
    assert result.proof.landed.found_hash == submission.fee_bumps[0].hash
    assert await minting.answers(request) == ["tx_insufficient_fee"]
    await minting.ledger.clear_faults()
    assert len(await minting.ledger.payments()) == 1


async def test_a_bump_that_is_outbid_is_bumped_again(minting):
    """The surge may rise while we wait: each bump is dearer than the last, all of the same inner."""
    request = await minting.approved()
    await minting.ledger.fault("surge_fee", fee_per_operation=2_000)
    await minting.ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await minting.ledger.close()
    await minting.ledger.clear_faults()
    await minting.ledger.fault("surge_fee", fee_per_operation=20_000)
    result = await minting.mint(request)
    submission = (await minting.record(request)).submission
    fees = [bump.fee for bump in submission.fee_bumps]
    assert result.outcome is Outcome.CONFIRMED
    assert fees == sorted(set(fees))
    assert fees[-1] == 40_000
    assert len(await minting.ledger.payments()) == 1


async def test_a_surge_above_the_cap_is_never_paid(minting):
    """No bump above the configured fee is ever signed: the request ends in a proved time-out."""
    request = await minting.approved()
    await minting.ledger.fault("surge_fee", fee_per_operation=50_001)
    result = await minting.mint(request, minting.hurried())
    record = await minting.record(request)
    assert result.outcome is Outcome.TIMEOUT_FAILED
    assert record.submission.fee_bumps == ()


async def test_a_surge_that_ends_in_time_needs_no_bump(minting):
    """Above the cap the same envelope is offered again each ledger, and lands when the price falls."""
    request = await minting.approved()
    await minting.ledger.fault("surge_fee", fee_per_operation=60_000)
    await minting.submit(request)
    await minting.ledger.close(3)
    await minting.ledger.clear_faults()
    result = await minting.mint(request)
    assert result.outcome is Outcome.CONFIRMED
    await assert_one_payment(minting, request)


async def test_while_no_ledger_closes_nothing_is_decided(minting, ledger):
    """Only ledger time ends a wait: with the network halted the request stays SUBMITTING."""
    request = await minting.approved()
    await minting.submit(request)
    worker = minting.activities()
    settling = asyncio.create_task(tried(lambda: minting.settle(request, worker)))
    done, _ = await asyncio.wait([settling], timeout=0.5)
    assert not done
    assert (await minting.record(request)).status is MintStatus.SUBMITTING
    async with ledger.closing():
        assert (await settling).outcome is Outcome.CONFIRMED


async def test_ledgers_that_stop_and_go_on(seeded):
    """A network that stops closing ledgers with the envelope queued lands it when it goes on."""
    async with minting_on(seeded, channels=1, interval=0.1) as minting:
        request = await minting.approved()
        await minting.ledger.fault("stop_closing")
        await minting.submit(request)
        settling = asyncio.create_task(minting.settle(request))
        done, _ = await asyncio.wait([settling], timeout=0.5)
        assert not done
        await minting.ledger.clear_faults()
        assert (await settling).outcome is Outcome.CONFIRMED
        assert len(await minting.ledger.payments()) == 1


async def test_a_network_that_halts_and_goes_on_past_the_bound(minting, ledger):
    """An envelope that was queued when the network halted is proved dead by the first late ledger."""
    request = await minting.approved()
    await ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    await ledger.close(seconds=3601)
    result = await minting.settle(request)
    assert result.outcome is Outcome.TIMEOUT_FAILED
    assert await ledger.payments() == []


async def test_an_empty_fee_payer_waits_for_money(minting, ledger):
    """tx_insufficient_balance refuses nothing for good: funded in time, the same envelope lands."""
    request = await minting.approved()
    for channel in ledger.channels:
        await ledger.drain(channel)
    await minting.submit(request)
    assert (await minting.answers(request))[-1] == "tx_insufficient_balance"
    for channel in ledger.channels:
        await ledger.pay(ledger.holder, channel)
    result = await minting.mint(request)
    assert result.outcome is Outcome.CONFIRMED
    await assert_one_payment(minting, request)


@asynccontextmanager
async def others_asking(horizon):
    """Other clients ask too, so that no question of ours meets the same one of two nodes for ever."""

    async def ask():
        while True:
            await horizon.network_passphrase()
            await asyncio.sleep(0.001)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_the_views_of_two_nodes_may_differ(minting):
    """Each step of the proof carries its own ledger, so one node behind the other proves nothing early."""
    request = await minting.approved()
    await minting.ledger.close(5)
    await minting.ledger.fault("timeout_never_land", count=1000)
    await minting.ledger.fault("two_views", ledgers=4)
    async with others_asking(minting.horizon):
        result = await minting.mint(request, minting.hurried())
    assert result.outcome is Outcome.TIMEOUT_FAILED
    assert result.proof.account_ledger >= result.proof.ledger
