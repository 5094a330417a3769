"""When ledgers close, by hand and by themselves, and what time they carry."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import pytest
from stellar_sdk import Asset, CreateAccount, Keypair, Payment

XLM = Asset.native()


async def seen_ledgers(ledger, number):
    """The close times of the first ``number`` ledgers after genesis, once they are there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        _, body = await ledger.get("/ledgers", limit=str(number + 1))
        records = body["_embedded"]["records"]
        if len(records) > number:
            return records[1:]
        await asyncio.sleep(0.02)
    raise AssertionError("ledgers do not close")


async def newest_close(ledger):
    """Unix time of the newest ledger."""
    _, body = await ledger.get("/")
    return int(datetime.fromisoformat(body["history_latest_ledger_closed_at"]).timestamp())


async def test_starts_at_genesis(drive):
    """Closed by hand, a fresh ledger is number 1 at time 0 with everything in the root account."""
    async with drive() as ledger:
        _, genesis = await ledger.get("/ledgers/1")
        assert (genesis["closed_at"], genesis["total_coins"]) == (
            "1970-01-01T00:00:00Z",
            "100000000000.0000000",
        )
        assert (await ledger.account(ledger.root))["balances"][0]["balance"] == "100000000000.0000000"
        assert await ledger.sequence(ledger.root) == 0


@pytest.mark.parametrize("at", ["{time}", "{earlier}", "soon", "-5"])
async def test_times_must_increase(ledger, at):
    """Closing at the last close time, before it, or at no time at all is a 400 and closes nothing."""
    at = at.format(time=ledger.time, earlier=ledger.time - 1)
    status, body = await ledger.post("/sandbox/close", params={"at": at})
    assert (status, body["extras"]["invalid_field"]) == (400, "at")
    assert (await ledger.get("/"))[1]["core_latest_ledger"] == 2


async def test_close_without_a_time_moves_one_second(ledger):
    """Without a time the next ledger closes one second after the last."""
    status, body = await ledger.post("/sandbox/close")
    assert (status, body) == (200, {"ledger": 3, "closed_at": ledger.time + 1})


async def test_hashes_chain_the_ledgers(ledger):
    """Every ledger names the hash of the one before it, and its hash covers its own header."""
    await ledger.fund(ledger.key("alice"))
    _, body = await ledger.get("/ledgers")
    records = body["_embedded"]["records"]
    assert [record["prev_hash"] for record in records[1:]] == [record["hash"] for record in records[:-1]]
    assert len({record["hash"] for record in records}) == len(records)


async def test_ledgers_close_on_the_interval(drive):
    """Empty ledgers close too, each later than the one before, and not faster than the clock."""
    async with drive(manual_close=False, interval=0.05) as ledger:
        records = await seen_ledgers(ledger, 5)
    times = [record["closed_at"] for record in records]
    assert times == sorted(set(times))
    assert [record["sequence"] for record in records] == list(range(2, 7))


async def test_closes_at_once_when_something_waits(drive):
    """With interval 0 a submission does not wait for the clock, and what comes together goes together."""
    async with drive(manual_close=False, interval=0) as ledger:
        owners = [Keypair.random() for _ in range(5)]
        answers = await asyncio.gather(*(ledger.get("/friendbot", addr=owner.public_key) for owner in owners))
        assert {status for status, _ in answers} == {200}
        assert len({body["ledger"] for _, body in answers}) < 5


async def test_time_passes_without_traffic(drive):
    """With interval 0 an idle ledger still closes every second, so that transactions can expire."""
    async with drive(manual_close=False, interval=0) as ledger:
        records = await seen_ledgers(ledger, 3)
    assert all(record["operation_count"] == 0 for record in records)


async def test_short_windows_are_possible_with_short_intervals(drive):
    """Closed at once, a transaction is taken that has nine seconds to live; closed by hand it needs ten."""
    async with drive(manual_close=False, interval=0) as ledger:
        operation = CreateAccount(ledger.key("alice").public_key, "5")
        envelope = await ledger.build(
            ledger.root, operation, sequence=1, max_time=await newest_close(ledger) + 9
        )
        assert await ledger.offer(envelope) == "PENDING"
    async with drive() as ledger:
        operation = CreateAccount(ledger.key("alice").public_key, "5")
        envelope = await ledger.build(ledger.root, operation, sequence=1, max_time=ledger.time + 9)
        assert await ledger.codes(envelope) == ["tx_too_late"]


async def test_synchronous_submission_waits_for_its_ledger(ledger):
    """A synchronous submission is answered when its ledger has closed, not before."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "1"))
    waiting = asyncio.create_task(ledger.post("/transactions", data={"tx": envelope.to_xdr()}))
    while (await ledger.get("/sandbox/stats"))[1]["waiting"] == 0:
        await asyncio.sleep(0.01)
    assert not waiting.done()
    number = await ledger.close()
    status, body = await waiting
    assert (status, body["ledger"]) == (200, number)


async def test_synchronous_submission_gives_up_in_time(ledger, monkeypatch):
    """Without a ledger a synchronous submission ends in a 504 with the hash; the transaction still waits."""
    monkeypatch.setattr("sandbox.ledger.http.submit.SUBMISSION_TIMEOUT_SECONDS", 0.05)
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "1"))
    status, body = await ledger.post("/transactions", data={"tx": envelope.to_xdr()})
    assert (status, body["extras"]["hash"]) == (504, envelope.hash_hex())
    await ledger.close()
    assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[0] == 200


async def test_late_history_turns_a_bad_sequence_into_the_answer(ledger):
    """While history lags, a second submission waits for it instead of being told tx_bad_seq."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "1"))
    await ledger.offer(envelope)
    await ledger.fault("ingestion_lag", ledgers=1)
    number = await ledger.close()
    waiting = asyncio.create_task(ledger.post("/transactions", data={"tx": envelope.to_xdr()}))
    while (await ledger.get("/sandbox/stats"))[1]["requests"].get("POST /transactions") is None:
        await asyncio.sleep(0.01)
    await ledger.close()
    status, body = await waiting
    assert (status, body["ledger"]) == (200, number)
