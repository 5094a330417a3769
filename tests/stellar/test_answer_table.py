"""The table of answers in design/stellar.md, row by row, on a ledger: what provokes it, what is made of it.

Rows that need a fault of networks or gateways (PENDING and DUPLICATE, TRY_AGAIN_LATER, 429, 503, 504,
reset, tx_insufficient_fee, tx_insufficient_balance) stand in test_plain_path and test_faults.
"""

from datetime import UTC, datetime

import pytest
from stellar_sdk import (
    AccountMerge,
    BumpSequence,
    ChangeTrust,
    SetOptions,
    TransactionBuilder,
    TransactionEnvelope,
    xdr,
)

from activities.stellar import envelope
from db.writes import submissions
from domain.mint_request import MintStatus
from domain.submission import Outcome
from tests.support.anomalies import send
from tests.support.minting import minting_on

CONFIRMED, FAILED, TIMED_OUT, ANOMALY = (
    Outcome.CONFIRMED, Outcome.FAILED, Outcome.TIMEOUT_FAILED, Outcome.ANOMALY,
)  # fmt: skip


TRIES = 20


async def lost(minting, key="first", **rules):
    """A request whose envelope is stored, and which no node has kept; with its channel account's key."""
    request = await minting.approved(key)
    await minting.ledger.fault("timeout_never_land", count=1)
    answer = await minting.submit(request, minting.activities(rules=minting.ledger.rules(**rules)))
    [channel] = [key for key in minting.ledger.channels if key.public_key == answer.channel]
    return request, channel


async def queue(ledger, *signers, operations):
    """Put somebody's transaction into the queue without closing its ledger."""
    account = await ledger.server.load_account(signers[0].public_key)
    builder = TransactionBuilder(account, envelope_network(ledger), base_fee=100).add_time_bounds(0, 0)
    for operation in operations:
        builder.append_operation(operation)
    built = builder.build()
    for signer in signers:
        built.sign(signer)
    await ledger.server.submit_transaction_async(built)


def envelope_network(ledger) -> str:
    """The network of the ledger."""
    return ledger.rules().network_passphrase


# ---- found in a closed ledger


async def nothing(ledger, channel):
    """Nobody interferes."""


async def no_trustline(ledger, channel):
    """The holder takes the trustline away."""
    await ledger.trust(ledger.holder, "0")


async def no_authorisation(ledger, channel):
    """The issuer takes the authorisation away."""
    await ledger.require_authorisation()
    await ledger.withdraw_authorisation(ledger.holder)


async def no_room(ledger, channel):
    """The holder lowers the limit."""
    await ledger.trust(ledger.holder, "1")


async def no_destination(ledger, channel):
    """The holder's account ends."""
    asset = ledger.ledger_asset
    await ledger.run(ledger.holder, ChangeTrust(asset, "0"), AccountMerge(ledger.issuer.public_key))


async def jumped_in_the_same_ledger(ledger, channel):
    """The channel's sequence is bumped past the envelope's by a transaction before it in its ledger."""
    above = await ledger.sequence(channel) + 9
    jump = BumpSequence(above, source=channel.public_key)
    await queue(ledger, ledger.holder, channel, operations=[jump])


async def locked_in_the_same_ledger(ledger, channel):
    """The channel's key loses its weight by a transaction before the envelope in its ledger."""
    lock = SetOptions(master_weight=0, source=channel.public_key)
    await queue(ledger, ledger.holder, channel, operations=[lock])


IN_A_LEDGER = [
    (nothing, CONFIRMED, []),
    (no_trustline, FAILED, ["op_no_trust"]),
    (no_authorisation, FAILED, ["op_not_authorized"]),
    (no_room, FAILED, ["op_line_full"]),
    (no_destination, FAILED, ["op_no_destination"]),
]


@pytest.mark.parametrize(
    ("provoke", "outcome", "codes"), IN_A_LEDGER, ids=[row[0].__name__ for row in IN_A_LEDGER]
)
async def test_what_stands_in_a_closed_ledger_is_final(minting, ledger, provoke, outcome, codes):
    """Included: CONFIRMED, or FAILED with the ledger's own code; fee and sequence are spent either way."""
    request, channel = await lost(minting)
    await provoke(ledger, channel)
    result = await minting.mint(request)
    landed = result.proof.landed
    assert (result.outcome, result.proof.kind) == (outcome, "landed")
    assert (landed.successful, landed.fee_charged) == (outcome is CONFIRMED, 100)
    found = landed.result_codes.get("operations") or [landed.result_codes.get("transaction")]
    assert codes == (found if codes else [])
    assert all(code in result.reason for code in codes)
    assert set((await minting.channel_states()).values()) == {"FREE"}


IN_ITS_OWN_LEDGER = [(jumped_in_the_same_ledger, "tx_bad_seq"), (locked_in_the_same_ledger, "tx_bad_auth")]


@pytest.mark.parametrize(("provoke", "code"), IN_ITS_OWN_LEDGER, ids=[row[1] for row in IN_ITS_OWN_LEDGER])
async def test_what_breaks_in_its_own_ledger_is_final_too(seeded, provoke, code):
    """Taken into the queue, included, and refused for what stood before it in the ledger."""
    for number in range(TRIES):
        async with minting_on(seeded, channels=1) as minting:
            request, channel = await lost(minting, f"try-{number}")
            await provoke(minting.ledger, channel)
            await minting.submit(request)
            result = await minting.mint(request)
            if result.outcome is CONFIRMED:
                # nobody picks the order of the accounts in a ledger: this time the mint came first
                continue
            assert (result.outcome, result.proof.kind) == (FAILED, "landed")
            assert result.proof.landed.result_codes == {"transaction": code}
            assert await minting.ledger.payments() == []
            return
    raise AssertionError(f"the mint came first {TRIES} times")


