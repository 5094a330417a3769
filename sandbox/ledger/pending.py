"""The queue of transactions that wait for a ledger: who may come in, who is dropped, who is banned."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from sandbox.ledger.entries import Entries, load_account
from sandbox.ledger.envelopes import Submission
from sandbox.ledger.limiter import QueueLimiter
from sandbox.ledger.placement import Answer, Place, Refused, Status, find_place, may_follow
from sandbox.ledger.results import TxCode, TxResult
from sandbox.ledger.rules import (
    BAN_LEDGERS,
    MAX_LEDGER_OPERATIONS,
    QUEUE_LEDGERS,
    FeeRule,
    minimum_fee,
    starting_sequence,
)
from sandbox.ledger.validity import Moment, check


class TransactionQueue:
    """Transactions waiting, by source account and in order of their sequence numbers."""

    def __init__(self, rule: FeeRule, capacity: int = MAX_LEDGER_OPERATIONS) -> None:
        """``capacity`` is how many operations a ledger takes."""
        self.rule = rule
        self.limiter = QueueLimiter(capacity)
        self._waiting: dict[str, list[Submission]] = {}
        self._ages: dict[str, int] = {}
        self._fees: dict[str, int] = {}
        self._bans: deque[set[bytes]] = deque([set() for _ in range(BAN_LEDGERS)], maxlen=BAN_LEDGERS)
        self._held: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[Submission]:
        return (submission for waiting in self._waiting.values() for submission in waiting)

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())

    def last_sequence(self, source: str) -> int | None:
        """Sequence number of the last transaction that waits for ``source``, None if none does."""
        waiting = self._waiting.get(source)
        return waiting[-1].sequence if waiting else None

    def add(
        self,
        submission: Submission,
        entries: Entries,
        moment: Moment,
        *,
        fee_floor: int = 0,
        rule: FeeRule | None = None,
    ) -> Answer:
        """Judge a transaction and let it wait if nothing speaks against it.

        ``fee_floor`` is the fee per operation, in stroops, below which nothing is taken at present.
        """
        try:
            place = self._place(submission, rule or self.rule)
            self._check_floor(submission, fee_floor)
            self._check_limit(submission, place.replaces)
            self._check(submission, place, entries, moment)
        except Refused as refused:
            return refused.answer
        self._insert(submission, place.replaces)
        return Answer(Status.PENDING)

    def _place(self, submission: Submission, rule: FeeRule) -> Place:
        if any(submission.full_hash in banned for banned in self._bans):
            raise Refused(Status.TRY_AGAIN_LATER)
        return find_place(submission, self._waiting.get(submission.source, []), rule)

    def _check_floor(self, submission: Submission, fee_floor: int) -> None:
        needed = minimum_fee(submission.operation_count, fee_floor)
        if submission.fee < needed:
            self._bans[0].add(submission.full_hash)
            raise Refused(Status.ERROR, TxResult(TxCode.txINSUFFICIENT_FEE, needed))

    def _check_limit(self, submission: Submission, replaces: Submission | None) -> None:
        needed = self.limiter.price_of_entry(submission, replaces, self)
        if needed is not None:
            self._bans[0].add(submission.full_hash)
            if needed:
                raise Refused(Status.ERROR, TxResult(TxCode.txINSUFFICIENT_FEE, needed))
            raise Refused(Status.TRY_AGAIN_LATER)

    def _check(self, submission: Submission, place: Place, entries: Entries, moment: Moment) -> None:
        """It must be valid, and its fee payer must afford the fees of everything it has waiting."""
        result = check(submission, entries, moment, place.after)
        if not result.ok:
            raise Refused(Status.ERROR, result)
        fee = submission.fee
        if place.replaces is not None and place.replaces.fee_source == submission.fee_source:
            fee -= place.replaces.fee
        payer = load_account(entries, submission.fee_source)
        available = payer.available if payer else 0
        if available - fee < self._fees.get(submission.fee_source, 0):
            raise Refused(Status.ERROR, TxResult(TxCode.txINSUFFICIENT_BALANCE, result.fee_charged))

    def _insert(self, submission: Submission, replaces: Submission | None) -> None:
        if replaces is not None:
            self._release(replaces)
        while (out := self.limiter.next_to_go(submission, self._all_but(replaces))) is not None:
            self.ban([out])
        waiting = self._waiting.setdefault(submission.source, [])
        if replaces is not None:
            waiting[waiting.index(replaces)] = submission
        else:
            waiting.append(submission)
            self._ages.setdefault(submission.source, 0)
        self.limiter.add(submission)
        self._fees[submission.fee_source] = self._fees.get(submission.fee_source, 0) + submission.fee

    def _all_but(self, left_out: Submission | None) -> Iterator[Submission]:
        return (submission for submission in self if submission is not left_out)

    def _release(self, submission: Submission) -> None:
        self.limiter.remove(submission)
        self._held.pop(submission.full_hash, None)
        rest = self._fees[submission.fee_source] - submission.fee
        if rest:
            self._fees[submission.fee_source] = rest
        else:
            del self._fees[submission.fee_source]

    def hold(self, submission: Submission, until_ledger: int) -> None:
        """Keep a waiting transaction out of every ledger before that one; it does not age meanwhile."""
        self._held[submission.full_hash] = until_ledger

    def candidates(self, ledger: int) -> list[Submission]:
        """What could go into ``ledger`` by its sequence number alone, held transactions included."""
        chosen = []
        for waiting in self._waiting.values():
            for submission in waiting:
                if submission.sequence == starting_sequence(ledger):
                    break
                chosen.append(submission)
        return chosen

    def released(self, candidates: Iterable[Submission], ledger: int) -> list[Submission]:
        """The candidates without those held back, and without those behind them."""
        blocked: set[str] = set()
        free = []
        for submission in candidates:
            if self._held.get(submission.full_hash, 0) > ledger:
                blocked.add(submission.source)
            if submission.source not in blocked:
                free.append(submission)
        return free

    def ban(self, submissions: Iterable[Submission]) -> None:
        """Drop transactions and those behind them, and refuse their envelopes for some ledgers."""
        for submission in submissions:
            self._bans[0].add(submission.full_hash)
            waiting = self._waiting.get(submission.source, [])
            if submission in waiting:
                self._drop(submission.source, waiting.index(submission), ban=True)

    def _drop(self, source: str, start: int, *, ban: bool) -> None:
        waiting = self._waiting[source]
        for submission in waiting[start:]:
            self._release(submission)
            if ban:
                self._bans[0].add(submission.full_hash)
        del waiting[start:]
        if not waiting:
            del self._waiting[source], self._ages[source]

    def remove_applied(self, applied: Iterable[Submission]) -> None:
        """Forget what went into a ledger, and what its sequence numbers made impossible."""
        highest: dict[str, int] = {}
        for submission in applied:
            highest[submission.source] = max(highest.get(submission.source, 0), submission.sequence)
        for source, sequence in highest.items():
            waiting = self._waiting.get(source, [])
            done = [submission for submission in waiting if submission.sequence <= sequence]
            if not done:
                continue
            for submission in done:
                self._release(submission)
            del waiting[: len(done)]
            self._ages[source] = 0
            if not waiting:
                del self._waiting[source], self._ages[source]

    def shift(self) -> None:
        """A ledger has closed: bans get older, what waited through too many ledgers is dropped and banned."""
        self._bans.appendleft(set())
        self.limiter.new_ledger()
        for source in list(self._waiting):
            if self._waiting[source][0].full_hash in self._held:
                continue
            self._ages[source] += 1
            if self._ages[source] >= QUEUE_LEDGERS:
                self._drop(source, 0, ban=True)

    def trim(self, candidates: list[Submission], entries: Entries, moment: Moment) -> list[Submission]:
        """Which of the candidates have become invalid."""
        invalid: list[Submission] = []
        last: dict[str, int] = {}
        fees: dict[str, int] = {}
        for submission in candidates:
            previous = last.get(submission.source)
            if not may_follow(submission, previous) or not check(submission, entries, moment, previous).ok:
                invalid.append(submission)
                continue
            last[submission.source] = submission.sequence
            fees[submission.fee_source] = fees.get(submission.fee_source, 0) + submission.fee
        return invalid + _unaffordable([item for item in candidates if item not in invalid], fees, entries)

    def trim_waiting(self, entries: Entries, moment: Moment) -> None:
        """After a ledger: drop and ban what could not be valid in the next one."""
        free = [item for item in self.candidates(moment.ledger) if item.full_hash not in self._held]
        self.ban(self.trim(free, entries, moment))


def _unaffordable(candidates: list[Submission], fees: dict[str, int], entries: Entries) -> list[Submission]:
    poor: set[str] = set()
    dropped = []
    for submission in candidates:
        payer = load_account(entries, submission.fee_source)
        if payer is None or payer.available < fees[submission.fee_source]:
            poor.add(submission.source)
        if submission.source in poor:
            dropped.append(submission)
    return dropped
