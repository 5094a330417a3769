"""Transactions of the funding account: what they need, how they are built and signed; no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from stellar_sdk import Account, Asset, TransactionBuilder, TransactionEnvelope

from activities.stellar.horizon import Ledger
from activities.stellar.rules import BASE_FEE, SubmissionRules
from activities.stellar.signers import Wallet
from domain.amounts import format_amount
from domain.channel_accounts import ChannelKey, Funding, Payment
from domain.errors import Refused
from domain.ledger_accounts import ACCOUNT_RESERVES, BASE_RESERVE, AccountView, spendable

BID_PARTS = 2
"""A fee bump of one mint counts as two operations, so an operation's share of the dearest is a half."""

OPERATIONS_PER_ACCOUNT = 3
"""Begin the sponsorship, create, end the sponsorship."""


def check_creation(funder: AccountView, count: int, balance: int, rules: SubmissionRules) -> None:
    """Raise Refused unless the funding account can create so many accounts of `balance` native stroops."""
    fee = count * OPERATIONS_PER_ACCOUNT * _bid(rules)
    need = count * (balance + ACCOUNT_RESERVES * BASE_RESERVE) + fee
    _check(funder, need, f"the next {count} channel accounts take")


def check_payments(funder: AccountView, payments: Sequence[Payment], rules: SubmissionRules) -> None:
    """Raise Refused unless the funding account can make these payments."""
    need = sum(payment.amount for payment in payments) + len(payments) * _bid(rules)
    _check(funder, need, f"topping up {len(payments)} channel accounts takes")


def sign_creation(
    wallet: Wallet,
    rules: SubmissionRules,
    funder: AccountView,
    channels: Sequence[ChannelKey],
    balance: int,
    newest: Ledger,
) -> Funding:
    """One transaction that creates the accounts, their reserves sponsored by the funding account."""
    builder = _builder(funder, rules)
    for channel in channels:
        builder.append_begin_sponsoring_future_reserves_op(channel.account)
        builder.append_create_account_op(channel.account, format_amount(balance))
        builder.append_end_sponsoring_future_reserves_op(channel.account)
    signing = [funder.account_id, *(channel.account for channel in channels)]
    return _sign(builder, wallet, rules, funder, signing, newest)


def sign_payments(
    wallet: Wallet,
    rules: SubmissionRules,
    funder: AccountView,
    payments: Sequence[Payment],
    newest: Ledger,
) -> Funding:
    """One transaction that makes the payments."""
    builder = _builder(funder, rules)
    for payment in payments:
        builder.append_payment_op(payment.account, Asset.native(), format_amount(payment.amount))
    funding = _sign(builder, wallet, rules, funder, [funder.account_id], newest)
    return funding.model_copy(update={"payments": tuple(payments)})


def _bid(rules: SubmissionRules) -> int:
    """Stroops bid for an operation: as much as for a mint's; the ledger charges what it must."""
    return max(BASE_FEE, rules.max_fee_stroops // BID_PARTS)


def _builder(funder: AccountView, rules: SubmissionRules) -> TransactionBuilder:
    return TransactionBuilder(
        Account(funder.account_id, funder.sequence), rules.network_passphrase, base_fee=_bid(rules)
    )


def _sign(
    builder: TransactionBuilder,
    wallet: Wallet,
    rules: SubmissionRules,
    funder: AccountView,
    signing: list[str],
    newest: Ledger,
) -> Funding:
    max_time = newest.close_time + rules.window_seconds
    envelope: TransactionEnvelope = builder.add_time_bounds(0, max_time).build()
    digest = envelope.hash()
    envelope.signatures.extend(wallet.sign(digest, signing))
    return Funding(
        account=funder.account_id,
        hash=digest.hex(),
        sequence=funder.sequence + 1,
        max_time=max_time,
        envelope_xdr=envelope.to_xdr(),
        signed_at_ledger=newest.sequence,
    )


def _check(funder: AccountView, need: int, what: str) -> None:
    has = max(spendable(funder), 0)
    if has < need:
        raise Refused(
            f"funding account {funder.account_id} can spend {format_amount(has)} XLM and {what} "
            f"{format_amount(need)} XLM: fund it with at least {format_amount(need - has)} XLM"
        )
