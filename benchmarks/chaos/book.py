"""What stands in the ledger: every transaction and every payment of the issuer, read page by page."""

from __future__ import annotations

import base64
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.chaos.sandbox_client import SandboxClient
from domain.amounts import parse_amount


@dataclass(frozen=True)
class Entry:
    """A transaction in a closed ledger, successful or not."""

    hashes: frozenset[str]
    """Its own hash, and that of the transaction inside if it is a fee bump."""
    source: str
    sequence: int
    ledger: int
    closed_at: int
    """Close time of its ledger in Unix seconds."""
    digest: str | None
    """The request digest that its memo carries, in hex."""


@dataclass(frozen=True)
class Payment:
    """A successful payment of the issuer's asset by the issuer: a mint."""

    entry: Entry
    asset: str
    destination: str
    stroops: int


@dataclass(frozen=True)
class Book:
    """The whole history of the ledger, as far as mints are concerned."""

    entries: tuple[Entry, ...]
    payments: tuple[Payment, ...]

    def of_digest(self) -> dict[str | None, list[Payment]]:
        """Payments by the digest in their memo; None: those without one."""
        found: dict[str | None, list[Payment]] = defaultdict(list)
        for payment in self.payments:
            found[payment.entry.digest].append(payment)
        return found

    def of_sequence(self) -> dict[tuple[str, int], Entry]:
        """The one transaction that used a sequence number of an account up."""
        return {(entry.source, entry.sequence): entry for entry in self.entries}


async def read_book(ledger: SandboxClient, issuer: str) -> Book:
    """Read all transactions, then all payments of the issuer; each payment must be in a known transaction."""
    entries = {
        record["hash"]: _entry(record) async for record in ledger.pages("/transactions?include_failed=true")
    }
    payments = [
        Payment(
            entry=entries[record["transaction_hash"]],
            asset=f"{record['asset_code']}:{record['asset_issuer']}",
            destination=record["to"],
            stroops=parse_amount(record["amount"]),
        )
        async for record in ledger.pages(f"/accounts/{issuer}/payments")
        if record["type"] == "payment" and record.get("asset_issuer") == issuer and record["from"] == issuer
    ]
    return Book(tuple(entries.values()), tuple(payments))


def _entry(record: dict[str, Any]) -> Entry:
    inner = record.get("inner_transaction", {}).get("hash")
    hashed = record["memo_type"] == "hash"
    return Entry(
        hashes=frozenset({record["hash"]} | ({inner} if inner else set())),
        source=record["source_account"],
        sequence=int(record["source_account_sequence"]),
        ledger=record["ledger"],
        closed_at=int(datetime.fromisoformat(record["created_at"]).timestamp()),
        digest=base64.b64decode(record["memo"]).hex() if hashed else None,
    )
