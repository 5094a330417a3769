"""The one envelope of a request: built and signed once, wrapped dearer, checked against the request."""

from __future__ import annotations

from stellar_sdk import (
    Account,
    Asset,
    HashMemo,
    Payment,
    TransactionBuilder,
    TransactionEnvelope,
)

from activities.stellar.rules import BASE_FEE
from activities.stellar.signers import Wallet
from domain.amounts import format_amount
from domain.mint_request import MintRequest
from domain.submission import FeeBump, Submission

BUMP_OPERATIONS = 2
"""A fee bump of one payment counts as two operations (CAP-15)."""

REPLACE_FACTOR = 10
"""Nodes replace a queued transaction only by one of at least ten times its fee rate."""


def sign_mint(
    request: MintRequest, wallet: Wallet, *, channel: str, sequence: int, max_time: int, signed_at_ledger: int
) -> Submission:
    """Build and sign the payment from the issuer that is the mint.

    `max_time` is in Unix seconds of ledger time. Signatures stand in a fixed order, channel first:
    nodes compare whole envelopes, and a second copy in another order would confuse them.
    """
    builder = TransactionBuilder(
        # the builder itself goes one up from the account's sequence
        Account(channel, sequence - 1),
        request.network_passphrase,
        base_fee=BASE_FEE,
    )
    builder.append_payment_op(
        request.destination,
        Asset(request.asset.code, request.asset.issuer),
        format_amount(request.amount),
        source=wallet.issuer,
    )
    builder.add_hash_memo(bytes.fromhex(request.digest()))
    builder.add_time_bounds(0, max_time)
    envelope = builder.build()
    digest = envelope.hash()
    # a signature that nobody needs makes the transaction invalid, so the issuer signs once
    signing = list(dict.fromkeys((channel, wallet.issuer)))
    envelope.signatures.extend(wallet.sign(digest, signing))
    return Submission(
        request_id=request.id,
        hash=digest.hex(),
        channel=channel,
        sequence=sequence,
        max_time=max_time,
        envelope_xdr=envelope.to_xdr(),
        signed_at_ledger=signed_at_ledger,
    )


def max_time_for(request: MintRequest, newest_close_time: int, window_seconds: int) -> int:
    """The time bound in Unix seconds: ledger time plus the window, never past the request's deadline."""
    bound = newest_close_time + window_seconds
    deadline = request.ledger_deadline
    return bound if deadline is None else min(bound, int(deadline.timestamp()))


def next_bump_fee(submission: Submission, wanted_fee: int | None, max_fee: int) -> int | None:
    """The whole fee, in native stroops, of the next fee bump; None if the cap allows none that would help.

    `wanted_fee` is what the node said would do for the envelope that it refused.
    """
    sent_operations = BUMP_OPERATIONS if submission.fee_bumps else 1
    bid = submission.fee_bumps[-1].fee // BUMP_OPERATIONS if submission.fee_bumps else BASE_FEE
    wanted = bid + 1 if wanted_fee is None else max(-(-wanted_fee // sent_operations), bid + 1)
    ceiling = max_fee // BUMP_OPERATIONS
    if wanted > ceiling:
        return None
    return min(max(wanted, bid * REPLACE_FACTOR), ceiling) * BUMP_OPERATIONS


def bump(submission: Submission, wallet: Wallet, *, fee: int, network_passphrase: str) -> FeeBump:
    """Wrap the same inner transaction at `fee` native stroops, paid and signed by its channel account."""
    inner = TransactionEnvelope.from_xdr(submission.envelope_xdr, network_passphrase)
    outer = TransactionBuilder.build_fee_bump_transaction(
        submission.channel, fee // BUMP_OPERATIONS, inner, network_passphrase
    )
    digest = outer.hash()
    outer.signatures.extend(wallet.sign(digest, [submission.channel]))
    return FeeBump(hash=digest.hex(), fee=fee, envelope_xdr=outer.to_xdr())


def find_mismatch(submission: Submission, request: MintRequest) -> str:
    """Name the first thing in the stored envelope that is not what was asked for; empty: all is right."""
    envelope = TransactionEnvelope.from_xdr(submission.envelope_xdr, request.network_passphrase)
    transaction = envelope.transaction
    if envelope.hash_hex() != submission.hash:
        return "the stored envelope does not have the stored hash"
    payment = transaction.operations[0]
    if len(transaction.operations) != 1 or not isinstance(payment, Payment):
        return "the stored envelope is not one payment"
    asset = Asset(request.asset.code, request.asset.issuer)
    checks = {
        "source": payment.source is not None and payment.source.universal_account_id == request.asset.issuer,
        "asset": payment.asset == asset,
        # the library writes one stroop as `1E-7`, so it must read its own notation
        "amount": payment.to_xdr_amount(payment.amount) == request.amount,
        "destination": payment.destination.universal_account_id == request.destination,
        "memo": transaction.memo == HashMemo(request.digest()),
    }
    wrong = [name for name, right in checks.items() if not right]
    return f"the stored envelope has another {wrong[0]} than the request" if wrong else ""
