"""What happened: closed ledgers and the transactions in them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from hashlib import sha256
from struct import pack

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of, account_of_muxed, present
from sandbox.ledger.entries import Changes, ClaimableBalance
from sandbox.ledger.envelopes import Submission
from sandbox.ledger.rules import (
    BASE_FEE,
    BASE_RESERVE,
    MAX_LEDGER_OPERATIONS,
    PROTOCOL_VERSION,
    TOTAL_COINS,
)


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """A closed ledger; ``closed_at`` in unix seconds, ``fee_pool`` in stroops, hashes in hex.

    ``capacity`` is how many operations it could take, ``crowd`` how many of those were background traffic
    that bid ``crowd_bid`` each; ``base_fee`` is what everybody paid per operation who bid so much.
    """

    sequence: int
    closed_at: int
    previous_hash: str
    set_hash: str = "0" * 64
    fee_pool: int = 0
    successful: int = 0
    failed: int = 0
    operations: int = 0
    set_operations: int = 0
    capacity: int = MAX_LEDGER_OPERATIONS
    crowd: int = 0
    crowd_bid: int = 0
    base_fee: int = BASE_FEE

    def header(self) -> bytes:
        """XDR LedgerHeader. The sandbox keeps no bucket list and no result set: those hashes are zero."""
        value = bytes.fromhex(self.set_hash) + pack(">QI", self.closed_at, 0) + bytes(4)
        return b"".join(
            (
                pack(">I", PROTOCOL_VERSION) + bytes.fromhex(self.previous_hash) + value,
                bytes(64),
                pack(">IqqIQ", self.sequence, TOTAL_COINS, self.fee_pool, 0, 0),
                pack(">III", BASE_FEE, BASE_RESERVE, self.capacity),
                bytes(4 * 32 + 4),
            )
        )

    @property
    def hash(self) -> str:
        """SHA-256 of the header, hex."""
        return sha256(self.header()).hexdigest()


@dataclass(slots=True, eq=False)
class TransactionRecord:
    """A transaction of a closed ledger; ``order`` counts from 1 within it, hashes are hex, XDR is base64.

    ``codes`` are the result codes as a Horizon problem shows them, ``changes`` what each operation did.
    """

    ledger: int
    order: int
    closed_at: int
    hash: str
    inner_hash: str
    envelope_xdr: str
    result_xdr: str
    successful: bool
    fee_charged: int
    accounts: tuple[str, ...]
    codes: dict[str, object]
    changes: tuple[Changes, ...] = ()

    @property
    def paging_token(self) -> int:
        """Position in history, as Horizon counts: ledger, then order."""
        return self.ledger << 32 | self.order << 12

    def operation_id(self, index: int) -> int:
        """Position in history of an operation, counted from 0 here and from 1 there."""
        return self.paging_token | index + 1


def envelope_base64(submission: Submission) -> str:
    """The envelope as it went into the ledger."""
    return base64.b64encode(submission.raw).decode()


def touched_accounts(submission: Submission) -> tuple[str, ...]:
    """Accounts a transaction is about: sources, destinations, trustors, claimants."""
    accounts = {submission.source, submission.fee_source}
    for operation in submission.transaction.operations:
        accounts.add(submission.transaction.operation_source(operation))
        accounts.update(operation_counterparts(operation.body))
    return tuple(sorted(accounts))


def operation_counterparts(body: xdr.OperationBody) -> set[str]:
    """Accounts an operation names besides its source."""
    found: set[str] = set()
    if body.payment_op is not None:
        found.add(account_of_muxed(body.payment_op.destination))
    elif body.create_account_op is not None:
        found.add(account_of(body.create_account_op.destination))
    elif body.destination is not None:
        found.add(account_of_muxed(body.destination))
    elif body.allow_trust_op is not None:
        found.add(account_of(body.allow_trust_op.trustor))
    elif body.set_trust_line_flags_op is not None:
        found.add(account_of(body.set_trust_line_flags_op.trustor))
    elif body.clawback_op is not None:
        found.add(account_of_muxed(body.clawback_op.from_))
    elif body.create_claimable_balance_op is not None:
        claimants = body.create_claimable_balance_op.claimants
        found.update(account_of(item.v0.destination) for item in claimants if item.v0 is not None)
    elif body.begin_sponsoring_future_reserves_op is not None:
        found.add(account_of(body.begin_sponsoring_future_reserves_op.sponsored_id))
    elif body.revoke_sponsorship_op is not None:
        found.update(_owner_of_reserve(body.revoke_sponsorship_op))
    return found


def _owner_of_reserve(revoke: xdr.RevokeSponsorshipOp) -> set[str]:
    """Whose entry or signer a revocation is about; a claimable balance is nobody's."""
    if revoke.signer is not None:
        return {account_of(revoke.signer.account_id)}
    key = present(revoke.ledger_key)
    owned = key.account or key.data or key.trust_line
    if owned is not None:
        return {account_of(owned.account_id)}
    return {account_of(key.offer.seller_id)} if key.offer is not None else set()


def touched_balances(changes: Changes) -> set[str]:
    """Claimable balances that an operation created, changed or removed."""
    entries = (before if after is None else after for before, after in changes)
    return {entry.balance_id for entry in entries if isinstance(entry, ClaimableBalance)}


class History:
    """Closed ledgers from the first on, and where to find a transaction in them."""

    def __init__(self) -> None:
        self.ledgers: list[LedgerRecord] = []
        self.transactions: list[TransactionRecord] = []
        self._by_ledger: dict[int, list[TransactionRecord]] = {}
        self._by_hash: dict[str, TransactionRecord] = {}
        self._by_account: dict[str, list[TransactionRecord]] = {}
        self._by_balance: dict[str, list[TransactionRecord]] = {}

    @property
    def last(self) -> LedgerRecord:
        """The newest closed ledger."""
        return self.ledgers[-1]

    def append(self, ledger: LedgerRecord, transactions: list[TransactionRecord]) -> None:
        """Take over a closed ledger."""
        self.ledgers.append(ledger)
        self.transactions.extend(transactions)
        if transactions:
            self._by_ledger[ledger.sequence] = transactions
        for record in transactions:
            self._by_hash[record.hash] = record
            if record.inner_hash:
                self._by_hash[record.inner_hash] = record
            for account in record.accounts:
                self._by_account.setdefault(account, []).append(record)
            for balance_id in {name for step in record.changes for name in touched_balances(step)}:
                self._by_balance.setdefault(balance_id, []).append(record)

    def ledger(self, sequence: int) -> LedgerRecord | None:
        """The closed ledger of that number, None if there is none."""
        return self.ledgers[sequence - 1] if 1 <= sequence <= len(self.ledgers) else None

    def find(self, transaction_hash: str) -> TransactionRecord | None:
        """The transaction of that hash, which may be the inner one of a fee bump."""
        return self._by_hash.get(transaction_hash)

    def of_ledger(self, sequence: int) -> list[TransactionRecord]:
        """The transactions of a ledger in the order they were applied."""
        return self._by_ledger.get(sequence, [])

    def of_account(self, account_id: str) -> list[TransactionRecord]:
        """The transactions that touch an account, oldest first."""
        return self._by_account.get(account_id, [])

    def of_balance(self, balance_id: str) -> list[TransactionRecord]:
        """The transactions that created, changed or removed a claimable balance, oldest first."""
        return self._by_balance.get(balance_id, [])
