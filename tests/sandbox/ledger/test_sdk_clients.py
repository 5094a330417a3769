"""The unmodified Stellar SDK clients work against the sandbox ledger."""

from __future__ import annotations

import asyncio
import time
from itertools import islice

import pytest
from stellar_sdk import Asset, Keypair, Server, ServerAsync, TransactionBuilder
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.client.requests_client import RequestsClient
from stellar_sdk.exceptions import BadRequestError, NotFoundError
from stellar_sdk.sep.exceptions import AccountRequiresMemoError


@pytest.fixture
async def network(drive):
    """A ledger that closes at once, and the SDK's asynchronous client for it."""
    async with (
        drive(manual_close=False, interval=0) as ledger,
        ServerAsync(ledger.url, AiohttpClient()) as server,
    ):
        yield ledger, server


async def funded(ledger):
    """A new key with an account."""
    owner = Keypair.random()
    status, body = await ledger.get("/friendbot", addr=owner.public_key)
    assert (status, body["successful"]) == (200, True)
    return owner


async def test_mint_with_the_asynchronous_client(network):
    """Friendbot, trustline, payment, look-up and balance through ServerAsync."""
    ledger, server = network
    issuer, holder = await funded(ledger), await funded(ledger)
    asset = Asset("EURT", issuer.public_key)
    account = await server.load_account(holder.public_key)
    builder = TransactionBuilder(account, ledger.passphrase).append_change_trust_op(asset).set_timeout(60)
    envelope = builder.build()
    envelope.sign(holder)
    assert (await server.submit_transaction(envelope))["successful"] is True

    account = await server.load_account(issuer.public_key)
    builder = TransactionBuilder(account, ledger.passphrase).set_timeout(60).add_hash_memo(b"m" * 32)
    envelope = builder.append_payment_op(holder.public_key, asset, "12.5").build()
    envelope.sign(issuer)
    answer = await server.submit_transaction_async(envelope)
    assert answer == {"tx_status": "PENDING", "hash": envelope.hash_hex()}
    record = await landed(server, envelope.hash_hex())
    assert (record["successful"], record["memo_type"]) == (True, "hash")
    balances = (await server.accounts().account_id(holder.public_key).call())["balances"]
    assert balances[0]["balance"] == "12.5000000"
    payments = await server.payments().for_account(holder.public_key).order(desc=True).call()
    assert payments["_embedded"]["records"][0]["amount"] == "12.5000000"


async def landed(server, transaction_hash):
    """The transaction once a ledger has it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return await server.transactions().transaction(transaction_hash).call()
        except NotFoundError:
            await asyncio.sleep(0.02)
    raise AssertionError(f"{transaction_hash} never landed")


async def test_requests_client_in_a_thread(network):
    """The synchronous Server loads accounts, submits, reads fees and pages."""
    ledger, _ = network
    owner, other = await funded(ledger), await funded(ledger)

    def pay():
        with Server(ledger.url, RequestsClient(num_retries=0)) as server:
            account = server.load_account(owner.public_key)
            builder = TransactionBuilder(account, ledger.passphrase, base_fee=server.fetch_base_fee())
            envelope = (
                builder.append_payment_op(other.public_key, Asset.native(), "3").set_timeout(60).build()
            )
            envelope.sign(owner)
            return server.submit_transaction(envelope), server.load_account(owner.public_key).sequence

    record, sequence = await asyncio.to_thread(pay)
    assert record["successful"] is True
    assert record["source_account_sequence"] == str(sequence)


async def test_failed_transaction_raises_with_result_codes(network):
    """A transaction that fails in its ledger raises BadRequestError with Horizon's codes."""
    ledger, server = network
    issuer, holder = await funded(ledger), await funded(ledger)
    account = await server.load_account(issuer.public_key)
    builder = TransactionBuilder(account, ledger.passphrase).set_timeout(60)
    asset = Asset("EURT", issuer.public_key)
    envelope = builder.append_payment_op(holder.public_key, asset, "1").build()
    envelope.sign(issuer)
    with pytest.raises(BadRequestError) as caught:
        await server.submit_transaction(envelope)
    assert caught.value.title == "Transaction Failed"
    assert caught.value.extras["result_codes"] == {"transaction": "tx_failed", "operations": ["op_no_trust"]}


async def test_memo_required_is_seen_by_the_client(network):
    """The SDK's memo check before a submission reads the data entries of the destination."""
    ledger, server = network
    owner, shop = await funded(ledger), await funded(ledger)
    account = await server.load_account(shop.public_key)
    builder = TransactionBuilder(account, ledger.passphrase).set_timeout(60)
    envelope = builder.append_manage_data_op("config.memo_required", "1").build()
    envelope.sign(shop)
    await server.submit_transaction(envelope)
    account = await server.load_account(owner.public_key)
    builder = TransactionBuilder(account, ledger.passphrase).set_timeout(60)
    payment = builder.append_payment_op(shop.public_key, Asset.native(), "1").build()
    payment.sign(owner)
    with pytest.raises(AccountRequiresMemoError):
        await server.submit_transaction(payment)


