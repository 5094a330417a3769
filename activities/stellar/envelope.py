"""The one envelope of a request: built and signed once, wrapped dearer, checked against the request."""

from __future__ import annotations

from collections.abc import Sequence

from stellar_sdk import Account, TransactionBuilder, TransactionEnvelope, xdr
from stellar_sdk.operation import CreateClaimableBalance, Operation

from activities.stellar.operations import mint_operations
from activities.stellar.rules import BASE_FEE
from activities.stellar.signers import Wallet
from domain.ledger_options import MintPlan
from domain.mint_request import MintRequest
from domain.submission import FeeBump, Submission

REPLACE_FACTOR = 10
"""Nodes replace a queued transaction only by one of at least ten times its fee rate."""

PLAIN = MintPlan()
"""One payment and nothing else."""

_WORDS = {
    "claimants": "set of claimants",
    "trustor": "trustline",
    "clear_flags": "authorisation",
    "set_flags": "authorisation",
    "data_name": "ticket",
    "data_value": "ticket",
}
"""What people call the parts of operations whose own names would tell them nothing."""


def sign_mint(
    request: MintRequest,
    wallet: Wallet,
    *,
    channel: str,
    sequence: int,
    max_time: int,
    signed_at_ledger: int,
    base_fee: int = BASE_FEE,
    plan: MintPlan = PLAIN,
) -> Submission:
    """Build and sign the transaction that is the mint, as `plan` says.

    `max_time` is in Unix seconds of ledger time, `base_fee` in native stroops for one operation. The
    answer's plan names the claimable balance, if there will be one.
    """
    envelope = draft(
        mint_operations(request, plan),
        network_passphrase=request.network_passphrase,
        channel=channel,
        sequence=sequence,
        max_time=max_time,
        base_fee=base_fee,
        memo=request.digest(),
    )
    digest = sign(envelope, wallet, channel)
    return Submission(
        request_id=request.id,
        hash=digest,
        channel=channel,
        sequence=sequence,
        max_time=max_time,
        envelope_xdr=envelope.to_xdr(),
        signed_at_ledger=signed_at_ledger,
        plan=plan.model_copy(update={"claimable_balance_id": _balance_id(envelope)}),
    )


def draft(
    operations: Sequence[Operation],
    *,
    network_passphrase: str,
    channel: str,
    sequence: int,
    max_time: int,
    base_fee: int,
    memo: str,
) -> TransactionEnvelope:
    """A transaction that is bounded in time, not signed yet; `memo` is the hex digest of the request."""
    # the builder itself goes one up from the account's sequence
    builder = TransactionBuilder(Account(channel, sequence - 1), network_passphrase, base_fee=base_fee)
    for operation in operations:
        builder.append_operation(operation)
    builder.add_hash_memo(bytes.fromhex(memo))
    builder.add_time_bounds(0, max_time)
    return builder.build()


def sign(envelope: TransactionEnvelope, wallet: Wallet, channel: str) -> str:
    """Sign for the channel and then the issuer, and return the hex hash.

    The order is fixed: nodes compare whole envelopes, and a second copy in another order would confuse
    them.
    """
    digest = envelope.hash()
    # a signature that nobody needs makes the transaction invalid, so the issuer signs once
    envelope.signatures.extend(wallet.sign(digest, list(dict.fromkeys((channel, wallet.issuer)))))
    return digest.hex()


def max_time_for(request: MintRequest, newest_close_time: int, window_seconds: int) -> int:
    """The time bound in Unix seconds: ledger time plus the window, never past the request's deadline."""
    bound = newest_close_time + window_seconds
    deadline = request.ledger_deadline
    return bound if deadline is None else min(bound, int(deadline.timestamp()))


def standing_bid(submission: Submission) -> tuple[int, int]:
    """What the newest envelope bids for an operation, in native stroops, and as how many it counts."""
    first_bid, operations = _bid(submission)
    if submission.fee_bumps:
        return submission.fee_bumps[-1].fee // (operations + 1), operations + 1
    return first_bid // operations, operations


