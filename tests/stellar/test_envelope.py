"""The envelope: what is in it, its bump, and the check against the request."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import FeeBumpTransactionEnvelope, HashMemo, Payment, TransactionEnvelope, xdr

from activities.stellar import envelope
from domain.amounts import MAX_STROOPS, Asset
from domain.ledger_options import MintForm, MintPlan
from domain.submission import FeeBump
from settings import PUBLIC_PASSPHRASE, TESTNET_PASSPHRASE
from tests.support.mints import CHANNEL, HOLDER, ISSUER, a_request, a_wallet

SANDWICH = MintPlan(form=MintForm.AUTH_SANDWICH)
KEEPING = MintPlan(form=MintForm.AUTH_SANDWICH, line_flags=2)
CLAIMABLE = MintPlan(form=MintForm.CLAIMABLE_BALANCE, reclaim_from=2_000_000_000)
FORMS = [MintPlan(), SANDWICH, KEEPING, CLAIMABLE]
TICKETED = [plan.model_copy(update={"ticket": True}) for plan in FORMS]


def signed(request=None, channel=CHANNEL, wallet=None, **more):
    """The signed mint of a request over a channel account."""
    return envelope.sign_mint(
        request or a_request(),
        wallet or a_wallet(CHANNEL),
        channel=channel.public_key,
        sequence=42,
        max_time=1000,
        signed_at_ledger=7,
        **more,
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
    (with_bid(2_000), 1_500, 100_000, 20_000),
    (with_bid(2_000), 15_001, 100_000, 30_002),  # which is counted as two operations
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


def named(plan):
    """A readable name of a parametrised plan."""
    return f"{plan.form}-{plan.line_flags}{'-ticket' if plan.ticket else ''}"


@pytest.mark.parametrize("plan", [*FORMS, *TICKETED], ids=named)
def test_every_form_matches_its_request(plan):
    """What is signed by a plan is what the stored plan says."""
    assert envelope.find_mismatch(signed(plan=plan), a_request()) == ""


@pytest.mark.parametrize("plan", [*FORMS, *TICKETED], ids=named)
def test_every_operation_has_the_issuer_as_its_source(plan):
    """The channel account pays the fee and gives the sequence, nothing else."""
    transaction = TransactionEnvelope.from_xdr(signed(plan=plan).envelope_xdr, TESTNET_PASSPHRASE).transaction
    assert {operation.source.account_id for operation in transaction.operations} == {ISSUER.public_key}
    assert transaction.source.account_id == CHANNEL.public_key


@pytest.mark.parametrize("other", [*FORMS, *TICKETED], ids=named)
@pytest.mark.parametrize("plan", [*FORMS, *TICKETED], ids=named)
def test_an_envelope_of_another_form_is_told_apart(plan, other):
    """Only the form that is stored with the envelope may be confirmed, to the last flag."""
    stored = signed(plan=plan)
    claimed = stored.plan.model_copy(update=other.model_dump(exclude={"claimable_balance_id"}))
    mismatch = envelope.find_mismatch(stored.model_copy(update={"plan": claimed}), a_request())
    assert (mismatch == "") is (plan == other)


@pytest.mark.parametrize("changes", [
    {"amount": 1}, {"destination": CHANNEL.public_key}, {"memo": "for something else"},
    {"asset": Asset(code="USDT", issuer=ISSUER.public_key)},
    {"asset": Asset(code="EURT", issuer=CHANNEL.public_key)},
])  # fmt: skip
@pytest.mark.parametrize("plan", [*FORMS, *TICKETED], ids=named)
def test_another_request_is_told_apart_in_every_form(plan, changes):
    """Amount, asset, destination, claimants, sources and memo are compared in every form."""
    assert "another" in envelope.find_mismatch(signed(plan=plan), a_request(**changes))


@pytest.mark.parametrize(("stored", "words"), [
    ({"sequence": 43}, "another channel account or sequence"),
    ({"channel": HOLDER.public_key}, "another channel account or sequence"),
    ({"max_time": 1001}, "other time bounds"),
])  # fmt: skip
def test_what_is_stored_beside_the_envelope_is_compared_too(stored, words):
    """The proof speaks of channel, sequence and bound as they are stored, so they must be the signed ones."""
    assert words in envelope.find_mismatch(signed().model_copy(update=stored), a_request())


def test_a_later_reclaim_is_told_apart():
    """The issuer may take a claimable balance back from the stored moment on, no sooner and no later."""
    stored = signed(plan=CLAIMABLE)
    later = stored.plan.model_copy(update={"reclaim_from": 2_000_000_001})
    mismatch = envelope.find_mismatch(stored.model_copy(update={"plan": later}), a_request())
    assert "another set of claimants" in mismatch


def test_another_balance_id_is_told_apart():
    """People claim by the stored id, so it must be the one that the ledger gives."""
    stored = signed(plan=CLAIMABLE)
    other = stored.plan.model_copy(update={"claimable_balance_id": "00" * 36})
    mismatch = envelope.find_mismatch(stored.model_copy(update={"plan": other}), a_request())
    assert "another claimable balance" in mismatch


@pytest.mark.parametrize(("plan", "operations"), [(MintPlan(), 1), (SANDWICH, 3), (TICKETED[1], 4)])
def test_a_bump_counts_one_operation_more_than_it_wraps(plan, operations):
    """CAP-15: fee and rate are judged for the inner operations and one more."""
    submission = signed(plan=plan)
    fee = envelope.next_bump_fee(submission, None, 1_000_000)
    bump = envelope.bump(submission, a_wallet(CHANNEL), fee=fee, network_passphrase=TESTNET_PASSPHRASE)
    outer = FeeBumpTransactionEnvelope.from_xdr(bump.envelope_xdr, TESTNET_PASSPHRASE)
    assert fee == 10 * 100 * (operations + 1)
    assert outer.transaction.fee == fee


def test_the_bid_of_the_envelope_is_what_a_bump_replaces():
    """An envelope that was signed at a surge price is replaced at ten times that price."""
    submission = signed(plan=SANDWICH, base_fee=250)
    transaction = TransactionEnvelope.from_xdr(submission.envelope_xdr, TESTNET_PASSPHRASE).transaction
    assert transaction.fee == 750
    assert envelope.next_bump_fee(submission, None, 1_000_000) == 2_500 * 4
    assert envelope.next_bump_fee(submission, 4_000, 1_000_000) == 4_000 * 4