async def test_unknown_account_and_second_friendbot(network):
    """An account that does not exist raises NotFoundError; friendbot funds nobody twice."""
    ledger, server = network
    with pytest.raises(NotFoundError):
        await server.load_account(Keypair.random().public_key)
    owner = await funded(ledger)
    status, body = await ledger.get("/friendbot", addr=owner.public_key)
    assert (status, body["title"]) == (400, "Bad Request")


async def test_streams_ledgers_and_transactions(network):
    """The SDK's event streams deliver new ledgers and transactions in order."""
    ledger, server = network
    stream = server.ledgers().cursor("now").stream()
    owner = asyncio.create_task(funded(ledger))
    first = await anext(stream)
    second = await anext(stream)
    assert second["sequence"] == first["sequence"] + 1
    await stream.aclose()
    account = (await owner).public_key
    transactions = server.transactions().cursor("0").stream()
    record = await anext(transactions)
    assert record["operation_count"] == 1
    assert record["successful"] is True
    assert (await server.load_account(account)).sequence == record["ledger"] << 32
    await transactions.aclose()


async def test_streams_of_one_account(network):
    """Transactions, payments and effects of an account arrive as they happen, across reconnections."""
    ledger, server = network
    owner, other = await funded(ledger), await funded(ledger)
    queries = [
        server.transactions().for_account(other.public_key).include_failed(True),
        server.payments().for_account(other.public_key),
        server.effects().for_account(other.public_key),
    ]
    newest = (await server.root().call())["history_latest_ledger"]
    streams = [query.cursor((newest + 1 << 32) - 1).limit(2).stream() for query in queries]
    waiting = [asyncio.create_task(collect(stream, 5)) for stream in streams]
    account = await server.load_account(owner.public_key)
    sent = []
    for amount in ("1", "2", "3", "4", "5"):
        builder = TransactionBuilder(account, ledger.passphrase).set_timeout(60)
        envelope = builder.append_payment_op(other.public_key, Asset.native(), amount).build()
        envelope.sign(owner)
        sent.append((await server.submit_transaction(envelope))["hash"])
    transactions, payments, effects = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert [item["hash"] for item in transactions] == sent
    assert [item["amount"] for item in payments] == [f"{amount}.0000000" for amount in range(1, 6)]
    assert {item["type"] for item in effects} == {"account_credited"}


async def collect(stream, number):
    """So many events of a stream, which is then closed."""
    found = []
    async for event in stream:
        found.append(event)
        if len(found) == number:
            break
    await stream.aclose()
    return found


async def test_a_stream_without_a_cursor_starts_at_the_beginning(network):
    """Every ledger comes once and in order, although the server says goodbye after ten."""
    ledger, server = network
    for _ in range(12):
        await funded(ledger)
    ledgers = await asyncio.wait_for(collect(server.ledgers().stream(), 12), 60)
    assert [item["sequence"] for item in ledgers] == list(range(1, 13))


async def test_streams_of_the_synchronous_client(network):
    """The synchronous Server follows ledgers and effects across goodbyes as the asynchronous one does."""
    ledger, _ = network
    owners = [await funded(ledger) for _ in range(12)]

    def follow():
        with Server(ledger.url, RequestsClient(num_retries=0)) as server:
            ledgers = islice(server.ledgers().stream(), 13)
            effects = islice(server.effects().for_account(ledger.root.public_key).limit(3).stream(), 12)
            return [item["sequence"] for item in ledgers], [item["type"] for item in effects]

    sequences, kinds = await asyncio.wait_for(asyncio.to_thread(follow), 60)
    assert sequences == list(range(1, 14))
    assert kinds == ["account_debited"] * len(owners)


async def test_streams_one_account_as_it_changes(network):
    """The account comes at once, and again only when a ledger has changed it."""
    ledger, server = network
    owner, other = await funded(ledger), await funded(ledger)
    stream = server.accounts().account_id(other.public_key).stream()
    first = await asyncio.wait_for(anext(stream), 60)
    account = await server.load_account(owner.public_key)
    builder = TransactionBuilder(account, ledger.passphrase).set_timeout(60)
    envelope = builder.append_payment_op(other.public_key, Asset.native(), "1").build()
    envelope.sign(owner)
    await server.submit_transaction(envelope)
    second = await asyncio.wait_for(anext(stream), 60)
    await stream.aclose()
    shown = [item["balances"][0]["balance"] for item in (first, second)]
    assert shown == ["10000.0000000", "10001.0000000"]
    path, events = f"/accounts/{Keypair.random().public_key}", {"Accept": "text/event-stream"}
    async with ledger.http.get(path, headers=events) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")


async def test_pages_link_to_each_other(network):
    """`next` and `prev` of a page lead forwards and back without gap or repetition."""
    ledger, server = network
    for _ in range(3):
        await funded(ledger)
    query = server.transactions().limit(1)
    first = (await query.call())["_embedded"]["records"]
    second = (await query.next())["_embedded"]["records"]
    back = (await query.prev())["_embedded"]["records"]
    assert first[0]["paging_token"] < second[0]["paging_token"]
    assert back == first
