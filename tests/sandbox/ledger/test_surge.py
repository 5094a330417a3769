"""Surge pricing: who gets in, what it costs, who has to go, and what the fee statistics tell of it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Account, Asset, Keypair, Payment, TransactionBuilder, xdr

from sandbox.ledger.envelopes import decode, network_id
from sandbox.ledger.surge import Crowd, price, select

XLM = Asset.native()


def pay(destination, amount="0.0000001"):
    """A native payment."""
    return Payment(destination.public_key, XLM, amount)


async def refusal(ledger, envelope):
    """Code and fee of a refusal."""
    status, body = await ledger.post("/transactions_async", data={"tx": envelope.to_xdr()})
    assert (status, body["tx_status"]) == (400, "ERROR"), body
    result = xdr.TransactionResult.from_xdr(body["error_result_xdr"])
    return result.result.code.name, result.fee_charged.int64


async def charged(ledger, number):
    """What the transactions of a ledger were charged."""
    _, body = await ledger.get(f"/ledgers/{number}/transactions", limit=200, include_failed="true")
    return [record["fee_charged"] for record in body["_embedded"]["records"]]


@pytest.fixture
async def small(drive):
    """A ledger that takes four operations, and seven funded accounts."""
    async with drive() as ledger:
        owners = [ledger.key(f"owner {number}") for number in range(12)]
        await ledger.fund(*owners)
        status, body = await ledger.post("/sandbox/capacity", params={"operations": "4"})
        assert (status, body) == (200, {"ledger_capacity": 4})
        yield ledger, owners


async def offered(ledger, owners, bids):
    """One payment of each owner at its bid, all waiting."""
    envelopes = [
        await ledger.build(owner, pay(ledger.root), fee=bid) for owner, bid in zip(owners, bids, strict=True)
    ]
    for envelope in envelopes:
        assert await ledger.offer(envelope) == "PENDING"
    return envelopes


async def landed(ledger, envelopes):
    """Which of them are in a ledger."""
    return [(await ledger.get(f"/transactions/{item.hash_hex()}"))[0] == 200 for item in envelopes]


async def test_the_best_paying_go_first_and_pay_the_lowest_price(small):
    """Everybody in a full ledger pays the lowest bid in it; the rest waits for the next, without surge."""
    ledger, owners = small
    envelopes = await offered(ledger, owners[:6], [100, 700, 500, 300, 900, 200])
    number = await ledger.close()
    assert await landed(ledger, envelopes) == [False, True, True, True, True, False]
    assert await charged(ledger, number) == ["300"] * 4
    number = await ledger.close()
    assert await charged(ledger, number) == ["100", "100"]
    assert (await ledger.get(f"/ledgers/{number}"))[1]["max_tx_set_size"] == 4


async def test_a_ledger_that_holds_all_has_no_surge(small):
    """Exactly full is not too full: nobody was left out, so nobody pays more."""
    ledger, owners = small
    await offered(ledger, owners[:4], [100, 700, 500, 300])
    assert await charged(ledger, await ledger.close()) == ["100"] * 4


async def test_rules_of_the_recordings_price_a_nearly_full_ledger(drive):
    """Formerly the price rose as soon as there was no room for one more transaction of 100 operations."""
    async with drive(queue_rule="many") as ledger:
        rich, poor = ledger.key("rich"), ledger.key("poor")
        await ledger.fund(rich, poor)
        start = await ledger.sequence(rich)
        for number in range(1, 11):
            operations = [pay(poor)] * 100
            envelope = await ledger.build(rich, *operations, sequence=start + number, fee=300)
            assert await ledger.offer(envelope) == "PENDING"
        cheap = await ledger.build(poor, pay(rich), fee=200)
        assert await ledger.offer(cheap) == "PENDING"
        number = await ledger.close()
        assert await charged(ledger, number) == ["30000"] * 10
        number = await ledger.close()
        assert (await ledger.get(f"/transactions/{cheap.hash_hex()}"))[1]["ledger"] == number


async def test_full_queue_refuses_the_cheap_and_makes_room_for_the_dear(small):
    """Eight operations may wait: who bids no more is told the price and banned, who bids more evicts one."""
    ledger, owners = small
    waiting = await offered(ledger, owners[:8], [200, 300, 400, 500, 600, 700, 800, 900])
    cheap = await ledger.build(owners[8], pay(ledger.root), fee=200)
    assert await refusal(ledger, cheap) == ("txINSUFFICIENT_FEE", 201)
    assert await ledger.offer(cheap) == "TRY_AGAIN_LATER"
    dear = await ledger.build(owners[8], pay(ledger.root), fee=201)
    assert await ledger.offer(dear) == "PENDING"
    assert await ledger.offer(waiting[0]) == "TRY_AGAIN_LATER"
    # What was driven out sets the price for the rest of this ledger.
    again = await ledger.build(owners[9], pay(ledger.root), fee=200)
    assert await refusal(ledger, again) == ("txINSUFFICIENT_FEE", 201)
    two = await ledger.build(owners[9], pay(ledger.root), pay(ledger.root), fee=250)
    assert await refusal(ledger, two) == ("txINSUFFICIENT_FEE", 601)
    await ledger.close()
    assert await landed(ledger, [waiting[-1], dear]) == [True, False]
    assert await ledger.offer(waiting[0]) == "TRY_AGAIN_LATER"
    assert await ledger.offer(await ledger.build(owners[9], pay(ledger.root))) == "PENDING"


async def test_a_fee_bump_replaces_in_a_full_queue(small):
    """A replacement needs only the room that it takes more than what it replaces."""
    ledger, owners = small
    waiting = await offered(ledger, owners[:8], [200, 300, 400, 500, 600, 700, 800, 900])
    assert await ledger.offer(ledger.bump(owners[8], waiting[3], 5000)) == "PENDING"
    # It counts as one operation more, so the cheapest had to go.
    assert await ledger.offer(waiting[0]) == "TRY_AGAIN_LATER"
    assert await ledger.offer(waiting[1]) == "DUPLICATE"


async def test_what_four_full_ledgers_left_behind_is_dropped_and_banned(small):
    """A crowd keeps a transaction out of every ledger until it is too old, and then for ten more."""
    ledger, owners = small
    await ledger.fault("crowd", operations=4, fee_per_operation=300)
    (cheap,) = await offered(ledger, owners[:1], [300])
    for _ in range(3):
        await ledger.close()
        assert await ledger.offer(cheap) == "DUPLICATE"
    await ledger.close()
    answers = []
    for _ in range(11):
        answers.append(await ledger.offer(cheap))
        await ledger.close()
    assert answers == ["TRY_AGAIN_LATER"] * 10 + ["PENDING"]
    assert await landed(ledger, [cheap]) == [False]


async def test_a_crowd_sets_the_price(small):
    """Outbidding the crowd by a stroop lands at the crowd's price; no account has anything to do with it."""
    ledger, owners = small
    before = [await ledger.account(owner) for owner in owners]
    await ledger.fault("crowd", operations=100, fee_per_operation=5000)
    number = await ledger.close()
    assert [await ledger.account(owner) for owner in owners] == before
    assert await charged(ledger, number) == []
    cheap = await ledger.build(owners[0], pay(ledger.root), fee=5000)
    assert await refusal(ledger, cheap) == ("txINSUFFICIENT_FEE", 5001)
    await offered(ledger, owners[1:2], [9000])
    assert await charged(ledger, await ledger.close()) == ["5000"]
    await ledger.fund(ledger.key("newcomer"))
    await ledger.clear_faults()
    await offered(ledger, owners[2:3], [9000])
    assert await charged(ledger, await ledger.close()) == ["100"]


