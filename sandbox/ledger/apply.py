"""Applying transactions in a ledger: fees first, then one after the other, each whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stellar_sdk import StrKey, xdr

from sandbox.ledger.codec import present
from sandbox.ledger.entries import Changes, Overlay, load_account
from sandbox.ledger.envelopes import FeeBump, Submission, Transaction
from sandbox.ledger.operations import OPERATIONS, OpContext
from sandbox.ledger.operations.base import Failure
from sandbox.ledger.operations.reserves import without_signer
from sandbox.ledger.results import OpCode, OpResult, TxCode, TxResult, unapplied
from sandbox.ledger.rules import minimum_fee
from sandbox.ledger.signatures import SignatureChecker
from sandbox.ledger.validity import (
    Level,
    Moment,
    bump_result,
    check_operation,
    common_checks,
    operation_is_signed,
)


@dataclass(frozen=True, slots=True)
class Applied:
    """A transaction of a closed ledger with its result and, after a success, what each operation did.

    A payment says all there is to know about it, so its changes are left out.
    """

    submission: Submission
    result: TxResult
    changes: tuple[Changes, ...] = ()


def apply_all(
    ordered: list[Submission], entries: Overlay, ledger: int, close_time: int, base_fee: int
) -> tuple[list[Applied], int]:
    """Apply transactions in that order; returns them with their results, and the fees taken, in stroops."""
    fees = [_take_fee(submission, entries, base_fee, ledger) for submission in ordered]
    highest: dict[str, int] = {}
    for submission in ordered:
        highest[submission.source] = max(highest.get(submission.source, 0), submission.sequence)
    runner = _Runner(entries, Moment(ledger, close_time), highest)
    applied = []
    for submission, fee in zip(ordered, fees, strict=True):
        if isinstance(submission, FeeBump):
            inner_fee = min(submission.inner.fee, minimum_fee(submission.inner.operation_count, base_fee))
            _drop_one_time_signer(entries, {submission.fee_source}, submission.hash, ledger)
            inner, changes = runner.run(submission.inner, inner_fee, charge=False)
            result = bump_result(submission, inner, fee)
        else:
            result, changes = runner.run(submission.transaction, fee, charge=True)
        applied.append(Applied(submission, result, changes))
    return applied, sum(fees)


def _take_fee(submission: Submission, entries: Overlay, base_fee: int, ledger: int) -> int:
    """Take the fee, which may go below the minimum balance but never below zero."""
    account = load_account(entries, submission.fee_source)
    if account is None:
        return 0
    fee = min(submission.fee, minimum_fee(submission.operation_count, base_fee), account.balance)
    entries.put(replace(account, balance=account.balance - fee, modified=ledger))
    return fee


def _drop_one_time_signer(entries: Overlay, accounts: set[str], content_hash: bytes, ledger: int) -> None:
    """Remove the signer that is this very transaction: it has been used, whatever becomes of it."""
    key = StrKey.encode_pre_auth_tx(content_hash)
    for account_id in accounts:
        account = load_account(entries, account_id)
        if account is not None and any(signer[0] == key for signer in account.signers):
            entries.put(replace(without_signer(entries, account, key, ledger), modified=ledger))


def _changes(operation: xdr.Operation, before: Overlay, after: Overlay) -> Changes:
    if operation.body.type == xdr.OperationType.PAYMENT:
        return ()
    return tuple((before.get(key), entry) for key, entry in after.changed.items())


@dataclass(frozen=True, slots=True)
class _Runner:
    entries: Overlay
    moment: Moment
    highest_sequences: Mapping[str, int]

    def run(
        self, transaction: Transaction, fee: int, *, charge: bool
    ) -> tuple[TxResult, tuple[Changes, ...]]:
        checker = SignatureChecker(transaction.hash, transaction.signatures)
        level, code = common_checks(
            transaction, self.entries, self.moment, checker, current=None, charge=charge, applying=True
        )
        if level >= Level.BAD_AUTH:
            self._use_sequence(transaction)
        if level is not Level.VALID:
            self._drop_used_signers(transaction)
            return TxResult(code, fee), ()
        refusal = self._check_signatures(transaction, checker, fee)
        self._drop_used_signers(transaction)
        return (refusal, ()) if refusal else self._operations(transaction, fee)

    def _use_sequence(self, transaction: Transaction) -> None:
        account = present(load_account(self.entries, transaction.source))
        self.entries.put(
            replace(
                account,
                sequence=transaction.sequence,
                sequence_ledger=self.moment.ledger,
                sequence_time=self.moment.close_time,
                modified=self.moment.ledger,
            )
        )

    def _drop_used_signers(self, transaction: Transaction) -> None:
        sources = {transaction.operation_source(operation) for operation in transaction.operations}
        _drop_one_time_signer(
            self.entries, sources | {transaction.source}, transaction.hash, self.moment.ledger
        )

    def _check_signatures(
        self, transaction: Transaction, checker: SignatureChecker, fee: int
    ) -> TxResult | None:
        results = []
        for operation in transaction.operations:
            signed = operation_is_signed(transaction, operation, self.entries, checker)
            kind = operation.body.type
            results.append(unapplied(kind) if signed else OpResult(kind, OpCode.opBAD_AUTH))
        if not all(result.ok for result in results):
            return TxResult(TxCode.txFAILED, fee, results)
        if not checker.all_used():
            return TxResult(TxCode.txBAD_AUTH_EXTRA, fee)
        return None

    def _operations(self, transaction: Transaction, fee: int) -> tuple[TxResult, tuple[Changes, ...]]:
        """Run every operation, also after one failed; keep the changes only if none did."""
        whole = Overlay(self.entries)
        results, changes = [], []
        sponsorships: dict[str, str] = {}
        for index, operation in enumerate(transaction.operations):
            part = Overlay(whole)
            result = self._operation(transaction, operation, index, part, sponsorships)
            if result.ok:
                changes.append(_changes(operation, whole, part))
                whole.merge(part.changed)
            results.append(result)
        if not all(result.ok for result in results):
            return TxResult(TxCode.txFAILED, fee, results), ()
        if sponsorships:
            return TxResult(TxCode.txBAD_SPONSORSHIP, fee), ()
        self.entries.merge(whole.changed)
        return TxResult(TxCode.txSUCCESS, fee, results), tuple(changes)

    def _operation(
        self,
        transaction: Transaction,
        operation: xdr.Operation,
        index: int,
        entries: Overlay,
        sponsorships: dict[str, str],
    ) -> OpResult:
        kind, source = operation.body.type, transaction.operation_source(operation)
        if load_account(entries, source) is None:
            return OpResult(kind, OpCode.opNO_ACCOUNT)
        fault = check_operation(transaction, operation)
        if fault is not None:
            return fault
        context = OpContext(
            entries=entries,
            source=source,
            transaction_source=transaction.source,
            transaction_sequence=transaction.sequence,
            index=index,
            ledger=self.moment.ledger,
            close_time=self.moment.close_time,
            highest_sequences=self.highest_sequences,
            sponsorships=sponsorships,
        )
        rules = OPERATIONS[kind]
        try:
            return OpResult(kind, rules.success, rules.apply(context, operation.body))
        except Failure as failure:
            return OpResult(kind, failure.code)
