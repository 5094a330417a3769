"""One node: the chain, its queue, its clock and its faults, behind the few things the HTTP side asks for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.ledger.chain import Chain, ClosedLedger
from sandbox.ledger.codec import present
from sandbox.ledger.envelopes import FeeBump, Transaction, decode, network_id
from sandbox.ledger.faults import Faults
from sandbox.ledger.history import History, LedgerRecord, TransactionRecord
from sandbox.ledger.pending import TransactionQueue
from sandbox.ledger.placement import Answer, Status
from sandbox.ledger.rules import (
    BASE_FEE,
    CLOSE_TIME_MULTIPLIER,
    EXPECTED_CLOSE_SECONDS,
    MAX_LEDGER_OPERATIONS,
    FeeRule,
)
from sandbox.ledger.state import StateView
from sandbox.ledger.store import Store
from sandbox.ledger.surge import NOBODY, Crowd
from sandbox.ledger.validity import Moment


@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """How to run the sandbox ledger.

    ``port`` 0 takes a free one. ``interval`` is the time between ledgers in seconds, 0 closes at once when
    there is something to close; ``manual_close`` closes only when told to. ``queue_rule`` is how many
    transactions one source account may have waiting, ``ledger_capacity`` how many operations a ledger takes.
    Without ``data`` nothing is kept.
    """

    network_passphrase: str
    port: int = 0
    interval: float = 1.0
    manual_close: bool = False
    queue_rule: FeeRule = "one"
    ledger_capacity: int = MAX_LEDGER_OPERATIONS
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The chain as one answer sees it: the newest ledger it knows of, and the entries after that."""

    ledger: LedgerRecord
    entries: StateView
    history: History

    def transaction(self, transaction_hash: str) -> TransactionRecord | None:
        """The transaction of that hash if this view has it already."""
        record = self.history.find(transaction_hash)
        return record if record is not None and record.ledger <= self.ledger.sequence else None


class Node:
    """The sandbox ledger without its HTTP side."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.passphrase = options.network_passphrase
        self.network_id = network_id(options.network_passphrase)
        self.chain = Chain(options.network_passphrase)
        self.queue = TransactionQueue(options.queue_rule, options.ledger_capacity)
        self.faults = Faults()
        self.work = asyncio.Event()
        self._closed = asyncio.Event()
        self._views_served = 0
        self._store = Store(options.data, options.network_passphrase) if options.data else None
        if self._store is not None:
            self._store.load(self.chain)

    def now(self) -> int:
        """Unix seconds: real time, or the last close where ledgers do not follow the clock."""
        last = self.chain.last.closed_at
        if self.options.manual_close or self.options.interval == 0:
            return last
        return max(int(time.time()), last)

    def margin(self) -> int:
        """Seconds a transaction must still have to be taken: twice the expected time between ledgers."""
        if self.options.manual_close:
            return CLOSE_TIME_MULTIPLIER * EXPECTED_CLOSE_SECONDS
        return int(CLOSE_TIME_MULTIPLIER * self.options.interval)

    def fee_floor(self) -> int:
        """Lowest fee per operation taken at present, 0 for no more than the network's."""
        surge = self.faults.find("surge_fee")
        return surge.fee_per_operation if surge else 0

    def going_rate(self) -> int:
        """Fee per operation, in stroops, with which a transaction is taken and gets into the next ledger."""
        crowd = self.queue.limiter.crowd
        return max(BASE_FEE, self.fee_floor(), crowd.bid + 1 if crowd.operations else 0)

    def follow_crowd(self) -> None:
        """Let the background traffic be what the oldest fault of that kind says."""
        fault = self.faults.find("crowd")
        self.queue.limiter.crowd = Crowd(fault.operations, fault.fee_per_operation) if fault else NOBODY

    def decode(self, envelope_xdr: str) -> Transaction | FeeBump:
        """Decode an envelope for this network; MalformedEnvelopeError if it is none."""
        return decode(envelope_xdr, self.network_id)

    def submit(self, submission: Transaction | FeeBump, rule: FeeRule | None = None) -> Answer:
        """Offer a transaction to the queue."""
        last = self.chain.last
        allowance = self.margin() + self.now() - last.closed_at
        moment = Moment(last.sequence + 1, last.closed_at, 0, allowance)
        answer = self.queue.add(submission, self.chain.state, moment, fee_floor=self.fee_floor(), rule=rule)
        if answer.status is Status.PENDING:
            self.work.set()
        return answer

    def close(self, closed_at: int) -> ClosedLedger:
        """Close the next ledger at that time (unix seconds).

        Raises:
            NotIncreasingError: the last ledger closed at that time or later.
        """
        keep = self._store.write if self._store is not None else None
        closed = self.chain.close(self.queue, closed_at, self.margin(), self.fee_floor(), keep)
        self.work.clear()
        self._closed.set()
        self._closed = asyncio.Event()
        return closed

    @property
    def upcoming(self) -> asyncio.Event:
        """Set when one more ledger has closed; taken before looking, no close is missed while looking."""
        return self._closed

    def ingested(self) -> View:
        """What the history behind this node has taken in: everything, unless it lags."""
        newest = self.chain.last.sequence
        lag = self.faults.find("ingestion_lag")
        if lag is None:
            return self._view(newest)
        return self._view(min(newest, max(lag.since_ledger, newest - lag.ledgers)))

    def view(self) -> View:
        """What one read request sees; with two views, every other one sees an older ledger."""
        older = self.faults.find("two_views")
        if older is None:
            return self.ingested()
        self._views_served += 1
        newest = self.chain.last.sequence
        oldest = max(self.chain.state.oldest_view, newest - older.ledgers)
        return self._view(newest if self._views_served % 2 else oldest)

    def _view(self, sequence: int) -> View:
        ledger = present(self.chain.history.ledger(sequence))
        return View(ledger, self.chain.state.view(sequence), self.chain.history)

    def stop(self) -> None:
        """Let go of the file."""
        if self._store is not None:
            self._store.close()
