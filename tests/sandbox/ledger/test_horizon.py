"""Horizon's shapes: types of values, headers, problems, pages."""

from __future__ import annotations

import json

import pytest
from stellar_sdk import (
    Account,
    Asset,
    AuthorizationFlag,
    BeginSponsoringFutureReserves,
    ChangeTrust,
    Claimant,
    ClaimClaimableBalance,
    CreateClaimableBalance,
    EndSponsoringFutureReserves,
    ManageData,
    MuxedAccount,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    TransactionBuilder,
)
from stellar_sdk.operation.set_trust_line_flags import TrustLineFlags

XLM = Asset.native()
NOBODY = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"


@pytest.fixture
async def pair(ledger):
    """A ledger with two funded accounts."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    return ledger, alice, bob


async def test_root(ledger):
    """The root names network, versions and the newest ledger with its close time."""
    _, body = await ledger.get("/")
    assert body["network_passphrase"] == ledger.passphrase
    assert body["history_latest_ledger"] == body["ingest_latest_ledger"] == body["core_latest_ledger"] == 2
    assert body["history_latest_ledger_closed_at"] == "2023-11-14T22:13:20Z"
    assert body["current_protocol_version"] == 19


async def test_account_shape(pair):
    """64-bit values are strings, `data` is there even if empty, the master key is among the signers."""
    ledger, alice, _ = pair
    async with ledger.http.get(f"/accounts/{alice.public_key}") as answer:
        assert answer.headers["Content-Type"] == "application/hal+json; charset=utf-8"
        assert answer.headers["Latest-Ledger"] == "3"
        assert answer.headers["Cache-Control"] == "no-cache, no-store, max-age=0"
        body = await answer.json(content_type=None)
    assert body["sequence"] == str(3 << 32)
    assert body["data"] == {}
    assert body["signers"] == [{"weight": 1, "key": alice.public_key, "type": "ed25519_public_key"}]
    assert body["thresholds"] == {"low_threshold": 0, "med_threshold": 0, "high_threshold": 0}
    assert body["balances"][-1]["asset_type"] == "native"
    assert (body["subentry_count"], body["num_sponsoring"], body["num_sponsored"]) == (0, 0, 0)
    assert body["last_modified_time"] == "2023-11-14T22:13:25Z"


async def test_state_is_stamped_even_where_there_is_none(pair):
    """Absence is a statement about a ledger, too: problems of the current state carry its number."""
    ledger, alice, _ = pair
    nobody = ledger.key("nobody").public_key
    for path, status in (
        (f"/accounts/{nobody}", 404),
        (f"/accounts/{alice.public_key}/data/none", 404),
        ("/accounts/nobody", 400),
        ("/claimable_balances/00", 404),
        ("/assets?limit=0", 400),
    ):
        async with ledger.http.get(path) as answer:
            assert (answer.status, answer.headers["Latest-Ledger"]) == (status, "3")
    async with ledger.http.get(f"/transactions/{'0' * 64}") as answer:
        assert "Latest-Ledger" not in answer.headers


async def test_account_history_knows_every_participant(pair):
    """Sources, destinations, fee payers, trustors and claimants all find the transaction under their name."""
    ledger, issuer, holder = pair
    payer, channel = ledger.key("payer"), ledger.key("channel")
    await ledger.fund(payer, channel)
    asset = Asset("EURT", issuer.public_key)
    await ledger.run(holder, ChangeTrust(asset))
    payment = Payment(holder.public_key, asset, "1", source=issuer.public_key)
    inner = await ledger.build(channel, payment, signers=[channel, issuer])
    bump = ledger.bump(payer, inner, fee=200)
    await ledger.offer(bump)
    await ledger.close()
    for owner in (issuer, holder, payer, channel):
        path = f"/accounts/{owner.public_key}/transactions"
        (newest,) = (await ledger.get(path, order="desc", limit="1"))[1]["_embedded"]["records"]
        assert newest["hash"] == bump.hash_hex()


async def test_transaction_shape(pair):
    """Strings, numbers and preconditions are typed as Horizon types them."""
    ledger, alice, bob = pair
    envelope = await ledger.build(
        alice, Payment(bob.public_key, XLM, "1"), min_time=5, max_time=ledger.time + 50
    )
    await ledger.offer(envelope)
    number = await ledger.close()
    _, body = await ledger.get(f"/transactions/{envelope.hash_hex()}")
    assert body["id"] == body["hash"] == envelope.hash_hex()
    assert (body["ledger"], body["operation_count"], body["successful"]) == (number, 1, True)
    assert (body["fee_charged"], body["max_fee"], body["memo_type"]) == ("100", "100", "none")
    assert body["paging_token"] == str((number << 32) + (1 << 12))
    assert body["envelope_xdr"] == envelope.to_xdr()
    assert body["preconditions"] == {"timebounds": {"min_time": "5", "max_time": str(ledger.time + 45)}}
    assert "memo" not in body


async def test_muxed_source_and_text_memo(pair):
    """A muxed source is shown in both forms; a text memo also as bytes."""
    ledger, alice, bob = pair
    source = MuxedAccount(alice.public_key, 77)
    account = (await ledger.account(alice))["sequence"]

    builder = TransactionBuilder(Account(source, int(account)), ledger.passphrase).add_time_bounds(0, 0)
    envelope = builder.append_payment_op(bob.public_key, XLM, "1").add_text_memo("mint:1").build()
    envelope.sign(alice)
    assert await ledger.offer(envelope) == "PENDING"
    await ledger.close()
    _, body = await ledger.get(f"/transactions/{envelope.hash_hex()}")
    assert (body["source_account"], body["account_muxed"]) == (alice.public_key, source.account_muxed)
    assert body["account_muxed_id"] == "77"
    assert (body["memo"], body["memo_bytes"]) == ("mint:1", "bWludDox")


async def test_first_form_of_an_envelope(pair):
    """An envelope of the first form is taken in the current form, under the same hash."""
    ledger, alice, bob = pair
    account = Account(alice.public_key, await ledger.sequence(alice))
    builder = TransactionBuilder(account, ledger.passphrase, v1=False).add_time_bounds(0, 0)
    envelope = builder.append_payment_op(bob.public_key, XLM, "1").build()
    envelope.sign(alice)
    assert await ledger.offer(envelope) == "PENDING"
    await ledger.close()
    _, body = await ledger.get(f"/transactions/{envelope.hash_hex()}")
    assert body["successful"] is True
    assert body["envelope_xdr"] == envelope.to_transaction_envelope_v1().to_xdr()


async def test_inner_transaction_is_found_by_its_own_hash(pair):
    """A fee bump answers under both hashes, each time under the one that was asked for."""
    ledger, alice, bob = pair
    inner = await ledger.build(alice, Payment(bob.public_key, XLM, "1"))
    bump = ledger.bump(bob, inner, fee=200)
    await ledger.offer(bump)
    await ledger.close()
    _, outer_body = await ledger.get(f"/transactions/{bump.hash_hex()}")
    _, inner_body = await ledger.get(f"/transactions/{inner.hash_hex()}")
    assert (outer_body["hash"], inner_body["hash"]) == (bump.hash_hex(), inner.hash_hex())
    assert inner_body["fee_bump_transaction"]["hash"] == bump.hash_hex()
    assert inner_body["signatures"] == inner_body["inner_transaction"]["signatures"]
    assert outer_body["signatures"] == outer_body["fee_bump_transaction"]["signatures"]
    assert outer_body["fee_account"] == bob.public_key


async def test_asynchronous_submission_statuses(pair):
    """201 PENDING, 409 DUPLICATE, 400 ERROR with the result, and 400 for what is no envelope."""
    ledger, alice, bob = pair
    envelope = await ledger.build(alice, Payment(bob.public_key, XLM, "1"))
    first = await ledger.post("/transactions_async", data={"tx": envelope.to_xdr()})
    second = await ledger.post("/transactions_async", data={"tx": envelope.to_xdr()})
    gap = await ledger.build(bob, Payment(alice.public_key, XLM, "1"), sequence=99)
    third = await ledger.post("/transactions_async", data={"tx": gap.to_xdr()})
    fourth = await ledger.post("/transactions_async", data={"tx": "nonsense"})
    assert first == (201, {"tx_status": "PENDING", "hash": envelope.hash_hex()})
    assert second == (409, {"tx_status": "DUPLICATE", "hash": envelope.hash_hex()})
    assert (third[0], third[1]["error_result_xdr"]) == (400, "AAAAAAAAAGT////7AAAAAA==")
    assert (fourth[0], fourth[1]["extras"]) == (400, {"envelope_xdr": "nonsense"})


async def test_synchronous_submission_answers_from_history(pair):
    """An applied transaction is answered from history, whether it succeeded or failed, also long after."""
    ledger, alice, bob = pair
    good = await ledger.build(alice, Payment(bob.public_key, XLM, "1"), max_time=ledger.time + 20)
    bad = await ledger.build(bob, Payment(alice.public_key, XLM, "99999"))
    for envelope in (good, bad):
        await ledger.offer(envelope)
    await ledger.close()
    await ledger.close(100)
    assert (await ledger.post("/transactions", data={"tx": good.to_xdr()}))[1]["successful"] is True
    status, body = await ledger.post("/transactions", data={"tx": bad.to_xdr()})
    assert (status, body["title"]) == (400, "Transaction Failed")
    assert body["extras"]["result_codes"] == {"transaction": "tx_failed", "operations": ["op_underfunded"]}
    assert body["extras"]["envelope_xdr"] == bad.to_xdr()


async def test_fee_bump_codes_name_the_inner_transaction(pair):
    """A failed fee bump shows the code of the inner transaction and its operations."""
    ledger, alice, bob = pair
    inner = await ledger.build(alice, Payment(bob.public_key, XLM, "99999"))
    bump = ledger.bump(bob, inner, fee=200)
    await ledger.offer(bump)
    await ledger.close()
    _, body = await ledger.post("/transactions", data={"tx": bump.to_xdr()})
    assert body["extras"]["result_codes"] == {
        "transaction": "tx_fee_bump_inner_failed",
        "inner_transaction": "tx_failed",
        "operations": ["op_underfunded"],
    }


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/accounts/nobody", 400, "Bad Request"),
        (f"/accounts/{NOBODY}", 404, "Resource Missing"),
        (f"/accounts/{NOBODY}/transactions", 404, "Resource Missing"),
        (f"/accounts/{NOBODY}/effects", 404, "Resource Missing"),
        ("/transactions/abc", 400, "Bad Request"),
        (f"/transactions/{'A' * 64}", 400, "Bad Request"),
        (f"/transactions/{'0' * 64}", 404, "Resource Missing"),
        (f"/transactions/{'0' * 64}/operations", 404, "Resource Missing"),
        ("/ledgers/0", 404, "Resource Missing"),
        ("/ledgers/99", 404, "Resource Missing"),
        ("/ledgers/two", 400, "Bad Request"),
        ("/ledgers?limit=0", 400, "Bad Request"),
        ("/ledgers?limit=201", 400, "Bad Request"),
        ("/ledgers?order=up", 400, "Bad Request"),
        ("/ledgers?limit=99999999999999999999", 400, "Bad Request"),
        ("/ledgers/99/transactions", 404, "Resource Missing"),
        ("/transactions?cursor=x", 400, "Bad Request"),
        ("/transactions?cursor=-1", 400, "Bad Request"),
        ("/effects?cursor=1-x", 400, "Bad Request"),
        ("/operations/x", 400, "Bad Request"),
        ("/operations/4097", 404, "Resource Missing"),
        ("/claimable_balances/00", 404, "Resource Missing"),
        ("/friendbot", 400, "Bad Request"),
        ("/friendbot?addr=G", 400, "Bad Request"),
        ("/nowhere", 404, "Resource Missing"),
        ("/transactions_async", 405, "Method Not Allowed"),
    ],
)
async def test_problems(ledger, path, status, title):
    """What is not there or not right is a problem document, and never one with `extras: null`."""
    async with ledger.http.get(path) as answer:
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
        body = json.loads(await answer.text())
    assert (body["status"], body["title"]) == (status, title)
    assert body["type"].startswith("https://stellar.org/horizon-errors/")
    assert body.get("extras", {}) is not None


async def test_submission_must_be_a_form(ledger):
    """A JSON body is refused as an unsupported media type."""
    status, body = await ledger.post("/transactions", json={"tx": "AAAA"})
    assert (status, body["type"].rpartition("/")[2]) == (415, "unsupported_media_type")


async def test_pages(pair):
    """Order, cursor and limit cut the same sequence in every way."""
    ledger, alice, bob = pair
    for amount in ("1", "2", "3"):
        assert await ledger.run(alice, Payment(bob.public_key, XLM, amount)) == ["tx_success"]
    path = f"/accounts/{bob.public_key}/payments"

    async def amounts(**query):
        records = (await ledger.get(path, **query))[1]["_embedded"]["records"]
        return [record.get("amount", "created") for record in records]

    assert await amounts() == ["created", "1.0000000", "2.0000000", "3.0000000"]
    assert await amounts(order="desc", limit="2") == ["3.0000000", "2.0000000"]
    token = (await ledger.get(path, order="desc", limit="2"))[1]["_embedded"]["records"][-1]["paging_token"]
    assert await amounts(order="desc", cursor=token) == ["1.0000000", "created"]
    assert await amounts(cursor=token) == ["3.0000000"]
    assert await amounts(cursor="now") == []
    assert await amounts(cursor="now", order="desc", limit="1") == ["3.0000000"]


async def test_operations_of_one_transaction_are_paged(pair):
    """A page may end in the middle of a transaction, and the next goes on there."""
    ledger, alice, bob = pair
    operations = [Payment(bob.public_key, XLM, str(amount)) for amount in (1, 2, 3)]
    envelope = await ledger.build(alice, *operations)
    await ledger.offer(envelope)
    await ledger.close()
    path = f"/transactions/{envelope.hash_hex()}/operations"
    for order, expected in (("asc", "1 2 3"), ("desc", "3 2 1")):
        _, first = await ledger.get(path, order=order, limit="2")
        token = first["_embedded"]["records"][-1]["paging_token"]
        _, second = await ledger.get(path, order=order, limit="2", cursor=token)
        shown = [item["amount"] for page in (first, second) for item in page["_embedded"]["records"]]
        assert shown == [f"{amount}.0000000" for amount in expected.split()]


async def test_failed_transactions_are_shown_when_asked_for(pair):
    """Lists leave failed transactions out unless include_failed says otherwise."""
    ledger, alice, bob = pair
    assert await ledger.run(alice, Payment(bob.public_key, XLM, "99999")) == ["tx_failed", "op_underfunded"]
    path = f"/accounts/{alice.public_key}/transactions"
    hidden = (await ledger.get(path))[1]["_embedded"]["records"]
    shown = (await ledger.get(path, include_failed="true"))[1]["_embedded"]["records"]
    assert (len(hidden), len(shown)) == (1, 2)
    assert shown[-1]["successful"] is False


async def test_assets_sum_up_holders(pair):
    """An asset shows its holders by authorisation, with the amounts they hold."""
    ledger, issuer, holder = pair
    asset = Asset("EURT", issuer.public_key)
    await ledger.run(issuer, SetOptions(set_flags=AuthorizationFlag(3), home_domain="example.org"))
    await ledger.run(holder, ChangeTrust(asset))
    allowed = SetTrustLineFlags(holder.public_key, asset, set_flags=TrustLineFlags.AUTHORIZED_FLAG)
    await ledger.run(issuer, allowed, Payment(holder.public_key, asset, "5"))
    _, body = await ledger.get("/assets", asset_code="EURT", asset_issuer=issuer.public_key)
    (record,) = body["_embedded"]["records"]
    assert record["accounts"]["authorized"] == 1
    assert record["balances"]["authorized"] == "5.0000000"
    assert record["flags"]["auth_required"] is True
    assert record["_links"]["toml"]["href"] == "https://example.org/.well-known/stellar.toml"


async def test_fee_statistics_are_strings(pair):
    """Every figure of the fee statistics is a string."""
    ledger, alice, bob = pair
    await ledger.run(alice, Payment(bob.public_key, XLM, "1"), fee=700)
    _, body = await ledger.get("/fee_stats")
    assert (body["fee_charged"]["max"], body["max_fee"]["max"]) == ("100", "700")
    assert all(isinstance(value, str) for value in body["fee_charged"].values())
    assert isinstance(body["last_ledger"], str)


async def test_accounts_by_what_they_have(pair):
    """Accounts are listed by asset, signer or sponsor, by name and paged; by exactly one of these."""
    ledger, alice, bob = pair
    third = ledger.key("third")
    await ledger.fund(third)
    asset = Asset("EURT", alice.public_key)
    for holder in (bob, third):
        assert await ledger.run(holder, ChangeTrust(asset)) == ["tx_success"]
    sandwich = [
        BeginSponsoringFutureReserves(bob.public_key),
        ManageData("a", b"b", source=bob.public_key),
        EndSponsoringFutureReserves(source=bob.public_key),
    ]
    assert await ledger.run(alice, *sandwich, signers=[alice, bob]) == ["tx_success"]

    async def listed(**query):
        _, body = await ledger.get("/accounts", **query)
        return [record["account_id"] for record in body["_embedded"]["records"]]

    name = f"EURT:{alice.public_key}"
    holders = sorted([bob.public_key, third.public_key])
    assert await listed(asset=name) == holders
    assert await listed(asset=name, order="desc") == holders[::-1]
    assert await listed(asset=name, cursor=holders[0]) == holders[1:]
    assert await listed(signer=alice.public_key) == [alice.public_key]
    assert await listed(sponsor=alice.public_key) == [bob.public_key]
    for query in ({}, {"asset": "native"}, {"asset": name, "signer": alice.public_key}):
        status, body = await ledger.get("/accounts", **query)
        assert (status, body["title"]) == (400, "Invalid Accounts Parameters")


async def test_a_page_goes_on_behind_what_has_gone(pair):
    """A claimable balance that was claimed since is still a place in the list; nonsense is none."""
    ledger, alice, bob = pair
    ids = []
    for _ in range(3):
        envelope = await ledger.build(alice, CreateClaimableBalance(XLM, "1", [Claimant(bob.public_key)]))
        await ledger.offer(envelope)
        await ledger.close()
        ids.append(envelope.transaction.get_claimable_balance_id(0))
    _, page = await ledger.get("/claimable_balances", limit="2")
    cursor = page["_embedded"]["records"][-1]["paging_token"]
    assert await ledger.run(bob, ClaimClaimableBalance(ids[1])) == ["tx_success"]
    _, rest = await ledger.get("/claimable_balances", cursor=cursor)
    assert [record["id"] for record in rest["_embedded"]["records"]] == ids[2:]
    assert (await ledger.get("/claimable_balances", cursor="x"))[0] == 400


async def test_requests_are_counted(ledger):
    """Requests are counted by method and route, those to the sandbox itself are not; DELETE starts anew."""
    await ledger.get(f"/accounts/{ledger.root.public_key}")
    await ledger.get(f"/accounts/{ledger.key('nobody').public_key}")
    _, body = await ledger.get("/sandbox/stats")
    assert (body["requests"], body["total"]) == ({"GET /accounts/{account_id}": 2}, 2)
    assert (body["waiting"], body["waiting_operations"], body["ledger_capacity"]) == (0, 0, 1000)
    async with ledger.http.delete("/sandbox/stats") as answer:
        assert (await answer.json(content_type=None))["total"] == 0
    assert (await ledger.get("/sandbox/stats"))[1]["total"] == 0
