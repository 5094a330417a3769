"""Whether a transaction is valid: at admission, when a ledger is put together, and when it is applied.

The order of the checks is that of stellar-core 19.0.1, because it decides which code a transaction with
several faults gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from stellar_sdk import xdr

from sandbox.ledger.entries import Account, Entries, load_account
from sandbox.ledger.envelopes import FeeBump, Preconditions, Submission, Transaction
from sandbox.ledger.operations import OPERATIONS
from sandbox.ledger.operations.base import Failure
from sandbox.ledger.results import OpCode, OpResult, TxCode, TxResult, unapplied
from sandbox.ledger.rules import INT64_MAX, minimum_fee, starting_sequence
from sandbox.ledger.signatures import SignatureChecker


@dataclass(frozen=True, slots=True)
class Moment:
    """The ledger a transaction is judged against.

    ``close_time`` (unix seconds) is that of the last ledger while it waits, that of its own when applied; the
    allowances are added to it for min_time and max_time.
    """

    ledger: int
    close_time: int
    early_allowance: int = 0
    late_allowance: int = 0


class Level(IntEnum):
    """How far a transaction got in the common checks; from BAD_AUTH on its sequence number is used up."""

    INVALID = 0
    BAD_AUTH = 1
    BAD_BALANCE = 2
    VALID = 3


def _out_of_bounds(conditions: Preconditions, moment: Moment) -> xdr.TransactionResultCode | None:
    low, high = conditions.ledger_bounds or (0, 0)
    if conditions.min_time and conditions.min_time > moment.close_time + moment.early_allowance:
        return TxCode.txTOO_EARLY
    if low > moment.ledger:
        return TxCode.txTOO_EARLY
    if conditions.max_time and conditions.max_time < moment.close_time + moment.late_allowance:
        return TxCode.txTOO_LATE
    if high and high <= moment.ledger:
        return TxCode.txTOO_LATE
    return None


def _has_bad_sequence(transaction: Transaction, current: int, ledger: int) -> bool:
    wanted, lowest = transaction.sequence, transaction.preconditions.min_sequence
    if wanted == starting_sequence(ledger):
        return True
    if lowest is not None:
        return current < lowest or current >= wanted
    return current == INT64_MAX or current + 1 != wanted


def _too_early_for(conditions: Preconditions, account: Account, moment: Moment) -> bool:
    time = moment.close_time + moment.early_allowance
    return (
        time - conditions.min_sequence_age < account.sequence_time
        or moment.ledger - conditions.min_sequence_ledger_gap < account.sequence_ledger
        or conditions.min_sequence_age > time
        or conditions.min_sequence_ledger_gap > moment.ledger
    )


def _malformed_extra_signers(signers: tuple[str, ...]) -> bool:
    return len(set(signers)) < len(signers) or "" in signers


def _before_sequence(
    transaction: Transaction, entries: Entries, moment: Moment, charge: bool
) -> xdr.TransactionResultCode | None:
    """The checks that need no more of the source account than that it exists."""
    if _malformed_extra_signers(transaction.preconditions.extra_signers):
        return TxCode.txMALFORMED
    if not transaction.operations:
        return TxCode.txMISSING_OPERATION
    bounds = _out_of_bounds(transaction.preconditions, moment)
    if bounds is not None:
        return bounds
    if charge and transaction.fee < minimum_fee(transaction.operation_count):
        return TxCode.txINSUFFICIENT_FEE
    if load_account(entries, transaction.source) is None:
        return TxCode.txNO_ACCOUNT
    return None


def common_checks(
    transaction: Transaction,
    entries: Entries,
    moment: Moment,
    checker: SignatureChecker,
    *,
    current: int | None,
    charge: bool,
    applying: bool,
) -> tuple[Level, xdr.TransactionResultCode]:
    """Everything about a transaction but its operations.

    ``current`` is the sequence number it has to follow, None for that of the account; ``charge`` is false for
    the inner transaction of a fee bump; ``applying`` says that the fee has been taken already.
    """
    code = _before_sequence(transaction, entries, moment, charge)
    account = load_account(entries, transaction.source)
    if code is not None or account is None:
        return Level.INVALID, code or TxCode.txNO_ACCOUNT
    if _has_bad_sequence(transaction, account.sequence if current is None else current, moment.ledger):
        return Level.INVALID, TxCode.txBAD_SEQ
    conditions = transaction.preconditions
    if _too_early_for(conditions, account, moment):
        return Level.BAD_AUTH, TxCode.txBAD_MIN_SEQ_AGE_OR_GAP
    if not checker.check(account.all_signers(), account.low):
        return Level.BAD_AUTH, TxCode.txBAD_AUTH
    extra = [(key, 1) for key in conditions.extra_signers]
    if extra and not checker.check(extra, len(extra)):
        return Level.BAD_AUTH, TxCode.txBAD_AUTH
    if charge and account.available < (0 if applying else transaction.fee):
        return Level.BAD_BALANCE, TxCode.txINSUFFICIENT_BALANCE
    return Level.VALID, TxCode.txSUCCESS


def operation_is_signed(
    transaction: Transaction, operation: xdr.Operation, entries: Entries, checker: SignatureChecker
) -> bool:
    """Whether the signatures reach the operation's threshold on its source account.

    For a source that does not exist (yet), a signature by its own key is asked for.
    """
    source = transaction.operation_source(operation)
    account = load_account(entries, source)
    if account is None:
        return checker.check([(source, 1)], 0)
    rules = OPERATIONS[operation.body.type]
    return checker.check(account.all_signers(), rules.threshold(operation.body).of(account))


def check_operation(transaction: Transaction, operation: xdr.Operation) -> OpResult | None:
    """The fault of an operation that no ledger could accept, None if there is none."""
    kind = operation.body.type
    try:
        OPERATIONS[kind].check(operation.body, transaction.operation_source(operation))
    except Failure as failure:
        return OpResult(kind, failure.code)
    return None


def _fault(
    transaction: Transaction, operation: xdr.Operation, entries: Entries, checker: SignatureChecker
) -> OpResult | None:
    kind = operation.body.type
    if kind not in OPERATIONS:
        return OpResult(kind, OpCode.opNOT_SUPPORTED)
    if operation.source_account is None and load_account(entries, transaction.source) is None:
        return OpResult(kind, OpCode.opNO_ACCOUNT)
    if not operation_is_signed(transaction, operation, entries, checker):
        return OpResult(kind, OpCode.opBAD_AUTH)
    return check_operation(transaction, operation)


def _check_transaction(
    transaction: Transaction, entries: Entries, moment: Moment, current: int | None, charge: bool
) -> TxResult:
    fee = minimum_fee(transaction.operation_count) if charge else 0
    checker = SignatureChecker(transaction.hash, transaction.signatures)
    level, code = common_checks(
        transaction, entries, moment, checker, current=current, charge=charge, applying=False
    )
    if level is not Level.VALID:
        return TxResult(code, fee)
    results = [unapplied(operation.body.type) for operation in transaction.operations]
    for index, operation in enumerate(transaction.operations):
        fault = _fault(transaction, operation, entries, checker)
        if fault is not None:
            results[index] = fault
            return TxResult(TxCode.txFAILED, fee, results)
    if not checker.all_used():
        return TxResult(TxCode.txBAD_AUTH_EXTRA, fee)
    return TxResult(TxCode.txSUCCESS, fee, results)


def _check_bump(bump: FeeBump, entries: Entries) -> TxResult | None:
    """What is wrong with the outer half of a fee bump."""
    fee = minimum_fee(bump.operation_count)
    if bump.fee < fee:
        return TxResult(TxCode.txINSUFFICIENT_FEE, fee)
    inner_fee = minimum_fee(bump.inner.operation_count)
    if bump.fee * inner_fee < bump.inner.fee * fee:
        needed = -(-bump.inner.fee * fee // inner_fee)
        return TxResult(TxCode.txINSUFFICIENT_FEE, min(needed, INT64_MAX))
    account = load_account(entries, bump.fee_source)
    if account is None:
        return TxResult(TxCode.txNO_ACCOUNT, fee)
    checker = SignatureChecker(bump.hash, bump.signatures)
    if not checker.check(account.all_signers(), account.low):
        return TxResult(TxCode.txBAD_AUTH, fee)
    if account.available < bump.fee:
        return TxResult(TxCode.txINSUFFICIENT_BALANCE, fee)
    if not checker.all_used():
        return TxResult(TxCode.txBAD_AUTH_EXTRA, fee)
    return None


def bump_result(bump: FeeBump, inner: TxResult, fee: int) -> TxResult:
    """The result of a fee bump around that of its inner transaction."""
    code = TxCode.txFEE_BUMP_INNER_SUCCESS if inner.ok else TxCode.txFEE_BUMP_INNER_FAILED
    return TxResult(code, fee, inner=(bump.inner.hash, inner))


def check(submission: Submission, entries: Entries, moment: Moment, current: int | None) -> TxResult:
    """Judge a transaction that waits; the result is a success or the refusal it would get.

    ``current`` is the sequence number it has to follow, None for that of its source account.
    """
    if not isinstance(submission, FeeBump):
        return _check_transaction(submission.transaction, entries, moment, current, charge=True)
    refusal = _check_bump(submission, entries)
    if refusal is not None:
        return refusal
    inner = _check_transaction(submission.inner, entries, moment, current, charge=False)
    return bump_result(submission, inner, minimum_fee(submission.operation_count))
