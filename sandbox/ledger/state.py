"""The current entries, and how they were some ledgers ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from sandbox.ledger.entries import ClaimableBalance, DataEntry, Entry, Key, Trustline

REMEMBERED_LEDGERS = 64


class State:
    """All entries after the newest ledger; remembers what the last ledgers replaced."""

    def __init__(self, entries: Iterable[tuple[Key, Entry]], ledger: int) -> None:
        """The entries as they are after ``ledger``; nothing is known about those before."""
        self.oldest_view = ledger
        self._entries: dict[Key, Entry] = {}
        # Keys an account ever owned; those gone since are skipped when read.
        self._owned: dict[str, dict[Key, None]] = {}
        self._replaced: deque[tuple[int, dict[Key, Entry | None]]] = deque(maxlen=REMEMBERED_LEDGERS)
        for key, entry in entries:
            self._set(key, entry)

    def _set(self, key: Key, entry: Entry | None) -> None:
        if entry is None:
            self._entries.pop(key, None)
            return
        self._entries[key] = entry
        if key[0] in ("trustline", "data"):
            self._owned.setdefault(key[1], {})[key] = None

    def get(self, key: Key) -> Entry | None:
        """The entry under ``key``, None if there is none."""
        return self._entries.get(key)

    def commit(self, ledger: int, changes: Mapping[Key, Entry | None]) -> None:
        """Take over what a ledger changed."""
        if len(self._replaced) == REMEMBERED_LEDGERS:
            self.oldest_view = self._replaced[0][0]
        self._replaced.append((ledger, {key: self._entries.get(key) for key in changes}))
        for key, entry in changes.items():
            self._set(key, entry)

    def view(self, ledger: int) -> StateView:
        """The entries as they were after ``ledger``, which must be among the remembered ones."""
        older: dict[Key, Entry | None] = {}
        for sequence, replaced in reversed(self._replaced):
            if sequence <= ledger:
                break
            older.update(replaced)
        return StateView(self, older)

    def keys(self) -> Iterable[Key]:
        """Keys of all entries."""
        return self._entries.keys()

    def owned_keys(self, account_id: str) -> Iterable[Key]:
        """Keys an account owns or once owned, oldest first."""
        return self._owned.get(account_id, ())


class StateView:
    """Entries to read, of the newest ledger or an older one."""

    def __init__(self, state: State, older: Mapping[Key, Entry | None]) -> None:
        self._state = state
        self._older = older

    def get(self, key: Key) -> Entry | None:
        """The entry under ``key`` as this view sees it."""
        return self._older[key] if key in self._older else self._state.get(key)

    def owned(self, account_id: str) -> tuple[list[Trustline], list[DataEntry]]:
        """Trustlines and data entries of an account, oldest first."""
        entries = [self.get(key) for key in self._state.owned_keys(account_id)]
        lines = [entry for entry in entries if isinstance(entry, Trustline)]
        return lines, [entry for entry in entries if isinstance(entry, DataEntry)]

    def __iter__(self) -> Iterator[Entry]:
        keys = dict.fromkeys(self._state.keys()) | dict.fromkeys(self._older)
        return (entry for key in keys if (entry := self.get(key)) is not None)

    def claimable_balances(self) -> list[ClaimableBalance]:
        """All claimable balances, oldest first."""
        found = [entry for entry in self if isinstance(entry, ClaimableBalance)]
        return sorted(found, key=lambda balance: (balance.modified, balance.balance_id))
