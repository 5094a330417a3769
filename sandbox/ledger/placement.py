"""Where a transaction belongs among those of its source account: duplicates, replacement by fee."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandbox.ledger.envelopes import FeeBump, Submission
from sandbox.ledger.results import TxCode, TxResult
from sandbox.ledger.rules import INT64_MAX, REPLACE_FEE_MULTIPLIER, FeeRule


class Status(Enum):
    """A node's answer to a transaction."""

    PENDING = "PENDING"
    DUPLICATE = "DUPLICATE"
    TRY_AGAIN_LATER = "TRY_AGAIN_LATER"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Answer:
    """A node's answer, with the result if it is a refusal."""

    status: Status
    result: TxResult | None = None


class Refused(Exception):
    """A transaction does not come in; ``answer`` says why."""

    def __init__(self, status: Status, result: TxResult | None = None) -> None:
        super().__init__(status.value)
        self.answer = Answer(status, result)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction would go: instead of ``replaces``, behind the sequence number ``after``."""

    replaces: Submission | None = None
    after: int | None = None


def find_place(submission: Submission, waiting: list[Submission], rule: FeeRule) -> Place:
    """Where a transaction goes among those that wait for its source account.

    Raises:
        Refused: there is no place for it now, or it is there already.
    """
    if not waiting:
        return Place()
    if rule == "one":
        return _place_with_one(submission, waiting[0])
    if isinstance(submission, FeeBump):
        return _place_of_bump(submission, waiting)
    return _place_behind(submission, waiting)


def may_follow(submission: Submission, previous: int | None) -> bool:
    """Minimum age and gap are only possible for the first waiting transaction of a source."""
    conditions = submission.preconditions
    return previous is None or not (conditions.min_sequence_age or conditions.min_sequence_ledger_gap)


def _is_duplicate(queued: Submission, new: Submission) -> bool:
    """Same envelope bytes, or the inner envelope of a queued fee bump."""
    if isinstance(queued, FeeBump) and not isinstance(new, FeeBump):
        return queued.inner.full_hash == new.full_hash
    return type(queued) is type(new) and queued.full_hash == new.full_hash


def _check_replacement(new: Submission, old: Submission) -> None:
    """Raise unless the new fee per operation is ten times the old one."""
    new_operations, old_operations = max(1, new.operation_count), max(1, old.operation_count)
    wanted = REPLACE_FEE_MULTIPLIER * old.fee * new_operations
    if new.fee * old_operations < wanted:
        needed = min(-(-wanted // old_operations), INT64_MAX)
        raise Refused(Status.ERROR, TxResult(TxCode.txINSUFFICIENT_FEE, needed))


def _place_with_one(submission: Submission, queued: Submission) -> Place:
    """Today's rule: one transaction per source account, which only a fee bump of its sequence may replace."""
    if _is_duplicate(queued, submission):
        raise Refused(Status.DUPLICATE)
    if submission.sequence < queued.sequence:
        raise Refused(Status.ERROR, TxResult(TxCode.txBAD_SEQ, 0))
    if not isinstance(submission, FeeBump) or submission.sequence != queued.sequence:
        raise Refused(Status.TRY_AGAIN_LATER)
    _check_replacement(submission, queued)
    return Place(replaces=queued)


def _place_behind(submission: Submission, waiting: list[Submission]) -> Place:
    for queued in waiting:
        if queued.sequence == submission.sequence and _is_duplicate(queued, submission):
            raise Refused(Status.DUPLICATE)
    if not may_follow(submission, waiting[-1].sequence):
        raise Refused(Status.TRY_AGAIN_LATER)
    return Place(after=waiting[-1].sequence)


def _place_of_bump(bump: FeeBump, waiting: list[Submission]) -> Place:
    same = [index for index, queued in enumerate(waiting) if queued.sequence == bump.sequence]
    if not same:
        last, lowest = waiting[-1].sequence, bump.preconditions.min_sequence
        reachable = lowest <= last if lowest is not None else bump.sequence == last + 1
        if bump.sequence < last or not reachable:
            raise Refused(Status.ERROR, TxResult(TxCode.txBAD_SEQ, 0))
        if not may_follow(bump, last):
            raise Refused(Status.TRY_AGAIN_LATER)
        return Place(after=last)
    index = same[0]
    if _is_duplicate(waiting[index], bump):
        raise Refused(Status.DUPLICATE)
    _check_replacement(bump, waiting[index])
    previous = waiting[index - 1].sequence if index else None
    if not may_follow(bump, previous):
        raise Refused(Status.TRY_AGAIN_LATER)
    return Place(replaces=waiting[index], after=previous)