def next_bump_fee(submission: Submission, wanted: int | None, max_fee: int) -> int | None:
    """The whole fee, in native stroops, of the next fee bump; None if the cap allows none that would help.

    `wanted` is the least that would do for an operation, as far as that is known.
    """
    bid, _ = standing_bid(submission)
    _, operations = _bid(submission)
    needed = max(wanted or 0, bid + 1)
    ceiling = max_fee // (operations + 1)
    if needed > ceiling:
        return None
    return min(max(needed, bid * REPLACE_FACTOR), ceiling) * (operations + 1)


def bump(submission: Submission, wallet: Wallet, *, fee: int, network_passphrase: str) -> FeeBump:
    """Wrap the same inner transaction at `fee` native stroops, paid and signed by its channel account.

    A fee bump counts one operation more than what it wraps (CAP-15); `fee` is a multiple of that.
    """
    inner = TransactionEnvelope.from_xdr(submission.envelope_xdr, network_passphrase)
    counted = len(inner.transaction.operations) + 1
    outer = TransactionBuilder.build_fee_bump_transaction(
        submission.channel, fee // counted, inner, network_passphrase
    )
    digest = outer.hash()
    outer.signatures.extend(wallet.sign(digest, [submission.channel]))
    return FeeBump(hash=digest.hex(), fee=fee, envelope_xdr=outer.to_xdr())


def find_mismatch(submission: Submission, request: MintRequest) -> str:
    """Name the first thing in the stored envelope that is not what was asked for; empty: all is right.

    Everything but the fee is compared: the operations of the stored plan with their sources, amount,
    asset, claimants and flags, then memo, channel account, sequence and bounds.
    """
    stored = TransactionEnvelope.from_xdr(submission.envelope_xdr, request.network_passphrase)
    if stored.hash_hex() != submission.hash:
        return "the stored envelope does not have the stored hash"
    wanted = _wanted(submission, request)
    if wanted.transaction.to_xdr_object() != _at_the_same_fee(stored, wanted):
        return f"the stored envelope has {_difference(stored, wanted)} than the request"
    if submission.plan.claimable_balance_id != _balance_id(stored):
        return "the stored envelope makes another claimable balance than the stored one"
    return ""


def _wanted(submission: Submission, request: MintRequest) -> TransactionEnvelope:
    """What should have been signed for this request on this channel account."""
    envelope = draft(
        mint_operations(request, submission.plan),
        network_passphrase=request.network_passphrase,
        channel=submission.channel,
        sequence=submission.sequence,
        max_time=submission.max_time,
        base_fee=BASE_FEE,
        memo=request.digest(),
    )
    # amounts have several spellings until they have been through the ledger's own form
    return TransactionEnvelope.from_xdr(envelope.to_xdr(), request.network_passphrase)


def _at_the_same_fee(stored: TransactionEnvelope, wanted: TransactionEnvelope) -> object:
    found = stored.transaction.to_xdr_object()
    found.fee = wanted.transaction.to_xdr_object().fee
    return found


def _difference(stored: TransactionEnvelope, wanted: TransactionEnvelope) -> str:
    found, meant = stored.transaction, wanted.transaction
    if [type(operation) for operation in found.operations] != [type(each) for each in meant.operations]:
        return "other operations"
    for operation, other in zip(found.operations, meant.operations, strict=True):
        for name, value in vars(other).items():
            if vars(operation).get(name) != value:
                return f"another {_WORDS.get(name, name)}"
    if found.memo != meant.memo:
        return "another memo"
    if (found.source, found.sequence) != (meant.source, meant.sequence):
        return "another channel account or sequence"
    return "other time bounds"


def _bid(submission: Submission) -> tuple[int, int]:
    """What the envelope itself bids, in native stroops, and how many operations it has."""
    envelope = xdr.TransactionEnvelope.from_xdr(submission.envelope_xdr)
    if envelope.v1 is None:
        msg = f"the stored envelope of {submission.request_id} is of a kind that is never signed here"
        raise ValueError(msg)
    return envelope.v1.tx.fee.uint32, len(envelope.v1.tx.operations)


def _balance_id(envelope: TransactionEnvelope) -> str | None:
    """The hex id of the claimable balance that the transaction makes; None if it makes none."""
    for index, operation in enumerate(envelope.transaction.operations):
        if isinstance(operation, CreateClaimableBalance):
            return envelope.transaction.get_claimable_balance_id(index)
    return None