async def test_fee_bump_gets_a_stuck_transaction_through(small):
    """The same inner transaction waits at its own bid, and lands at once when somebody bids enough for it."""
    ledger, owners = small
    await ledger.fault("crowd", operations=4, fee_per_operation=800)
    (stuck,) = await offered(ledger, owners[:1], [100])
    await ledger.close()
    bump = ledger.bump(owners[1], stuck, 1000)
    assert await ledger.offer(bump) == "PENDING"
    number = await ledger.close()
    assert await landed(ledger, [stuck]) == [True]
    assert await charged(ledger, number) == ["1600"]


async def test_fee_statistics_tell_the_truth(small):
    """Percentiles of what was paid and bid per operation in five ledgers, rounded down, failures included."""
    ledger, owners = small
    for _ in range(5):
        await ledger.close()
    _, idle = await ledger.get("/fee_stats")
    assert (idle["ledger_capacity_usage"], idle["last_ledger_base_fee"]) == ("0", "100")
    assert idle["fee_charged"]["p99"] == idle["max_fee"]["min"] == "100"
    await offered(ledger, owners[:6], [100, 700, 500, 300, 900, 200])
    await ledger.close()
    _, busy = await ledger.get("/fee_stats")
    assert busy["ledger_capacity_usage"] == "0.2"
    assert set(busy["fee_charged"].values()) == {"300"}
    bids = [busy["max_fee"][name] for name in ("min", "p10", "p50", "p70", "p80", "max", "mode")]
    assert bids == ["300", "300", "500", "700", "900", "900", "300"]
    await ledger.fault("crowd", operations=100, fee_per_operation=5000)
    for _ in range(5):
        await ledger.close()
    _, crowded = await ledger.get("/fee_stats")
    assert crowded["ledger_capacity_usage"] == "1"
    assert set(crowded["fee_charged"].values()) == {"5000"}