# ---- refused at the door, by what has happened since it was signed


async def issuer_locked(ledger, channel):
    """The issuer's key loses its weight: the operation's signature does not do any more."""
    await ledger.lock(ledger.issuer)


async def channel_locked(ledger, channel):
    """The channel's key loses its weight: the transaction's signature does not do any more."""
    lock = SetOptions(master_weight=0, source=channel.public_key)
    await send(ledger, ledger.holder, channel, operations=[lock])


async def channel_gone(ledger, channel):
    """The channel account ends."""
    merge = AccountMerge(ledger.holder.public_key, source=channel.public_key)
    await send(ledger, ledger.holder, channel, operations=[merge])


async def sequence_used(ledger, channel):
    """Somebody else uses the sequence."""
    bump = BumpSequence(0)
    await ledger.run(channel, bump)


AT_THE_DOOR = [
    (issuer_locked, "tx_failed", TIMED_OUT),
    (channel_locked, "tx_bad_auth", TIMED_OUT),
    (channel_gone, "tx_no_source_account", ANOMALY),
    (sequence_used, "tx_bad_seq", ANOMALY),
]


@pytest.mark.parametrize(("provoke", "word", "outcome"), AT_THE_DOOR, ids=[row[1] for row in AT_THE_DOOR])
async def test_a_refusal_at_the_door_ends_nothing_by_itself(minting, ledger, provoke, word, outcome):
    """Looked for again and again, and ended only by the proof after the bound; no payment in any case."""
    request, channel = await lost(minting, window_seconds=30)
    await provoke(ledger, channel)
    await minting.submit(request)
    assert (await minting.answers(request))[1:] == [word]
    assert (await minting.record(request)).status is MintStatus.SUBMITTING
    result = await minting.mint(request)
    assert result.outcome is outcome
    assert result.proof.ledger_closed_at.timestamp() > result.proof.max_time
    # sent again where that may help, the last times too close to the bound
    assert set((await minting.answers(request))[1:]) <= {word, "tx_too_late"}
    assert await ledger.payments() == []


# ---- refused at the door, for what the envelope is: none of these is ever signed here, but one may be stored


def garbage(request, ledger, **place):
    """Bytes that are no envelope."""
    return envelope.sign_mint(request, ledger.wallet(), **place).model_copy(update={"envelope_xdr": "AAAA"})


def without_operations(request, ledger, **place):
    """A signed transaction that does nothing."""
    return made_otherwise(request, ledger, place, lambda operations: [])


def malformed_payment(request, ledger, **place):
    """A payment of nothing."""

    def emptied(operations):
        operations[0].body.payment_op.amount = xdr.Int64(0)
        return operations

    return made_otherwise(request, ledger, place, emptied)


def made_otherwise(request, ledger, place, change):
    """The request's envelope with other operations, signed anew."""
    signed = envelope.sign_mint(request, ledger.wallet(), **place)
    raw = xdr.TransactionEnvelope.from_xdr(signed.envelope_xdr)
    raw.v1.tx.operations = change(raw.v1.tx.operations)
    changed = TransactionEnvelope.from_xdr(raw.to_xdr(), envelope_network(ledger))
    changed.signatures.clear()
    digest = envelope.sign(changed, ledger.wallet(), signed.channel)
    return signed.model_copy(update={"hash": digest, "envelope_xdr": changed.to_xdr()})


WRONG_ENVELOPES = [
    (garbage, "tx_malformed"), (without_operations, "tx_missing_operation"), (malformed_payment, "tx_failed"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "word"), WRONG_ENVELOPES, ids=[row[0].__name__ for row in WRONG_ENVELOPES])
async def test_an_envelope_that_can_never_be_taken_is_sent_once(minting, ledger, make, word):
    """Permanent for this envelope: an attempt stops sending, and only the proof ends the request."""
    request = await minting.approved()
    async with minting.database.transaction() as tx:
        channel = await submissions.reserve(tx, request_id=request.id, accounts=ledger.wallet().channels)
        view = await minting.horizon.account(channel)
        wrong = make(
            request, ledger, channel=channel, sequence=view.sequence + 1, max_time=ledger.now + 30,
            signed_at_ledger=view.ledger,
        )  # fmt: skip
        record = await minting.record(request)
        await submissions.store_submission(tx, record=record, submission=wrong, at=datetime.now(UTC))
    worker = minting.activities()
    await minting.submit(request, worker)
    async with ledger.closing():
        result = await minting.settle(request, worker)
    assert result.outcome is TIMED_OUT
    assert await minting.answers(request) == [word]


async def test_too_late_at_the_door_is_proved(minting, ledger):
    """A bound that no node takes any more: the answer is tx_too_late, the end is the proof."""
    request = await minting.approved()
    worker = minting.activities(rules=ledger.rules(window_seconds=5))
    result = await minting.mint(request, worker)
    assert set(await minting.answers(request)) == {"tx_too_late"}
    assert result.outcome is TIMED_OUT
    assert result.proof.kind == "never_landed"
