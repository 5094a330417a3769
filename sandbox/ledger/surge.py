"""Surge pricing: who goes into a ledger when not all fit, and what everybody in it then pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from sandbox.ledger.envelopes import Submission
from sandbox.ledger.rules import BASE_FEE, MAX_TRANSACTION_OPERATIONS, FeeRule, fee_rate


@dataclass(frozen=True, slots=True)
class Crowd:
    """Background traffic: so many operations for every ledger, each at a bid in stroops; no real accounts."""

    operations: int = 0
    bid: int = 0


NOBODY = Crowd()


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes into a ledger: transactions, operations of the crowd, and whether anything had to wait."""

    chosen: list[Submission]
    crowd: Crowd
    left_out: bool

    @property
    def operations(self) -> int:
        """Operations in the ledger, the crowd's included."""
        return self.crowd.operations + sum(item.operation_count for item in self.chosen)


def select(candidates: list[Submission], capacity: int, crowd: Crowd = NOBODY) -> Selection:
    """The highest fees per operation first, in order per source, as far as ``capacity`` operations go.

    At the same bid the crowd is before us: whoever wants in for sure has to bid more.
    """
    wanted = crowd.operations + sum(item.operation_count for item in candidates)
    if wanted <= capacity:
        return Selection(candidates, crowd, left_out=False)
    crowd_rate = fee_rate(crowd.bid, 1)
    room, taken = capacity, 0
    chosen: list[Submission] = []
    queues = _by_source(candidates)
    heap = [(-waiting[0].rate, number) for number, waiting in enumerate(queues)]
    heapify(heap)
    while heap and room > 0:
        rate, number = heappop(heap)
        if -rate <= crowd_rate and not taken:
            taken = min(crowd.operations, room)
            room -= taken
        first = queues[number].pop(0)
        if first.operation_count > room:
            continue  # and with it those behind it
        chosen.append(first)
        room -= first.operation_count
        if queues[number]:
            heappush(heap, (-queues[number][0].rate, number))
    taken = taken or min(crowd.operations, room)
    return Selection(chosen, Crowd(taken, crowd.bid), left_out=True)


def _by_source(candidates: Iterable[Submission]) -> list[list[Submission]]:
    queues: dict[str, list[Submission]] = {}
    for item in candidates:
        queues.setdefault(item.source, []).append(item)
    return list(queues.values())


def price(selection: Selection, capacity: int, rule: FeeRule) -> int:
    """Stroops per operation that everybody in the ledger pays, if they bid so much.

    Today the lowest bid in the ledger as soon as something had to wait; formerly whenever there was not room
    for one more transaction of the greatest size.
    """
    bids = _bids(selection.chosen, rule)
    if selection.crowd.operations:
        bids.append(selection.crowd.bid)
    if rule == "one":
        surge = selection.left_out
    else:
        surge = selection.operations > max(0, capacity - MAX_TRANSACTION_OPERATIONS)
    return max(BASE_FEE, min(bids)) if surge and bids else BASE_FEE


def _bids(chosen: Sequence[Submission], rule: FeeRule) -> list[int]:
    if rule == "one":
        return [item.fee // item.operation_count for item in chosen]
    return [-(-item.fee // item.operation_count) for item in chosen]