async def test_statistics_and_capacity_survive_a_restart(drive, tmp_path):
    """What ledgers held and cost is history; how much they hold from now on is an option of the start."""
    data = tmp_path / "ledger.sqlite"
    async with drive(data=data, ledger_capacity=4) as ledger:
        await ledger.fault("crowd", operations=3, fee_per_operation=700)
        number = await ledger.close()
        _, before = await ledger.get("/fee_stats")
    async with drive(data=data, ledger_capacity=9) as ledger:
        _, after = await ledger.get("/fee_stats")
        assert (await ledger.get(f"/ledgers/{number}"))[1]["max_tx_set_size"] == 4
        assert (await ledger.get("/sandbox/stats"))[1]["ledger_capacity"] == 9
    assert after == before


@pytest.mark.parametrize("operations", ["0", "-1", "x", "", "9999999999"])
async def test_a_capacity_must_make_sense(ledger, operations):
    """Anything but a whole number above 0 is refused, and the capacity stays."""
    status, _ = await ledger.post("/sandbox/capacity", params={"operations": operations})
    assert status == 400
    assert (await ledger.get("/sandbox/stats"))[1]["ledger_capacity"] == 1000


NETWORK = "Surge"
SOURCES = [Keypair.from_raw_ed25519_seed(hashlib.sha256(bytes([number])).digest()) for number in range(3)]


def submission(source, sequence, operations, fee):
    """A decoded transaction; nobody looks at its signatures here."""
    builder = TransactionBuilder(Account(source.public_key, sequence - 1), NETWORK, base_fee=fee)
    builder.add_time_bounds(0, 0)
    for _ in range(operations):
        builder.append_operation(pay(SOURCES[0]))
    return decode(builder.build().to_xdr(), network_id(NETWORK))


bids = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(100, 130)), max_size=8)


@given(bids, st.integers(1, 12), st.integers(0, 8), st.integers(100, 130), st.sampled_from(["one", "many"]))
def test_selection_is_fair(wanted, capacity, crowded, crowd_bid, rule):
    """Never more than fits, in order per source, nobody pays above his bid, and no queue is jumped."""
    numbers = [0, 0, 0]
    candidates = []
    for source, operations, fee in wanted:
        numbers[source] += 1
        candidates.append(submission(SOURCES[source], numbers[source], operations, fee))
    selection = select(candidates, capacity, Crowd(crowded, crowd_bid))
    everything = crowded + sum(item.operation_count for item in candidates) <= capacity
    assert selection.operations <= capacity or everything
    assert selection.left_out is not everything
    for source in SOURCES:
        taken = [item.sequence for item in selection.chosen if item.source == source.public_key]
        assert sorted(taken) == list(range(1, len(taken) + 1))
    cost = price(selection, capacity, rule)
    assert cost >= 100
    assert all(-(-item.fee // item.operation_count) >= cost for item in selection.chosen)
    if crowded and selection.crowd.operations < crowded:
        dear = [item for item in selection.chosen if item.fee <= crowd_bid * item.operation_count]
        assert not dear
