"""The queue: who may wait, who is turned away, and for how long."""

from __future__ import annotations

import pytest
from stellar_sdk import Asset, Payment

XLM = Asset.native()


def pay(destination, amount="1"):
    """A native payment."""
    return Payment(destination.public_key, XLM, amount)


@pytest.fixture
async def pair(ledger):
    """A ledger that takes one transaction per source, with two funded accounts."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    return ledger, alice, bob


async def test_one_transaction_per_source(pair):
    """While one waits, the next sequence number and another with the same are told to come back."""
    ledger, alice, bob = pair
    number = await ledger.sequence(alice) + 1
    first = await ledger.build(alice, pay(bob))
    assert await ledger.offer(first) == "PENDING"
    assert await ledger.offer(first) == "DUPLICATE"
    assert await ledger.offer(await ledger.build(alice, pay(bob), sequence=number + 1)) == "TRY_AGAIN_LATER"
    assert await ledger.offer(await ledger.build(alice, pay(bob, "2"), sequence=number)) == "TRY_AGAIN_LATER"
    assert await ledger.offer(await ledger.build(alice, pay(bob), sequence=number - 1)) == "ERROR"
    await ledger.close()
    assert await ledger.offer(await ledger.build(alice, pay(bob), sequence=number + 1)) == "PENDING"


async def test_turned_away_is_not_banned(pair):
    """A transaction told to come back is taken as soon as its place is free."""
    ledger, alice, bob = pair
    number = await ledger.sequence(alice) + 1
    await ledger.offer(await ledger.build(alice, pay(bob)))
    second = await ledger.build(alice, pay(bob), sequence=number + 1)
    assert await ledger.offer(second) == "TRY_AGAIN_LATER"
    await ledger.close()
    assert await ledger.offer(second) == "PENDING"


async def test_fee_bump_replaces_at_ten_times_the_rate(pair):
    """Below ten times the fee per operation a bump is refused with the fee needed; at it, it replaces."""
    ledger, alice, bob = pair
    inner = await ledger.build(alice, pay(bob))
    await ledger.offer(inner)
    low = ledger.bump(bob, inner, fee=999)
    status, body = await ledger.post("/transactions_async", data={"tx": low.to_xdr()})
    assert (status, body["error_result_xdr"]) == (400, "AAAAAAAAB9D////3AAAAAA==")
    assert await ledger.offer(ledger.bump(bob, inner, fee=1000)) == "PENDING"
    assert await ledger.offer(inner) == "DUPLICATE"
    await ledger.close()
    record = (await ledger.get(f"/transactions/{inner.hash_hex()}"))[1]
    assert record["fee_account"] == bob.public_key
    assert record["inner_transaction"]["max_fee"] == "100"


async def test_expired_envelope_is_banned_for_ten_ledgers(pair):
    """An envelope that expired in the queue is told to come back; nine ledgers later, that it is late."""
    ledger, alice, bob = pair
    late = await ledger.build(alice, pay(bob), max_time=ledger.time + 10)
    assert await ledger.offer(late) == "PENDING"
    await ledger.close(11)
    answers = []
    for _ in range(10):
        answers.append(await ledger.offer(late))
        await ledger.close()
    assert answers == ["TRY_AGAIN_LATER"] * 9 + ["ERROR"]
    assert await ledger.codes(late) == ["tx_too_late"]


async def test_those_behind_an_expired_one_are_banned_too(drive):
    """With several waiting, the ones behind an expired one have lost their place and are banned with it."""
    async with drive(queue_rule="many") as ledger:
        alice, bob = ledger.key("alice"), ledger.key("bob")
        await ledger.fund(alice, bob)
        number = await ledger.sequence(alice) + 1
        expiring = await ledger.build(alice, pay(bob), max_time=ledger.time + 10)
        behind = await ledger.build(alice, pay(bob), sequence=number + 1)
        assert [await ledger.offer(envelope) for envelope in (expiring, behind)] == ["PENDING"] * 2
        await ledger.close(11)
        assert await ledger.offer(behind) == "TRY_AGAIN_LATER"
        assert await ledger.sequence(alice) == number - 1


@pytest.mark.parametrize(("left", "status"), [(9, "ERROR"), (10, "PENDING"), (11, "PENDING")])
async def test_ten_seconds_must_be_left(pair, left, status):
    """With ledgers closed by hand a transaction needs ten seconds of its time still before it."""
    ledger, alice, bob = pair
    envelope = await ledger.build(alice, pay(bob), max_time=ledger.time + left)
    assert await ledger.offer(envelope) == status


async def test_friendbot_is_not_held_up_by_the_one_per_source_rule(ledger):
    """Several accounts can be funded in one ledger although the root account pays for all of them."""
    owners = [ledger.key(f"friend {number}") for number in range(5)]
    await ledger.fund(*owners)
    balances = [(await ledger.account(owner))["balances"][0]["balance"] for owner in owners]
    assert balances == ["10000.0000000"] * 5
