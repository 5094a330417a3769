"""The chain: entries, history, and closing one ledger after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from sandbox.ledger.apply import Applied, apply_all
from sandbox.ledger.entries import Entry, Key, Overlay, account_key
from sandbox.ledger.envelopes import FeeBump, Submission
from sandbox.ledger.genesis import GENESIS, root_account
from sandbox.ledger.history import (
    History,
    LedgerRecord,
    TransactionRecord,
    envelope_base64,
    touched_accounts,
)
from sandbox.ledger.pending import TransactionQueue
from sandbox.ledger.state import State
from sandbox.ledger.surge import Selection, price, select
from sandbox.ledger.validity import Moment


@dataclass(frozen=True, slots=True)
class ClosedLedger:
    """What a close adds: the ledger, its transactions, the entries it changed."""

    ledger: LedgerRecord
    transactions: list[TransactionRecord]
    changes: dict[Key, Entry | None]


class NotIncreasingError(ValueError):
    """A ledger cannot close at or before the time of the one before it."""


class Chain:
    """The closed ledgers of one network and the entries after the newest."""

    def __init__(self, passphrase: str) -> None:
        self.history = History()
        root = root_account(passphrase)
        self.state = State([(account_key(root.account_id), root)], GENESIS.sequence)
        self.history.append(GENESIS, [])

    @property
    def last(self) -> LedgerRecord:
        """The newest closed ledger."""
        return self.history.last

    def close(
        self,
        queue: TransactionQueue,
        closed_at: int,
        late_allowance: int,
        fee_floor: int = 0,
        keep: Callable[[ClosedLedger], None] | None = None,
    ) -> ClosedLedger:
        """Close the next ledger at ``closed_at`` (unix seconds) with what waits in the queue.

        ``late_allowance``, in seconds, is what a transaction must still have to stay in the queue afterwards.
        ``keep`` makes the ledger durable before anybody can see it.

        Raises:
            NotIncreasingError: the last ledger closed at that time or later.
        """
        last = self.last
        if closed_at <= last.closed_at:
            raise NotIncreasingError(f"the last ledger closed at {last.closed_at}")
        sequence = last.sequence + 1
        selection = self._choose(queue, sequence, closed_at)
        chosen, capacity = selection.chosen, queue.limiter.capacity
        base_fee = max(price(selection, capacity, queue.rule), fee_floor)
        opening = LedgerRecord(
            sequence,
            closed_at,
            last.hash,
            fee_pool=last.fee_pool,
            capacity=capacity,
            crowd=selection.crowd.operations,
            crowd_bid=selection.crowd.bid,
            base_fee=base_fee,
        )
        closed = self._apply(chosen, opening)
        if keep is not None:
            keep(closed)
        self.state.commit(sequence, closed.changes)
        self.history.append(closed.ledger, closed.transactions)
        queue.remove_applied(chosen)
        queue.shift()
        queue.trim_waiting(self.state, Moment(sequence + 1, closed_at, 0, late_allowance))
        return closed

    def _apply(self, chosen: list[Submission], opening: LedgerRecord) -> ClosedLedger:
        """The next ledger as it would be; nothing changes yet."""
        set_hash = _set_hash(opening.previous_hash, chosen)
        overlay = Overlay(self.state)
        ordered = _apply_order(chosen, set_hash)
        applied, fees = apply_all(ordered, overlay, opening.sequence, opening.closed_at, opening.base_fee)
        ledger = replace(opening, set_hash=set_hash.hex(), fee_pool=opening.fee_pool + fees)
        ledger = _summary(ledger, applied)
        records = [_record(item, ledger, order) for order, item in enumerate(applied, 1)]
        return ClosedLedger(ledger, records, overlay.changed)

    def _choose(self, queue: TransactionQueue, sequence: int, closed_at: int) -> Selection:
        """What goes into the next ledger; what would be invalid in it leaves the queue."""
        candidates = queue.candidates(sequence)
        offset = closed_at - self.last.closed_at
        invalid = queue.trim(candidates, self.state, Moment(sequence, self.last.closed_at, offset, offset))
        queue.ban(invalid)
        dropped = set(map(id, invalid))
        valid = [submission for submission in candidates if id(submission) not in dropped]
        return select(queue.released(valid, sequence), queue.limiter.capacity, queue.limiter.crowd)


def _set_hash(previous_hash: str, chosen: Sequence[Submission]) -> bytes:
    ordered = sorted(chosen, key=lambda item: item.full_hash)
    return sha256(bytes.fromhex(previous_hash) + b"".join(item.raw for item in ordered)).digest()


def _apply_order(chosen: list[Submission], set_hash: bytes) -> list[Submission]:
    """The first of every source, then the second of each, and so on; sources in an order nobody picks."""
    mask = int.from_bytes(set_hash, "big")
    rounds: dict[str, int] = {}
    keyed = []
    for item in sorted(chosen, key=lambda item: item.sequence):
        rounds[item.source] = rounds.get(item.source, 0) + 1
        keyed.append((rounds[item.source], int.from_bytes(item.full_hash, "big") ^ mask, item))
    return [item for _, _, item in sorted(keyed, key=lambda entry: entry[:2])]


def _summary(ledger: LedgerRecord, applied: list[Applied]) -> LedgerRecord:
    good = [item for item in applied if item.result.ok]
    return replace(
        ledger,
        successful=len(good),
        failed=len(applied) - len(good),
        operations=sum(len(item.submission.transaction.operations) for item in good),
        set_operations=sum(len(item.submission.transaction.operations) for item in applied),
    )


def _record(item: Applied, ledger: LedgerRecord, order: int) -> TransactionRecord:
    submission = item.submission
    return TransactionRecord(
        ledger=ledger.sequence,
        order=order,
        closed_at=ledger.closed_at,
        hash=submission.hash.hex(),
        inner_hash=submission.inner.hash.hex() if isinstance(submission, FeeBump) else "",
        envelope_xdr=envelope_base64(submission),
        result_xdr=item.result.to_xdr(),
        successful=item.result.ok,
        fee_charged=item.result.fee_charged,
        accounts=touched_accounts(submission),
        codes=item.result.codes(),
        changes=item.changes,
    )
