"""Envelopes as people and the judgement of evidence read them: operations, memo, who gets what."""

from __future__ import annotations

import re

from stellar_sdk import (
    AccountMerge,
    BumpSequence,
    CreateAccount,
    CreateClaimableBalance,
    FeeBumpTransactionEnvelope,
    HashMemo,
    IdMemo,
    ManageData,
    MuxedAccount,
    PathPaymentStrictReceive,
    PathPaymentStrictSend,
    Payment,
    ReturnHashMemo,
    TextMemo,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk import Asset as LedgerAsset
from stellar_sdk.memo import Memo
from stellar_sdk.operation import Operation
from stellar_sdk.operation.create_claimable_balance import ClaimPredicateType

from domain.amounts import format_amount
from domain.evidence import MAX_OPERATIONS, SeenOperation

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_SHOWN = 200


def decode(envelope_xdr: str, network_passphrase: str) -> Transaction:
    """The transaction of an envelope, of a fee bump the inner one; raises ValueError or EOFError."""
    if FeeBumpTransactionEnvelope.is_fee_bump_transaction_envelope(envelope_xdr):
        outer = FeeBumpTransactionEnvelope.from_xdr(envelope_xdr, network_passphrase)
        return outer.transaction.inner_transaction_envelope.transaction
    return TransactionEnvelope.from_xdr(envelope_xdr, network_passphrase).transaction


def source_of(transaction: Transaction, operation: Operation | None = None) -> str:
    """The account (G…) that a transaction, or one of its operations, takes from."""
    source = operation.source if operation is not None and operation.source else transaction.source
    return source.universal_account_id


def memo_text(memo: Memo | None) -> str:
    """`hash:` and hex, `text:` and the text, `id:` and the number; empty without a memo."""
    if isinstance(memo, HashMemo):
        return f"hash:{memo.memo_hash.hex()}"
    if isinstance(memo, ReturnHashMemo):
        return f"return:{memo.memo_return.hex()}"
    if isinstance(memo, IdMemo):
        return f"id:{memo.memo_id}"
    return f"text:{_plain(memo.memo_text.decode(errors='replace'))}" if isinstance(memo, TextMemo) else ""


def operations_of(transaction: Transaction) -> tuple[SeenOperation, ...]:
    """The operations, at most MAX_OPERATIONS: those that move an asset first, the rest in their order."""
    seen = [_operation(transaction, operation) for operation in transaction.operations]
    return tuple(sorted(seen, key=lambda operation: not operation.asset)[:MAX_OPERATIONS])


def _plain(text: str) -> str:
    """Strangers write on the ledger too: nothing that would repaint the terminal of who reads it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _operation(transaction: Transaction, operation: Operation) -> SeenOperation:
    asset, amount = _moved(operation)
    return SeenOperation(
        kind=_CAPITAL.sub("_", type(operation).__name__).lower(),
        source=source_of(transaction, operation),
        asset="" if asset is None else _asset_text(asset),
        amount="" if amount is None else format_amount(Operation.to_xdr_amount(amount)),
        destinations=_destinations(operation),
        conditional=_claimants(operation, conditional=True),
        detail=_detail(operation)[:_SHOWN],
    )


def _moved(operation: Operation) -> tuple[LedgerAsset | None, str | None]:
    """What leaves the operation's source, and how much where that is certain."""
    if isinstance(operation, Payment | CreateClaimableBalance):
        return operation.asset, operation.amount
    if isinstance(operation, PathPaymentStrictSend):
        return operation.send_asset, operation.send_amount
    if isinstance(operation, PathPaymentStrictReceive):
        return operation.send_asset, None
    if isinstance(operation, CreateAccount):
        return LedgerAsset.native(), operation.starting_balance
    # offers sell out of the issuer's hand too
    selling = getattr(operation, "selling", None)
    return (selling, None) if isinstance(selling, LedgerAsset) else (None, None)


def _asset_text(asset: LedgerAsset) -> str:
    return "native" if asset.is_native() else f"{asset.code}:{asset.issuer}"


def _destinations(operation: Operation) -> tuple[str, ...]:
    if isinstance(operation, CreateClaimableBalance):
        return _claimants(operation, conditional=False)
    destination = getattr(operation, "destination", None)
    if isinstance(destination, MuxedAccount):
        return (destination.universal_account_id,)
    return (destination,) if isinstance(destination, str) else ()


def _claimants(operation: Operation, *, conditional: bool) -> tuple[str, ...]:
    if not isinstance(operation, CreateClaimableBalance):
        return ()
    free = ClaimPredicateType.CLAIM_PREDICATE_UNCONDITIONAL
    return tuple(
        claimant.destination
        for claimant in operation.claimants
        if (claimant.predicate.claim_predicate_type is not free) is conditional
    )


def _detail(operation: Operation) -> str:
    if isinstance(operation, BumpSequence):
        return f"to {operation.bump_to}"
    if isinstance(operation, ManageData):
        return _plain(operation.data_name)
    if isinstance(operation, AccountMerge):
        return "the account ends"
    return ""
