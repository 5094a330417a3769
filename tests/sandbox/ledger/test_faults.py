"""Every fault that can be switched on does what its name says, and nothing else."""

from __future__ import annotations

import aiohttp
import pytest
from stellar_sdk import Asset, CreateAccount, Payment

from sandbox.ledger.outages import OUTAGES

XLM = Asset.native()


@pytest.fixture
async def pair(ledger):
    """A ledger with two funded accounts."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    return ledger, alice, bob


def pay(destination, amount="1"):
    """A native payment."""
    return Payment(destination.public_key, XLM, amount)


async def test_drop_after_accept(pair):
    """The connection breaks without an answer, and the transaction lands all the same."""
    ledger, alice, bob = pair
    await ledger.fault("drop_after_accept")
    envelope = await ledger.build(alice, pay(bob))
    with pytest.raises(aiohttp.ClientError):
        await ledger.offer(envelope)
    assert await ledger.offer(envelope) == "DUPLICATE"
    await ledger.close()
    assert await ledger.codes(envelope) == ["tx_success"]


async def test_drop_after_accept_spares_refusals(pair):
    """A refused transaction is answered: only an accepted one uses the fault up."""
    ledger, alice, bob = pair
    await ledger.fault("drop_after_accept")
    assert await ledger.offer(await ledger.build(alice, pay(bob), sequence=1)) == "ERROR"
    assert len((await ledger.get("/sandbox/faults"))[1]["faults"]) == 1


@pytest.mark.parametrize("path", ["/transactions", "/transactions_async"])
@pytest.mark.parametrize("ledgers", [1, 3, 6])
async def test_timeout_then_land(pair, path, ledgers):
    """504, and the transaction is in exactly the ledger that was asked for, however long it had to wait."""
    ledger, alice, bob = pair
    await ledger.fault("timeout_then_land", after_ledgers=ledgers)
    envelope = await ledger.build(alice, pay(bob))
    status, body = await ledger.post(path, data={"tx": envelope.to_xdr()})
    assert (status, body["type"].rpartition("/")[2]) == (504, "transaction_submission_timeout")
    assert body["extras"]["hash"] == envelope.hash_hex()
    for _ in range(ledgers - 1):
        await ledger.close()
        assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[0] == 404
        assert await ledger.offer(envelope) == "DUPLICATE"
    number = await ledger.close()
    assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[1]["ledger"] == number


async def test_timeout_then_land_still_expires(pair):
    """A transaction held back beyond its max_time never lands."""
    ledger, alice, bob = pair
    await ledger.fault("timeout_then_land", after_ledgers=3)
    envelope = await ledger.build(alice, pay(bob), max_time=ledger.time + 11)
    await ledger.post("/transactions_async", data={"tx": envelope.to_xdr()})
    for _ in range(4):
        await ledger.close()
    assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[0] == 404


async def test_timeout_never_land(pair):
    """504, and no ledger ever sees it; the sequence number stays free."""
    ledger, alice, bob = pair
    await ledger.fault("timeout_never_land")
    envelope = await ledger.build(alice, pay(bob))
    status, _ = await ledger.post("/transactions_async", data={"tx": envelope.to_xdr()})
    assert status == 504
    await ledger.close()
    assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[0] == 404
    assert await ledger.run(alice, pay(bob, "2")) == ["tx_success"]


async def test_try_again_later(pair):
    """So many submissions are turned away with 503, then the same envelope is taken."""
    ledger, alice, bob = pair
    await ledger.fault("try_again_later", count=2)
    envelope = await ledger.build(alice, pay(bob))
    answers = [await ledger.post("/transactions_async", data={"tx": envelope.to_xdr()}) for _ in range(3)]
    assert [status for status, _ in answers] == [503, 503, 201]
    assert [body["tx_status"] for _, body in answers] == ["TRY_AGAIN_LATER", "TRY_AGAIN_LATER", "PENDING"]


async def test_ingestion_lag(pair):
    """The ledger has closed, but history, account and root show the older one, stamped honestly."""
    ledger, alice, bob = pair
    before, seen = await ledger.sequence(alice), (await ledger.get("/"))[1]["history_latest_ledger"]
    await ledger.fault("ingestion_lag", ledgers=2)
    envelope = await ledger.build(alice, pay(bob))
    await ledger.offer(envelope)
    number = await ledger.close()
    await ledger.close()
    root = (await ledger.get("/"))[1]
    assert (root["history_latest_ledger"], root["core_latest_ledger"]) == (seen, number + 1)
    assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[0] == 404
    assert (await ledger.get(f"/ledgers/{number}"))[0] == 404
    async with ledger.http.get(f"/accounts/{alice.public_key}") as answer:
        assert answer.headers["Latest-Ledger"] == str(seen)
        assert int((await answer.json())["sequence"]) == before
    assert await ledger.offer(envelope) == "ERROR"
    await ledger.close()
    assert (await ledger.get(f"/transactions/{envelope.hash_hex()}"))[1]["ledger"] == number
    await ledger.clear_faults()
    assert (await ledger.get("/"))[1]["history_latest_ledger"] == number + 2


async def test_two_views(pair):
    """Every other answer is that of a node so many ledgers behind, account and header alike."""
    ledger, alice, bob = pair
    old = await ledger.sequence(alice)
    assert await ledger.run(alice, pay(bob)) == ["tx_success"]
    newest = (await ledger.get("/"))[1]["history_latest_ledger"]
    await ledger.fault("two_views", ledgers=1)
    seen = set()
    for _ in range(4):
        async with ledger.http.get(f"/accounts/{alice.public_key}") as answer:
            seen.add((int(answer.headers["Latest-Ledger"]), int((await answer.json())["sequence"])))
    assert seen == {(newest, old + 1), (newest - 1, old)}


async def test_surge_fee(pair):
    """Below the price: tx_insufficient_fee that names it; a fee bump of the same inner one gets in."""
    ledger, alice, bob = pair
    await ledger.fault("surge_fee", fee_per_operation=500)
    envelope = await ledger.build(alice, pay(bob))
    status, body = await ledger.post("/transactions", data={"tx": envelope.to_xdr()})
    assert (status, body["extras"]["result_codes"]) == (400, {"transaction": "tx_insufficient_fee"})
    assert body["extras"]["result_xdr"] == "AAAAAAAAAfT////3AAAAAA=="
    assert (await ledger.get("/fee_stats"))[1]["last_ledger_base_fee"] == "500"
    bump = ledger.bump(bob, envelope, fee=500)
    assert await ledger.offer(bump) == "PENDING"
    await ledger.close()
    record = (await ledger.get(f"/transactions/{bump.hash_hex()}"))[1]
    assert (record["successful"], record["fee_charged"]) == (True, "1000")


async def test_rate_limit(pair):
    """429 with Retry-After, so many times, on the paths it was asked for."""
    ledger, alice, _ = pair
    await ledger.fault("rate_limit", count=2, path="/accounts", retry_after=7)
    async with ledger.http.get(f"/accounts/{alice.public_key}") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert "extras" not in await answer.json(content_type=None)
    assert (await ledger.get("/"))[0] == 200
    assert (await ledger.get(f"/accounts/{alice.public_key}"))[0] == 429
    assert (await ledger.get(f"/accounts/{alice.public_key}"))[0] == 200


async def test_unavailable(pair):
    """503, so many times."""
    ledger, _, _ = pair
    await ledger.fault("unavailable")
    status, body = await ledger.get("/ledgers")
    assert (status, body["title"]) == (503, "Service Unavailable")
    assert (await ledger.get("/ledgers"))[0] == 200


async def test_reset_before_accepting(pair):
    """The connection breaks and nothing was taken: the same envelope is new afterwards."""
    ledger, alice, bob = pair
    envelope = await ledger.build(alice, pay(bob))
    await ledger.fault("reset", path="/transactions")
    with pytest.raises(aiohttp.ClientError):
        await ledger.offer(envelope)
    assert await ledger.offer(envelope) == "PENDING"


async def test_stop_closing(drive):
    """No ledger closes until the fault is deleted; what was queued lands then."""
    async with drive(manual_close=False, interval=0) as ledger:
        await ledger.fault("stop_closing")
        before = (await ledger.get("/"))[1]["core_latest_ledger"]
        root = ledger.root
        operation = CreateAccount(ledger.key("alice").public_key, "5")
        envelope = await ledger.build(root, operation, sequence=1)
        assert await ledger.offer(envelope) == "PENDING"
        assert (await ledger.get("/"))[1]["core_latest_ledger"] == before
        await ledger.clear_faults()
        status, _ = await ledger.post("/transactions", data={"tx": envelope.to_xdr()})
        assert status == 200
        assert (await ledger.get("/"))[1]["core_latest_ledger"] > before


async def test_faults_are_listed_counted_down_and_deleted(pair):
    """GET shows what is on with what is left of it; DELETE takes all, or one kind."""
    ledger, _, _ = pair
    await ledger.fault("unavailable", count=2, path="/fee_stats")
    await ledger.fault("surge_fee")
    await ledger.get("/fee_stats")
    listed = (await ledger.get("/sandbox/faults"))[1]["faults"]
    assert [(item["kind"], item["count"]) for item in listed] == [("unavailable", 1), ("surge_fee", 0)]
    async with ledger.http.delete("/sandbox/faults", params={"kind": "unavailable"}) as answer:
        assert [item["kind"] for item in (await answer.json())["faults"]] == ["surge_fee"]
    await ledger.clear_faults()
    assert (await ledger.get("/sandbox/faults"))[1] == {"faults": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"kind": "earthquake"},
        {"kind": "reset", "count": 0},
        {"kind": "reset", "count": "2"},
        {"kind": "reset", "times": 2},
        {"kind": "reset", "path": "accounts"},
        {"kind": "two_views", "ledgers": 1000},
    ],
)
async def test_unknown_faults_are_refused(pair, body):
    """A fault that does not exist or makes no sense is a 400 and switches nothing on."""
    ledger, _, _ = pair
    status, answer = await ledger.post("/sandbox/faults", json=body)
    assert (status, answer["title"]) == (400, "Bad Request")
    assert (await ledger.get("/sandbox/faults"))[1] == {"faults": []}


async def test_faults_do_not_touch_the_sandbox_routes(pair):
    """However the network suffers, the sandbox itself can still be steered."""
    ledger, _, _ = pair
    await ledger.fault("unavailable", count=3)
    await ledger.close()
    assert len((await ledger.get("/sandbox/faults"))[1]["faults"]) == 1


@pytest.mark.parametrize("name", list(OUTAGES))
async def test_every_problem_can_be_had(pair, name):
    """Each problem document of Horizon comes once when asked for, and never with null extras."""
    ledger, alice, _ = pair
    await ledger.fault("problem", problem=name, path="/accounts")
    assert (await ledger.get("/"))[0] == 200
    async with ledger.http.get(f"/accounts/{alice.public_key}") as answer:
        body = await answer.json(content_type=None)
        assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache, no-store, max-age=0"
    assert (answer.status, body["title"]) == (OUTAGES[name][1], OUTAGES[name][0])
    assert body["type"] == f"https://stellar.org/horizon-errors/{name}"
    assert "extras" not in body
    assert (await ledger.get(f"/accounts/{alice.public_key}"))[0] == 200


async def test_an_unknown_problem_is_refused(ledger):
    """A problem that Horizon does not have is no fault."""
    status, body = await ledger.post("/sandbox/faults", json={"kind": "problem", "problem": "nonsense"})
    assert status == 400
    assert "stale_history" in body["extras"]["reason"]


async def test_a_client_that_leaves_a_stream_disturbs_nobody(pair, caplog):
    """Who hangs up in the middle of a stream is not missed: nothing is logged, ledgers close as before."""
    ledger, alice, bob = pair
    for path in ("/ledgers", f"/accounts/{alice.public_key}"):
        async with ledger.http.get(path, headers={"Accept": "text/event-stream"}) as answer:
            assert (await answer.content.readline()).startswith(b"retry")
            answer.close()
    for _ in range(3):
        assert await ledger.offer(await ledger.build(alice, pay(bob))) == "PENDING"
        await ledger.close()
    assert not caplog.records
