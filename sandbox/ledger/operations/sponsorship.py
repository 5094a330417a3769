"""Sponsorship: one account carries the reserves of another's entries."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of, asset_is_valid, asset_of, issuer_of, present, signer_of
from sandbox.ledger.entries import (
    Account,
    ClaimableBalance,
    Entry,
    Key,
    account_key,
    balance_key,
    data_key,
    trustline_key,
)
from sandbox.ledger.operations.accounts import is_printable
from sandbox.ledger.operations.base import Failure, OpContext, Operation, Threshold, always, no_check
from sandbox.ledger.operations.reserves import carry, release
from sandbox.ledger.rules import ACCOUNT_RESERVES, BASE_RESERVE

_Begin = xdr.BeginSponsoringFutureReservesResultCode
_End = xdr.EndSponsoringFutureReservesResultCode
_Revoke = xdr.RevokeSponsorshipResultCode
_KeyType = xdr.LedgerEntryType


def _sponsored(body: xdr.OperationBody) -> str:
    return account_of(present(body.begin_sponsoring_future_reserves_op).sponsored_id)


def _check_begin(body: xdr.OperationBody, source: str) -> None:
    if _sponsored(body) == source:
        raise Failure(_Begin.BEGIN_SPONSORING_FUTURE_RESERVES_MALFORMED)


def _apply_begin(context: OpContext, body: xdr.OperationBody) -> bytes:
    sponsored = _sponsored(body)
    if sponsored in context.sponsorships:
        raise Failure(_Begin.BEGIN_SPONSORING_FUTURE_RESERVES_ALREADY_SPONSORED)
    if context.source in context.sponsorships or sponsored in context.sponsorships.values():
        raise Failure(_Begin.BEGIN_SPONSORING_FUTURE_RESERVES_RECURSIVE)
    context.sponsorships[sponsored] = context.source
    return b""


def _apply_end(context: OpContext, _body: xdr.OperationBody) -> bytes:
    if context.sponsorships.pop(context.source, None) is None:
        raise Failure(_End.END_SPONSORING_FUTURE_RESERVES_NOT_SPONSORED)
    return b""


def _revoke_op(body: xdr.OperationBody) -> xdr.RevokeSponsorshipOp:
    return present(body.revoke_sponsorship_op)


def _check_revoke(body: xdr.OperationBody, _source: str) -> None:
    key = _revoke_op(body).ledger_key
    if key is not None and not _is_well_formed(key):
        raise Failure(_Revoke.REVOKE_SPONSORSHIP_MALFORMED)


def _is_well_formed(key: xdr.LedgerKey) -> bool:
    if key.trust_line is not None:
        asset = key.trust_line.asset
        if asset.type == xdr.AssetType.ASSET_TYPE_POOL_SHARE:
            return True
        valid = asset_is_valid(asset) and asset.type != xdr.AssetType.ASSET_TYPE_NATIVE
        return valid and issuer_of(asset_of(asset)) != account_of(key.trust_line.account_id)
    if key.offer is not None:
        return bool(key.offer.offer_id.int64 > 0)
    if key.data is not None:
        return bool(key.data.data_name.string64) and is_printable(key.data.data_name.string64)
    return key.type in (_KeyType.ACCOUNT, _KeyType.CLAIMABLE_BALANCE)


def _entry_key(key: xdr.LedgerKey) -> Key | None:
    """The key of an entry of a kind that the sandbox keeps, else None."""
    if key.account is not None:
        return account_key(account_of(key.account.account_id))
    if key.trust_line is not None and key.trust_line.asset.type != xdr.AssetType.ASSET_TYPE_POOL_SHARE:
        return trustline_key(account_of(key.trust_line.account_id), asset_of(key.trust_line.asset))
    if key.data is not None:
        return data_key(account_of(key.data.account_id), key.data.data_name.string64.decode("ascii"))
    if key.claimable_balance is not None:
        return balance_key(key.claimable_balance.balance_id.to_xdr_bytes().hex())
    return None


def _apply_revoke(context: OpContext, body: xdr.OperationBody) -> bytes:
    revoke = _revoke_op(body)
    if revoke.ledger_key is not None:
        key = _entry_key(revoke.ledger_key)
        entry = context.entries.get(key) if key is not None else None
        if entry is None:
            raise Failure(_Revoke.REVOKE_SPONSORSHIP_DOES_NOT_EXIST)
        _revoke_entry(context, entry)
    else:
        signer = present(revoke.signer)
        _revoke_signer(context, account_of(signer.account_id), signer_of(signer.signer_key))
    return b""


def _revoke_entry(context: OpContext, entry: Entry) -> None:
    if isinstance(entry, ClaimableBalance):
        owner, reserves = entry.sponsor, len(entry.claimants)
    else:
        owner, reserves = entry.account_id, ACCOUNT_RESERVES if isinstance(entry, Account) else 1
    new = _new_sponsor(context, entry.sponsor, owner)
    if isinstance(entry, ClaimableBalance):
        # Somebody has to carry it: its sponsor can only pass it on.
        if not new:
            raise Failure(_Revoke.REVOKE_SPONSORSHIP_ONLY_TRANSFERABLE)
        carry(context, new, reserves, _Revoke.REVOKE_SPONSORSHIP_LOW_RESERVE)
        release(context.entries, entry.sponsor, reserves, context.ledger)
    else:
        _shift(context, owner, entry.sponsor, new, reserves)
    if isinstance(entry, Account):
        # Its own counts have just been changed.
        entry = present(context.account(owner))
    context.entries.put(replace(entry, sponsor=new, modified=context.ledger))


def _revoke_signer(context: OpContext, owner: str, key: str) -> None:
    account = context.account(owner)
    if account is None or key not in dict(account.signers):
        raise Failure(_Revoke.REVOKE_SPONSORSHIP_DOES_NOT_EXIST)
    old = dict(account.signer_sponsors).get(key, "")
    new = _new_sponsor(context, old, owner)
    _shift(context, owner, old, new, 1)
    others = tuple(item for item in account.signer_sponsors if item[0] != key)
    sponsors = (*others, (key, new)) if new else others
    context.put_account(replace(present(context.account(owner)), signer_sponsors=sponsors))


def _new_sponsor(context: OpContext, old: str, owner: str) -> str:
    """Who carries the reserve from now on, empty for the owner itself; only who carries it may ask."""
    if context.source != (old or owner):
        raise Failure(_Revoke.REVOKE_SPONSORSHIP_NOT_SPONSOR)
    new = context.sponsorships.get(context.source, "")
    return "" if new == owner else new


def _shift(context: OpContext, owner: str, old: str, new: str, reserves: int) -> None:
    """Move reserves of ``owner`` from one sponsor to another, either of which may be nobody."""
    low: IntEnum = _Revoke.REVOKE_SPONSORSHIP_LOW_RESERVE
    account = present(context.account(owner))
    if new:
        carry(context, new, reserves, low)
    elif old and account.available < reserves * BASE_RESERVE:
        raise Failure(low)
    release(context.entries, old, reserves, context.ledger)
    change = reserves * (bool(new) - bool(old))
    context.put_account(replace(account, sponsored=account.sponsored + change))


BEGIN_SPONSORING_FUTURE_RESERVES = Operation(
    _Begin.BEGIN_SPONSORING_FUTURE_RESERVES_SUCCESS, always(Threshold.MEDIUM), _check_begin, _apply_begin
)
END_SPONSORING_FUTURE_RESERVES = Operation(
    _End.END_SPONSORING_FUTURE_RESERVES_SUCCESS, always(Threshold.MEDIUM), no_check, _apply_end
)
REVOKE_SPONSORSHIP = Operation(
    _Revoke.REVOKE_SPONSORSHIP_SUCCESS, always(Threshold.MEDIUM), _check_revoke, _apply_revoke
)
