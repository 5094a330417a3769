"""The durable copy of the chain in SQLite: one write transaction per closed ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

from sandbox.ledger.chain import Chain, ClosedLedger
from sandbox.ledger.entries import (
    Account,
    Changes,
    ClaimableBalance,
    DataEntry,
    Entry,
    Key,
    Trustline,
    key_of,
)
from sandbox.ledger.history import LedgerRecord, TransactionRecord
from sandbox.ledger.rules import BASE_FEE, MAX_LEDGER_OPERATIONS
from sandbox.ledger.state import State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS network (passphrase TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ledgers (
    sequence INTEGER PRIMARY KEY, closed_at INTEGER NOT NULL,
    previous_hash TEXT NOT NULL, set_hash TEXT NOT NULL, fee_pool INTEGER NOT NULL,
    successful INTEGER NOT NULL, failed INTEGER NOT NULL,
    operations INTEGER NOT NULL, set_operations INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS transactions (
    ledger INTEGER NOT NULL, position INTEGER NOT NULL, hash TEXT NOT NULL, inner_hash TEXT NOT NULL,
    envelope_xdr TEXT NOT NULL, result_xdr TEXT NOT NULL, successful INTEGER NOT NULL,
    fee_charged INTEGER NOT NULL, accounts TEXT NOT NULL, codes TEXT NOT NULL,
    PRIMARY KEY (ledger, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
# Those that files of earlier versions lack; the order is that of the records' fields.
_LATER_COLUMNS = (
    ("transactions", "changes", "TEXT NOT NULL DEFAULT '[]'"),
    ("ledgers", "capacity", f"INTEGER NOT NULL DEFAULT {MAX_LEDGER_OPERATIONS}"),
    ("ledgers", "crowd", "INTEGER NOT NULL DEFAULT 0"),
    ("ledgers", "crowd_bid", "INTEGER NOT NULL DEFAULT 0"),
    ("ledgers", "base_fee", f"INTEGER NOT NULL DEFAULT {BASE_FEE}"),
)
_KINDS: dict[str, type[Entry]] = {
    "account": Account,
    "trustline": Trustline,
    "data": DataEntry,
    "claimable": ClaimableBalance,
}


class WrongNetworkError(RuntimeError):
    """The file holds the ledger of another network."""


class Store:
    """A SQLite file with one chain."""

    def __init__(self, path: Path, passphrase: str) -> None:
        """Open or create the file.

        Raises:
            WrongNetworkError: it belongs to a network of another passphrase.
        """
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        for table, column, definition in _LATER_COLUMNS:
            known = {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}
            if column not in known:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
        known = self._db.execute("SELECT passphrase FROM network").fetchone()
        if known is None:
            self._db.execute("INSERT INTO network VALUES (?)", (passphrase,))
        elif known[0] != passphrase:
            self._db.close()
            raise WrongNetworkError(f"{path} holds the ledger of the network {known[0]!r}")

    def load(self, chain: Chain) -> None:
        """Bring a fresh chain to where the file is."""
        entries = self._entries()
        if entries:
            chain.state = State(entries, self._newest())
        records: dict[int, list[TransactionRecord]] = {}
        times = dict(self._db.execute("SELECT sequence, closed_at FROM ledgers"))
        for row in self._db.execute("SELECT * FROM transactions ORDER BY ledger, position"):
            records.setdefault(row[0], []).append(_record(row, times[row[0]]))
        for row in self._db.execute("SELECT * FROM ledgers ORDER BY sequence"):
            chain.history.append(LedgerRecord(*row), records.get(row[0], []))

    def _newest(self) -> int:
        return int(self._db.execute("SELECT max(sequence) FROM ledgers").fetchone()[0])

    def _entries(self) -> list[tuple[Key, Entry]]:
        rows = self._db.execute("SELECT key, body FROM entries")
        return [((key := tuple(json.loads(name))), _entry(key[0], json.loads(body))) for name, body in rows]

    def write(self, closed: ClosedLedger) -> None:
        """Make a closed ledger durable, whole or not at all.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        marks = ",".join("?" * len(fields(LedgerRecord)))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(f"INSERT INTO ledgers VALUES ({marks})", astuple(closed.ledger))  # noqa: S608  (marks)
            self._db.executemany(
                "INSERT INTO transactions VALUES (?,?,?,?,?,?,?,?,?,?,?)", map(_row, closed.transactions)
            )
            self._write_entries(closed.changes.items())

    def _write_entries(self, changes: Iterable[tuple[Key, Entry | None]]) -> None:
        for key, entry in changes:
            name = json.dumps(key)
            if entry is None:
                self._db.execute("DELETE FROM entries WHERE key = ?", (name,))
            else:
                self._db.execute("REPLACE INTO entries VALUES (?, ?)", (name, json.dumps(asdict(entry))))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _entry(kind: str, body: dict[str, Any]) -> Entry:
    if kind == "account":
        for name in ("signers", "signer_sponsors"):
            body[name] = tuple((key, value) for key, value in body.get(name, ()))
    elif kind == "claimable":
        body["claimants"] = tuple((account, predicate) for account, predicate in body["claimants"])
    return _KINDS[kind](**body)


def _row(record: TransactionRecord) -> tuple[object, ...]:
    return (
        record.ledger,
        record.order,
        record.hash,
        record.inner_hash,
        record.envelope_xdr,
        record.result_xdr,
        record.successful,
        record.fee_charged,
        " ".join(record.accounts),
        json.dumps(record.codes),
        json.dumps([[[_named(before), _named(after)] for before, after in step] for step in record.changes]),
    )


def _named(entry: Entry | None) -> tuple[str, dict[str, Any]] | None:
    return (key_of(entry)[0], asdict(entry)) if entry is not None else None


def _changes(text: str) -> tuple[Changes, ...]:
    return tuple(
        tuple((before and _entry(*before), after and _entry(*after)) for before, after in step)
        for step in json.loads(text)
    )


def _record(row: tuple[Any, ...], closed_at: int) -> TransactionRecord:
    ledger, order, tx_hash, inner_hash, envelope, result, successful, fee, accounts, codes, changes = row
    return TransactionRecord(
        ledger=ledger,
        order=order,
        closed_at=closed_at,
        hash=tx_hash,
        inner_hash=inner_hash,
        envelope_xdr=envelope,
        result_xdr=result,
        successful=bool(successful),
        fee_charged=fee,
        accounts=tuple(accounts.split()),
        codes=json.loads(codes),
        changes=_changes(changes),
    )
