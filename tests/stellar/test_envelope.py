"""The envelope: what is in it, its bump, and the check against the request."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import FeeBumpTransactionEnvelope, HashMemo, Payment, TransactionEnvelope, xdr

from activities.stellar import envelope
from domain.amounts import MAX_STROOPS, Asset
from domain.submission import FeeBump
from settings import PUBLIC_PASSPHRASE, TESTNET_PASSPHRASE
from tests.support.mints import CHANNEL, HOLDER, ISSUER, a_request, a_wallet


def signed(request=None, channel=CHANNEL, wallet=None):
    """The signed mint of a request over a channel account."""
    return envelope.sign_mint(
        request or a_request(),
        wallet or a_wallet(CHANNEL),
        channel=channel.public_key,
        sequence=42,
        max_time=1000,
        signed_at_ledger=7,
    )


def test_the_envelope_is_one_payment_from_the_issuer():
    """Operation source issuer, transaction source channel, memo the request's digest, bounded in time."""
    submission = signed()
    transaction = TransactionEnvelope.from_xdr(submission.envelope_xdr, TESTNET_PASSPHRASE).transaction
    [payment] = transaction.operations
    assert isinstance(payment, Payment)
    assert payment.source.account_id == ISSUER.public_key
    assert payment.destination.account_id == HOLDER.public_key
    assert payment.amount == "2500"
    assert transaction.source.account_id == CHANNEL.public_key
    assert transaction.sequence == 42
    assert transaction.memo == HashMemo(a_request().digest())
    assert (transaction.preconditions.time_bounds.min_time,
            transaction.preconditions.time_bounds.max_time) == (0, 1000)  # fmt: skip


def test_signing_twice_gives_the_same_bytes():
    """Signatures stand in a fixed order: two copies of one envelope are the same for every node."""
    assert signed() == signed()


def test_both_accounts_sign_channel_first():
    """The transaction's source and the operation's source each sign once."""
    submission = signed()
    read = TransactionEnvelope.from_xdr(submission.envelope_xdr, TESTNET_PASSPHRASE)
    CHANNEL.verify(read.hash(), read.signatures[0].signature)
    ISSUER.verify(read.hash(), read.signatures[1].signature)
    assert len(read.signatures) == 2
    assert submission.hash == read.hash_hex()


def test_an_issuer_that_is_its_own_channel_signs_once():
    """A second, unneeded signature would make the transaction invalid."""
    submission = signed(channel=ISSUER, wallet=a_wallet())
    read = TransactionEnvelope.from_xdr(submission.envelope_xdr, TESTNET_PASSPHRASE)
    assert len(read.signatures) == 1


@pytest.mark.parametrize(("deadline", "bound"), [(None, 620), (10_000, 620), (620, 620), (619, 619)])
def test_the_time_bound_never_goes_past_the_deadline(deadline, bound):
    """The newest close time plus the window, or the request's own deadline if that is sooner."""
    moment = datetime.fromtimestamp(deadline, UTC) if deadline else None
    assert envelope.max_time_for(a_request(deadline=moment), 500, 120) == bound


def test_a_bump_wraps_the_same_inner_transaction():
    """The inner hash, sequence and bounds stay: at most one of all copies can land."""
    submission = signed()
    bump = envelope.bump(submission, a_wallet(CHANNEL), fee=2000, network_passphrase=TESTNET_PASSPHRASE)
    outer = FeeBumpTransactionEnvelope.from_xdr(bump.envelope_xdr, TESTNET_PASSPHRASE)
    assert outer.transaction.inner_transaction_envelope.hash_hex() == submission.hash
    assert (outer.hash_hex(), outer.transaction.fee, bump.fee) == (bump.hash, 2000, 2000)
    CHANNEL.verify(outer.hash(), outer.signatures[0].signature)


def with_bid(fee):
    """A submission whose newest fee bump bids `fee` for its two operations."""
    return signed().model_copy(update={"fee_bumps": (FeeBump(hash="b", fee=fee, envelope_xdr="x"),)})


@pytest.mark.parametrize(("submission", "wanted", "cap", "fee"), [
    (signed(), 150, 100_000, 2_000),  # ten times the queued rate, for two operations
    (signed(), 5_000, 100_000, 10_000),  # what the node wants, where that is more
    (signed(), None, 100_000, 2_000),
    (signed(), 600, 1_200, 1_200),  # the cap, where ten times would be above it
    (signed(), 601, 1_200, None),  # more than the cap: no bump would help
    (signed(), None, 200, None),
    (with_bid(2_000), 3_000, 100_000, 20_000),
    (with_bid(2_000), 30_001, 100_000, 30_002),  # the node counts two operations
    (with_bid(100_000), None, 100_000, None),
])  # fmt: skip
def test_the_next_bump_fee(submission, wanted, cap, fee):
    """Dearer than the last, at least what the node wants, ten times where the cap allows it, else none."""
    assert envelope.next_bump_fee(submission, wanted, cap) == fee


@given(wanted=st.none() | st.integers(1, 10**9), cap=st.integers(100, 10**9), bid=st.integers(100, 10**8))
def test_a_bump_is_dearer_and_within_the_cap(wanted, cap, bid):
    """Every bump bids more than the last and never above the cap, so bumping ends."""
    submission = signed_once.model_copy(
        update={"fee_bumps": (FeeBump(hash="b", fee=2 * bid, envelope_xdr="x"),)}
    )
    fee = envelope.next_bump_fee(submission, wanted, cap)
    assert fee is None or 2 * bid < fee <= cap


signed_once = signed()


def test_the_stored_envelope_matches_its_request():
    """What was signed for a request is what it asked for."""
    assert envelope.find_mismatch(signed(), a_request()) == ""


@given(amount=st.integers(1, MAX_STROOPS))
def test_every_amount_survives_the_envelope(amount):
    """Amounts are exact from one stroop to the ledger's maximum."""
    request = a_request(amount=amount)
    submission = signed(request)
    read = xdr.TransactionEnvelope.from_xdr(submission.envelope_xdr)
    assert envelope.find_mismatch(submission, request) == ""
    assert read.v1.tx.operations[0].body.payment_op.amount.int64 == amount


@pytest.mark.parametrize(("changes", "words"), [
    ({"amount": 25_000_000_001}, "another amount"),
    ({"destination": CHANNEL.public_key}, "another destination"),
    ({"asset": Asset(code="USDT", issuer=ISSUER.public_key)}, "another asset"),
    ({"asset": Asset(code="EURT", issuer=CHANNEL.public_key)}, "another source"),
    ({"memo": "for something else"}, "another memo"),
    ({"network_passphrase": PUBLIC_PASSPHRASE}, "stored hash"),
])  # fmt: skip
def test_an_envelope_of_another_request_is_told_apart(changes, words):
    """Before CONFIRMED each part of the payment is compared with the request."""
    assert words in envelope.find_mismatch(signed(), a_request(**changes))


def test_an_exchanged_envelope_is_told_apart():
    """An envelope that was put in the stored one's place does not have the stored hash."""
    other = signed(a_request(amount=1))
    swapped = signed().model_copy(update={"envelope_xdr": other.envelope_xdr})
    assert "stored hash" in envelope.find_mismatch(swapped, a_request())
