"""Effects of sponsorship, which follow from the changed entries alone, whatever operation changed them."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.ledger.entries import Account, Changes, ClaimableBalance, Entry, Trustline
from sandbox.ledger.http.operation_details import Json, Muxed
from sandbox.ledger.http.render import asset_fields

Effect = tuple[str, Muxed, str, Json]


def sponsorship_effects(changes: Changes, source: str, muxed: Muxed) -> list[Effect]:
    """Who began, took over or gave up carrying whose reserves; ``source`` is who did the operation."""
    found: list[Effect] = []
    for before, after in changes:
        shown = before if after is None else after
        if shown is None:
            continue
        change = _shift(before.sponsor if before else "", after.sponsor if after else "")
        if change is not None:
            found.append(_entry_effect(shown, change, source, muxed))
        if isinstance(shown, Account):
            found += _signer_effects(before, after, shown.account_id)
    return found


def _shift(old: str, new: str) -> tuple[str, Json] | None:
    """What became of a sponsorship and whom the effect names, None if nothing did."""
    if old == new:
        return None
    if not old:
        return "created", {"sponsor": new}
    if not new:
        return "removed", {"former_sponsor": old}
    return "updated", {"former_sponsor": old, "new_sponsor": new}


def _entry_effect(entry: Entry, change: tuple[str, Json], source: str, muxed: Muxed) -> Effect:
    verb, names = change
    if isinstance(entry, Account):
        return entry.account_id, None, f"account_sponsorship_{verb}", names
    if isinstance(entry, Trustline):
        shown = {"asset_type": asset_fields(entry.asset)["asset_type"], "asset": entry.asset}
        return entry.account_id, None, f"trustline_sponsorship_{verb}", shown | names
    if isinstance(entry, ClaimableBalance):
        shown = {"balance_id": entry.balance_id}
        return source, muxed, f"claimable_balance_sponsorship_{verb}", shown | names
    return source, muxed, f"data_sponsorship_{verb}", {"data_name": entry.name} | names


def _signer_effects(before: Entry | None, after: Entry | None, owner: str) -> Iterator[Effect]:
    old = dict(before.signer_sponsors) if isinstance(before, Account) else {}
    new = dict(after.signer_sponsors) if isinstance(after, Account) else {}
    for key in sorted(old.keys() | new.keys()):
        change = _shift(old.get(key, ""), new.get(key, ""))
        if change is not None:
            yield owner, None, f"signer_sponsorship_{change[0]}", {"signer": key} | change[1]
