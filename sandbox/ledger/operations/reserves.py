"""Base reserves: who has to keep them for an entry, its owner or a sponsor."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from sandbox.ledger.codec import present
from sandbox.ledger.entries import Account, DataEntry, Overlay, Trustline, key_of, load_account
from sandbox.ledger.operations.base import Failure, OpContext
from sandbox.ledger.results import OpCode
from sandbox.ledger.rules import BASE_RESERVE, MAX_SUBENTRIES


def carry(context: OpContext, sponsor: str, reserves: int, low_reserve: IntEnum) -> None:
    """Let ``sponsor`` keep so many base reserves for somebody else.

    Raises:
        Failure: it has not that much to spare.
    """
    account = present(context.account(sponsor))
    if account.available < reserves * BASE_RESERVE:
        raise Failure(low_reserve)
    context.put_account(replace(account, sponsoring=account.sponsoring + reserves))


def release(entries: Overlay, sponsor: str, reserves: int, ledger: int) -> None:
    """Give base reserves back to who kept them for somebody else; nothing to do without a sponsor."""
    if sponsor:
        account = present(load_account(entries, sponsor))
        entries.put(replace(account, sponsoring=account.sponsoring - reserves, modified=ledger))


def reserve_subentry(context: OpContext, owner: Account, low_reserve: IntEnum) -> tuple[Account, str]:
    """The owner with one subentry more, and who carries its reserve; that is empty for the owner itself.

    Raises:
        Failure: it has 1000 already, or who has to keep the base reserve has not that much to spare.
    """
    if owner.subentries >= MAX_SUBENTRIES:
        raise Failure(OpCode.opTOO_MANY_SUBENTRIES)
    sponsor = context.sponsorships.get(owner.account_id, "")
    if sponsor:
        carry(context, sponsor, 1, low_reserve)
        owner = replace(owner, sponsored=owner.sponsored + 1)
    elif owner.available < BASE_RESERVE:
        raise Failure(low_reserve)
    return replace(owner, subentries=owner.subentries + 1), sponsor


def without_subentry(owner: Account, sponsor: str) -> Account:
    """The owner with one subentry less, whose reserve ``sponsor`` carried, or nobody."""
    return replace(
        owner, subentries=owner.subentries - 1, sponsored=owner.sponsored - 1 if sponsor else owner.sponsored
    )


def drop_subentry(context: OpContext, entry: Trustline | DataEntry) -> None:
    """Delete an entry of its owner and give the reserve back."""
    owner = present(context.account(entry.account_id))
    context.put_account(without_subentry(owner, entry.sponsor))
    release(context.entries, entry.sponsor, 1, context.ledger)
    context.entries.delete(key_of(entry))


def without_signer(entries: Overlay, account: Account, key: str, ledger: int) -> Account:
    """The account without that signer, its reserve given back; unchanged if it has none such."""
    others = tuple(item for item in account.signers if item[0] != key)
    if len(others) == len(account.signers):
        return account
    sponsor = dict(account.signer_sponsors).get(key, "")
    release(entries, sponsor, 1, ledger)
    sponsors = tuple(item for item in account.signer_sponsors if item[0] != key)
    return replace(without_subentry(account, sponsor), signers=others, signer_sponsors=sponsors)
