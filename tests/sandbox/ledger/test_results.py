"""Results and envelopes byte by byte: what stands beside a refused operation, what cannot be decoded."""

from __future__ import annotations

import base64

import pytest
from stellar_sdk import (
    Account,
    Asset,
    Clawback,
    Inflation,
    Payment,
    SetOptions,
    Signer,
    TransactionBuilder,
    xdr,
)

from sandbox.ledger.envelopes import MalformedEnvelopeError, decode, network_id
from sandbox.ledger.results import OpCode, OpResult, TxCode, TxResult, unapplied

XLM = Asset.native()


@pytest.mark.parametrize("kind", list(xdr.OperationType), ids=lambda kind: kind.name)
def test_an_operation_that_was_not_reached_reads_as_a_success(kind):
    """Beside a refused operation the others stand with an empty success, which decodes for every kind."""
    result = TxResult(TxCode.txFAILED, 200, [OpResult(kind, OpCode.opBAD_AUTH), unapplied(kind)])
    decoded = xdr.TransactionResult.from_xdr(result.to_xdr())
    assert decoded.to_xdr() == result.to_xdr()
    assert decoded.result.results[1].tr.type == kind
    assert result.codes() == {"transaction": "tx_failed", "operations": ["op_bad_auth", "op_success"]}


@pytest.fixture
async def pair(ledger):
    """A ledger with two funded accounts."""
    alice, bob = ledger.key("alice"), ledger.key("bob")
    await ledger.fund(alice, bob)
    return ledger, alice, bob


async def test_refusal_of_the_second_operation_names_both(pair):
    """Refused up front for its second operation, a transaction has a code for the first one, too."""
    ledger, alice, bob = pair
    operations = [Payment(bob.public_key, XLM, "1"), Payment(alice.public_key, XLM, "1", bob.public_key)]
    envelope = await ledger.build(alice, *operations)
    assert await ledger.codes(envelope) == ["tx_failed", "op_success", "op_bad_auth"]
    assert await ledger.run(alice, Payment(bob.public_key, XLM, "1"), Inflation()) == [
        "tx_failed",
        "op_success",
        "op_not_supported",
    ]


async def test_a_signer_that_went_inside_a_ledger_fails_its_operation_only(drive):
    """Signatures are weighed before any operation: where one lacks weight, all are listed, none ran."""
    async with drive(queue_rule="many") as ledger:
        alice, bob, signer = ledger.key("alice"), ledger.key("bob"), ledger.key("signer")
        await ledger.fund(alice, bob)
        added = SetOptions(signer=Signer.ed25519_public_key(signer.public_key, 1))
        assert await ledger.run(bob, added) == ["tx_success"]
        number = await ledger.sequence(alice)
        gone = SetOptions(signer=Signer.ed25519_public_key(signer.public_key, 0), source=bob.public_key)
        first = await ledger.build(alice, gone, signers=[alice, bob])
        operations = [Payment(bob.public_key, XLM, "1"), Payment(alice.public_key, XLM, "1", bob.public_key)]
        second = await ledger.build(alice, *operations, sequence=number + 2, signers=[alice, signer])
        for envelope in (first, second):
            assert await ledger.offer(envelope) == "PENDING"
        await ledger.close()
        assert await ledger.codes(second) == ["tx_failed", "op_success", "op_bad_auth"]
        assert await ledger.sequence(alice) == number + 2


async def test_clawing_back_a_balance_of_somebody_else_has_its_name(pair):
    """The code of a claimable balance of another issuer is called as Horizon calls it."""
    code = xdr.ClawbackClaimableBalanceResultCode.CLAWBACK_CLAIMABLE_BALANCE_NOT_ISSUER
    assert OpResult(xdr.OperationType.CLAWBACK_CLAIMABLE_BALANCE, code).name == "op_no_issuer"
    ledger, alice, bob = pair
    foreign = Clawback(Asset("EURT", bob.public_key), bob.public_key, "1")
    assert await ledger.run(alice, foreign) == ["tx_failed", "op_malformed"]


async def test_padding_must_be_zero(pair):
    """There is one way to write a transaction: anything else in the padding is no envelope."""
    ledger, alice, bob = pair
    account = Account(alice.public_key, await ledger.sequence(alice))
    builder = TransactionBuilder(account, ledger.passphrase).add_time_bounds(0, 0).add_text_memo("abcde")
    envelope = builder.append_payment_op(bob.public_key, XLM, "1").build()
    envelope.sign(alice)
    raw = bytearray(base64.b64decode(envelope.to_xdr()))
    raw[raw.index(b"abcde") + 5] = 1
    with pytest.raises(MalformedEnvelopeError, match="padding"):
        decode(base64.b64encode(raw).decode(), network_id(ledger.passphrase))
    status, body = await ledger.post("/transactions_async", data={"tx": base64.b64encode(raw).decode()})
    assert (status, body["title"]) == (400, "Transaction Malformed")
