"""The audit of the chaos run can fail: each thing that must never be is found when it is there."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from stellar_sdk import HashMemo, Payment, TransactionBuilder

from benchmarks.chaos.audit import Findings, audit
from benchmarks.chaos.book import read_book
from benchmarks.chaos.clients import Case
from benchmarks.chaos.plan import SHORT, Course, make_plan
from benchmarks.chaos.proofs import refute
from benchmarks.chaos.sandbox_client import SandboxClient
from domain.amounts import format_amount
from domain.mint_request import MintRequest, MintStatus
from settings import TESTNET_PASSPHRASE
from starter.local.stack_file import DemoWorld
from tests.support.minting import Minting, minting_on

ASK = dataclasses.replace(make_plan(1, SHORT).asks[0], course=Course.PLAIN)


@pytest.fixture
async def minting(seeded) -> AsyncIterator[Minting]:
    """A ledger closed by hand, with one channel account."""
    async with minting_on(seeded, channels=1) as opened:
        yield opened


@asynccontextmanager
async def sandbox_of(minting) -> AsyncIterator[SandboxClient]:
    """The ledger as the audit reads it."""
    client = SandboxClient(minting.ledger.url)
    try:
        yield client
    finally:
        await client.close()


async def audited(minting, *requests: MintRequest) -> Findings:
    """What the audit says of these requests."""
    ledger = minting.ledger
    demo = DemoWorld(
        minting.seeded.tenant,
        ledger.issuer.public_key,
        str(ledger.asset),
        ledger.holder.public_key,
        password="",
    )
    async with sandbox_of(minting) as sandbox:
        return await audit(demo, minting.database, sandbox, [Case(ASK, request) for request in requests])


async def pay(minting, request: MintRequest, amount: int) -> None:
    """Somebody with the issuer's key pays by hand, with the request's digest in the memo."""
    ledger = minting.ledger
    account = await ledger.server.load_account(ledger.issuer.public_key)
    builder = TransactionBuilder(account, TESTNET_PASSPHRASE, base_fee=100)
    builder.append_operation(Payment(request.destination, ledger.ledger_asset, format_amount(amount)))
    envelope = builder.add_memo(HashMemo(request.digest())).add_time_bounds(0, 0).build()
    envelope.sign(ledger.issuer)
    await ledger.server.submit_transaction_async(envelope)
    await ledger.close()


async def confirmed(minting) -> MintRequest:
    """A request that was paid."""
    request = await minting.approved()
    assert (await minting.mint(request)).outcome.status is MintStatus.CONFIRMED
    return request


async def timed_out(minting) -> MintRequest:
    """A request that provably never was."""
    request = await minting.approved()
    await minting.ledger.fault("timeout_never_land", count=1000)
    result = await minting.mint(request, minting.hurried())
    assert result.outcome.status is MintStatus.TIMEOUT_FAILED
    await minting.ledger.clear_faults()
    return request


def broken(findings: Findings) -> set[str]:
    """Names of the demands that are broken."""
    return {name for name, value in vars(findings).items() if isinstance(value, list) and value}


async def test_what_is_in_order_breaks_nothing(minting):
    """One payment as asked, and the proof of none: no demand is broken."""
    assert broken(await audited(minting, await confirmed(minting))) == set()


async def test_a_second_payment_is_found(minting):
    """Two payments for one request are a double mint, and the destination holds too much."""
    request = await confirmed(minting)
    await pay(minting, request, request.amount)
    assert {"double_mints", "wrong_mints"} <= broken(await audited(minting, request))


async def test_a_payment_after_the_bound_is_found(minting):
    """A payment whose ledger closed after the stored bound is a late mint, whoever made it."""
    request = await timed_out(minting)
    await pay(minting, request, request.amount)
    assert {"late_mints", "unasked_mints"} <= broken(await audited(minting, request))


async def test_a_payment_for_nobody_is_found(minting):
    """A payment whose memo is no request's digest is named."""
    request = await minting.approved("never submitted")
    await pay(minting, request, 5)
    assert "unasked_mints" in broken(await audited(minting))


async def test_a_request_without_an_end_is_found(minting):
    """APPROVED is no end, and a request that was never opened has none either."""
    request = await minting.approved()
    never = request.model_copy(update={"id": "mr_" + "0" * 26})
    assert len((await audited(minting, request, never)).not_ended) == 2


async def test_an_end_that_nothing_explains_is_found(minting):
    """A request that was approved and whose destination is ready does not fail."""
    request = await minting.approved()
    await minting.ledger.trust(minting.ledger.holder, limit="0")
    assert (await minting.submit(request)).status is MintStatus.FAILED
    assert broken(await audited(minting, request)) == {"strange_ends"}


async def test_a_proof_that_stands_is_verified(minting):
    """The named ledger, the absent hashes and the unused sequence are all as the proof says."""
    findings = await audited(minting, await timed_out(minting))
    assert (broken(findings), findings.proofs) == (set(), 1)


@pytest.mark.parametrize(
    "lie",
    [
        {"kind": "landed"},
        {"max_time": 1},
        {"ledger": 2},
        {"ledger_hash": "0" * 64},
        {"account_ledger": 1},
        {"account_sequence": 2**62},
        {"absent_hashes": ()},
        {"account": "somebody else"},
    ],
    ids=lambda lie: next(iter(lie)),
)
async def test_a_proof_that_lies_is_refuted(minting, lie):
    """Whatever a proof says otherwise than the ledger speaks against it."""
    record = await minting.record(await timed_out(minting))
    stored, proof = record.submission, record.result.proof
    async with sandbox_of(minting) as sandbox:
        book = await read_book(sandbox, minting.ledger.issuer.public_key)
        assert await refute(stored, proof, stored.max_time, book, sandbox) is None
        assert await refute(stored, proof.model_copy(update=lie), stored.max_time, book, sandbox)
