"""Operations on accounts themselves: create, merge, bump the sequence, keep data."""

from __future__ import annotations

import base64
from dataclasses import replace

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of, account_of_muxed, present
from sandbox.ledger.entries import Account, DataEntry, account_key, fits, load_data
from sandbox.ledger.operations.base import Failure, OpContext, Operation, Threshold, always
from sandbox.ledger.operations.reserves import (
    carry,
    drop_subentry,
    release,
    reserve_subentry,
    without_signer,
)
from sandbox.ledger.rules import ACCOUNT_RESERVES, AUTH_IMMUTABLE, BASE_RESERVE, starting_sequence

_Create = xdr.CreateAccountResultCode
_Merge = xdr.AccountMergeResultCode
_Bump = xdr.BumpSequenceResultCode
_Data = xdr.ManageDataResultCode


def is_printable(text: bytes) -> bool:
    """Whether a name holds nothing but printable ASCII, the ledger's rule for names and domains."""
    return all(32 <= byte < 127 for byte in text)


def _create_op(body: xdr.OperationBody) -> xdr.CreateAccountOp:
    return present(body.create_account_op)


def _check_create(body: xdr.OperationBody, source: str) -> None:
    create = _create_op(body)
    if create.starting_balance.int64 < 0 or account_of(create.destination) == source:
        raise Failure(_Create.CREATE_ACCOUNT_MALFORMED)


def _apply_create(context: OpContext, body: xdr.OperationBody) -> bytes:
    create = _create_op(body)
    destination, balance = account_of(create.destination), create.starting_balance.int64
    if context.account(destination) is not None:
        raise Failure(_Create.CREATE_ACCOUNT_ALREADY_EXIST)
    sponsor = context.sponsorships.get(destination, "")
    if sponsor:
        carry(context, sponsor, ACCOUNT_RESERVES, _Create.CREATE_ACCOUNT_LOW_RESERVE)
    elif balance < ACCOUNT_RESERVES * BASE_RESERVE:
        raise Failure(_Create.CREATE_ACCOUNT_LOW_RESERVE)
    source = context.source_account()
    if source.available < balance:
        raise Failure(_Create.CREATE_ACCOUNT_UNDERFUNDED)
    context.put_account(replace(source, balance=source.balance - balance))
    sponsored = ACCOUNT_RESERVES if sponsor else 0
    sequence = starting_sequence(context.ledger)
    context.put_account(Account(destination, balance, sequence, sponsored=sponsored, sponsor=sponsor))
    return b""


def _merge_destination(body: xdr.OperationBody) -> str:
    return account_of_muxed(present(body.destination))


def _check_merge(body: xdr.OperationBody, source: str) -> None:
    if _merge_destination(body) == source:
        raise Failure(_Merge.ACCOUNT_MERGE_MALFORMED)


def _apply_merge(context: OpContext, body: xdr.OperationBody) -> bytes:
    if context.account(_merge_destination(body)) is None:
        raise Failure(_Merge.ACCOUNT_MERGE_NO_ACCOUNT)
    source = context.source_account()
    _may_go(context, source)
    for key, _ in source.signers:
        source = without_signer(context.entries, source, key, context.ledger)
    # Loaded only now: it may be the one who sponsored the signers.
    destination = present(context.account(_merge_destination(body)))
    if not fits(destination.balance, source.balance):
        raise Failure(_Merge.ACCOUNT_MERGE_DEST_FULL)
    context.put_account(replace(destination, balance=destination.balance + source.balance))
    release(context.entries, source.sponsor, ACCOUNT_RESERVES, context.ledger)
    context.entries.delete(account_key(source.account_id))
    return source.balance.to_bytes(8, "big")


def _may_go(context: OpContext, account: Account) -> None:
    if account.flags & AUTH_IMMUTABLE:
        raise Failure(_Merge.ACCOUNT_MERGE_IMMUTABLE_SET)
    if account.subentries != len(account.signers):
        raise Failure(_Merge.ACCOUNT_MERGE_HAS_SUB_ENTRIES)
    # Created again later, the account must not fall back to a sequence number that was already used.
    highest = max(account.sequence, context.highest_sequences.get(account.account_id, 0))
    if highest >= starting_sequence(context.ledger):
        raise Failure(_Merge.ACCOUNT_MERGE_SEQNUM_TOO_FAR)
    if account.sponsoring or account.account_id in context.sponsorships.values():
        raise Failure(_Merge.ACCOUNT_MERGE_IS_SPONSOR)


def _bump_to(body: xdr.OperationBody) -> int:
    return int(present(body.bump_sequence_op).bump_to.sequence_number.int64)


def _check_bump(body: xdr.OperationBody, _source: str) -> None:
    if _bump_to(body) < 0:
        raise Failure(_Bump.BUMP_SEQUENCE_BAD_SEQ)


def _apply_bump(context: OpContext, body: xdr.OperationBody) -> bytes:
    account = context.source_account()
    context.put_account(
        replace(
            account,
            sequence=max(account.sequence, _bump_to(body)),
            sequence_ledger=context.ledger,
            sequence_time=context.close_time,
        )
    )
    return b""


def _data_op(body: xdr.OperationBody) -> xdr.ManageDataOp:
    return present(body.manage_data_op)


def _check_data(body: xdr.OperationBody, _source: str) -> None:
    name = _data_op(body).data_name.string64
    if not name or not is_printable(name):
        raise Failure(_Data.MANAGE_DATA_INVALID_NAME)


def _apply_data(context: OpContext, body: xdr.OperationBody) -> bytes:
    data = _data_op(body)
    name = data.data_name.string64.decode("ascii")
    entry = load_data(context.entries, context.source, name)
    if data.data_value is None:
        if entry is None:
            raise Failure(_Data.MANAGE_DATA_NAME_NOT_FOUND)
        drop_subentry(context, entry)
        return b""
    if entry is None:
        owner, sponsor = reserve_subentry(context, context.source_account(), _Data.MANAGE_DATA_LOW_RESERVE)
        context.put_account(owner)
        entry = DataEntry(context.source, name, "", sponsor=sponsor)
    value = base64.b64encode(data.data_value.data_value).decode()
    context.entries.put(replace(entry, value=value, modified=context.ledger))
    return b""


CREATE_ACCOUNT = Operation(
    _Create.CREATE_ACCOUNT_SUCCESS, always(Threshold.MEDIUM), _check_create, _apply_create
)
ACCOUNT_MERGE = Operation(_Merge.ACCOUNT_MERGE_SUCCESS, always(Threshold.HIGH), _check_merge, _apply_merge)
BUMP_SEQUENCE = Operation(_Bump.BUMP_SEQUENCE_SUCCESS, always(Threshold.LOW), _check_bump, _apply_bump)
MANAGE_DATA = Operation(_Data.MANAGE_DATA_SUCCESS, always(Threshold.MEDIUM), _check_data, _apply_data)
