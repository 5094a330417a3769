"""Accounts as Horizon shows them: what was read, at which height, and what follows from it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.amounts import STROOPS_PER_UNIT, parse_amount

BASE_RESERVE = STROOPS_PER_UNIT // 2
"""Native stroops that an account keeps for each of its entries; the validators' vote since 2019."""

ACCOUNT_RESERVES = 2
"""An account by itself counts as two entries."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as it stood at `ledger`, the height that Horizon stamped on the answer."""

    account_id: str
    ledger: int
    sequence: int
    body: Mapping[str, Any]
    """Horizon's account document: balances, signers, thresholds, flags."""


@dataclass(frozen=True, slots=True)
class NoAccount:
    """The account does not exist at `ledger`."""

    account_id: str
    ledger: int


def says_absent(status_code: int, body: Mapping[str, Any] | None) -> bool:
    """Tell whether an answer means that something isn't on the ledger.

    A proxy's 404 page says nothing about the ledger: only Horizon's own problem document does.
    """
    return status_code == 404 and str((body or {}).get("type", "")).endswith("/not_found")


def stamped(latest_ledger: str) -> int:
    """The height in the header `Latest-Ledger`; without it an answer proves nothing, so it counts as 0."""
    return int(latest_ledger) if latest_ledger.isdecimal() else 0


def account_of(
    account_id: str, ledger: int, status_code: int, body: Mapping[str, Any]
) -> AccountView | NoAccount:
    """What a usable answer to `/accounts/ID` says; raises KeyError or ValueError for a broken document."""
    if status_code == 404:
        return NoAccount(account_id, ledger)
    return AccountView(account_id, ledger, int(body["sequence"]), body)


def native_balance(account: AccountView) -> int:
    """What the account holds, in native stroops."""
    return _stroops(_native(account)["balance"])


def spendable(account: AccountView) -> int:
    """What the account can pay away: its balance without reserves and what its offers stand for."""
    body = account.body
    entries = ACCOUNT_RESERVES + int(body["subentry_count"])
    entries += int(body.get("num_sponsoring", 0)) - int(body.get("num_sponsored", 0))
    bound = _stroops(_native(account).get("selling_liabilities", "0"))
    return native_balance(account) - entries * BASE_RESERVE - bound


def weight_of(account: AccountView) -> int:
    """The weight of an account's own key; 0 for a locked one."""
    return next(
        (int(entry["weight"]) for entry in account.body["signers"] if entry["key"] == account.account_id), 0
    )


def _native(account: AccountView) -> dict[str, str]:
    lines: list[dict[str, str]] = account.body["balances"]
    return next(line for line in lines if line["asset_type"] == "native")


def _stroops(text: str) -> int:
    return parse_amount(text) if text.strip("0.") else 0
