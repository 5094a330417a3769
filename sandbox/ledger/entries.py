"""The entries of the ledger: immutable values, so that an undone change needs nothing but forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sandbox.ledger.rules import BASE_RESERVE, INT64_MAX


@dataclass(frozen=True, slots=True)
class Account:
    """An account; balance in stroops, weights and thresholds 0 to 255, ``signers`` without the master key.

    ``sponsoring`` are the base reserves it carries for others, ``sponsored`` those that others carry for it;
    ``sponsor`` carries the two of the account itself, ``signer_sponsors`` those of signers.
    """

    account_id: str
    balance: int
    sequence: int
    sequence_ledger: int = 0
    sequence_time: int = 0
    subentries: int = 0
    sponsoring: int = 0
    sponsored: int = 0
    flags: int = 0
    master_weight: int = 1
    low: int = 0
    med: int = 0
    high: int = 0
    signers: tuple[tuple[str, int], ...] = ()
    signer_sponsors: tuple[tuple[str, str], ...] = ()
    home_domain: str = ""
    inflation_destination: str = ""
    sponsor: str = ""
    modified: int = 0

    @property
    def available(self) -> int:
        """Stroops above the minimum balance: (2 + subentries + sponsoring - sponsored) base reserves."""
        return self.balance - (2 + self.subentries + self.sponsoring - self.sponsored) * BASE_RESERVE

    def all_signers(self) -> list[tuple[str, int]]:
        """Every key that may sign, the master key first if it has weight."""
        master = [(self.account_id, self.master_weight)] if self.master_weight else []
        return [*master, *self.signers]


@dataclass(frozen=True, slots=True)
class Trustline:
    """A holder's line to an issued asset; balance and limit in stroops."""

    account_id: str
    asset: str
    balance: int
    limit: int
    flags: int
    modified: int = 0
    sponsor: str = ""


@dataclass(frozen=True, slots=True)
class DataEntry:
    """A named value of an account: printable ASCII name, value as base64."""

    account_id: str
    name: str
    value: str
    modified: int = 0
    sponsor: str = ""


@dataclass(frozen=True, slots=True)
class ClaimableBalance:
    """An amount waiting for one of its claimants; claimants as XDR with absolute times only."""

    balance_id: str
    asset: str
    amount: int
    sponsor: str
    claimants: tuple[tuple[str, str], ...]
    clawback: bool
    modified: int = 0


Entry = Account | Trustline | DataEntry | ClaimableBalance
Key = tuple[str, ...]
# What one operation did: each entry as it was before and is after, None where there was or is none.
Changes = tuple[tuple[Entry | None, Entry | None], ...]


def key_of(entry: Entry) -> Key:
    """The key an entry is kept under; its first part names the kind, its second the owner."""
    if isinstance(entry, Account):
        return account_key(entry.account_id)
    if isinstance(entry, Trustline):
        return trustline_key(entry.account_id, entry.asset)
    if isinstance(entry, DataEntry):
        return data_key(entry.account_id, entry.name)
    return balance_key(entry.balance_id)


def account_key(account_id: str) -> Key:
    """Key of an account."""
    return ("account", account_id)


def trustline_key(account_id: str, asset: str) -> Key:
    """Key of a trustline."""
    return ("trustline", account_id, asset)


def data_key(account_id: str, name: str) -> Key:
    """Key of a data entry."""
    return ("data", account_id, name)


def balance_key(balance_id: str) -> Key:
    """Key of a claimable balance."""
    return ("claimable", balance_id)


class Entries(Protocol):
    """Anything entries can be read from."""

    def get(self, key: Key) -> Entry | None:
        """The entry under ``key``, None if there is none."""


class Overlay:
    """Changes on top of other entries; nothing below changes before `commit`."""

    __slots__ = ("_below", "changed")

    def __init__(self, below: Entries) -> None:
        self._below = below
        self.changed: dict[Key, Entry | None] = {}

    def get(self, key: Key) -> Entry | None:
        """The entry under ``key`` as changed so far."""
        if key in self.changed:
            return self.changed[key]
        return self._below.get(key)

    def put(self, entry: Entry) -> None:
        """Create or replace an entry."""
        self.changed[key_of(entry)] = entry

    def delete(self, key: Key) -> None:
        """Remove the entry under ``key``."""
        self.changed[key] = None

    def merge(self, changes: Mapping[Key, Entry | None]) -> None:
        """Take over the changes of an overlay on top of this one."""
        self.changed.update(changes)


def load_account(entries: Entries, account_id: str) -> Account | None:
    """The account, or None."""
    entry = entries.get(account_key(account_id))
    return entry if isinstance(entry, Account) else None


def load_trustline(entries: Entries, account_id: str, asset: str) -> Trustline | None:
    """The trustline, or None."""
    entry = entries.get(trustline_key(account_id, asset))
    return entry if isinstance(entry, Trustline) else None


def load_data(entries: Entries, account_id: str, name: str) -> DataEntry | None:
    """The data entry, or None."""
    entry = entries.get(data_key(account_id, name))
    return entry if isinstance(entry, DataEntry) else None


def load_balance(entries: Entries, balance_id: str) -> ClaimableBalance | None:
    """The claimable balance, or None."""
    entry = entries.get(balance_key(balance_id))
    return entry if isinstance(entry, ClaimableBalance) else None


def fits(balance: int, change: int, limit: int = INT64_MAX) -> bool:
    """Whether a balance may change so much without going below zero or above its limit."""
    return 0 <= balance + change <= limit
