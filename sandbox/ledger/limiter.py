"""How many operations may wait in the queue, and what a newcomer must bid when it is full."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.ledger.envelopes import Submission
from sandbox.ledger.rules import INT64_MAX, QUEUE_CAPACITY_LEDGERS, fee_rate
from sandbox.ledger.surge import NOBODY


@dataclass(frozen=True, slots=True)
class _Rival:
    """Something that waits: a transaction, or the crowd as a whole."""

    rate: int
    fee: int
    priced_operations: int
    operations: int
    submission: Submission | None = None


class QueueLimiter:
    """Counts the operations that wait, at most twice what a ledger takes."""

    def __init__(self, capacity: int) -> None:
        """``capacity`` is how many operations a ledger takes."""
        self.capacity = capacity
        self.crowd = NOBODY
        self.operations = 0
        # The dearest that had to go since the last ledger: nothing that bids no more comes in meanwhile.
        self._evicted: Submission | None = None

    def add(self, submission: Submission) -> None:
        """A transaction waits from now on."""
        self.operations += submission.operation_count

    def remove(self, submission: Submission) -> None:
        """A transaction waits no longer."""
        self.operations -= submission.operation_count

    def new_ledger(self) -> None:
        """A ledger has closed: those who were too cheap before may try again."""
        self._evicted = None

    def price_of_entry(
        self, new: Submission, replaced: Submission | None, waiting: Iterable[Submission]
    ) -> int | None:
        """The fee that would do, 0 if none would; None if there is room or cheaper ones can make it."""
        gone = self._evicted
        if gone is not None and new.rate <= gone.rate:
            return _better_fee(new, gone.fee, gone.operation_count)
        missing = self._missing(new.operation_count - (replaced.operation_count if replaced else 0))
        if missing <= 0:
            return None
        for rival in self._cheapest_first(waiting):
            if rival.rate >= new.rate:
                return _better_fee(new, rival.fee, rival.priced_operations)
            if rival.submission is not None and rival.submission.source == new.source:
                return 0
            if missing <= rival.operations:
                return None
            missing -= rival.operations
        return 0

    def next_to_go(self, new: Submission, waiting: Iterable[Submission]) -> Submission | None:
        """Who has to make room for a newcomer that may come in; what it replaces has gone already."""
        missing = self._missing(new.operation_count)
        if missing <= 0:
            return None
        for rival in self._cheapest_first(waiting):
            if rival.submission is not None:
                self._evicted = rival.submission
                return rival.submission
            missing -= rival.operations
            if missing <= 0:
                return None
        return None

    def _crowded(self) -> int:
        """Places the crowd has taken: it comes again with every ledger, but not beyond the limit."""
        return min(self.crowd.operations, QUEUE_CAPACITY_LEDGERS * self.capacity)

    def _missing(self, more: int) -> int:
        return self.operations + self._crowded() + more - QUEUE_CAPACITY_LEDGERS * self.capacity

    def _cheapest_first(self, waiting: Iterable[Submission]) -> list[_Rival]:
        rivals = [
            _Rival(item.rate, item.fee, item.operation_count, item.operation_count, item) for item in waiting
        ]
        if self._crowded():
            bid = self.crowd.bid
            rivals.append(_Rival(fee_rate(bid, 1), bid, 1, self._crowded()))
        return sorted(rivals, key=lambda rival: rival.rate)


def _better_fee(new: Submission, fee: int, operations: int) -> int:
    """The lowest fee with which ``new`` bids more per operation than ``fee`` for so many operations."""
    return min(fee * new.operation_count // operations + 1, INT64_MAX)
