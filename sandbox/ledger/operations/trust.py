"""Trustlines: open, close, authorise, claw back."""

from __future__ import annotations

from dataclasses import replace

from stellar_sdk import xdr

from sandbox.ledger.codec import (
    account_of,
    account_of_muxed,
    asset_is_valid,
    asset_of,
    issuer_of,
    muxed_of,
    present,
)
from sandbox.ledger.entries import Account, Trustline, fits, load_trustline
from sandbox.ledger.operations.base import Failure, OpContext, Operation, Threshold, always
from sandbox.ledger.operations.reserves import drop_subentry, reserve_subentry
from sandbox.ledger.results import OpCode
from sandbox.ledger.rules import (
    AUTH_CLAWBACK,
    AUTH_REQUIRED,
    AUTH_REVOCABLE,
    LINE_AUTH_FLAGS,
    LINE_AUTHORIZED,
    LINE_CLAWBACK,
    LINE_MAINTAIN,
)

_Change = xdr.ChangeTrustResultCode
_Allow = xdr.AllowTrustResultCode
_Flags = xdr.SetTrustLineFlagsResultCode
_Claw = xdr.ClawbackResultCode
_NATIVE = xdr.AssetType.ASSET_TYPE_NATIVE


def _change_op(body: xdr.OperationBody) -> xdr.ChangeTrustOp:
    return present(body.change_trust_op)


def _check_change(body: xdr.OperationBody, source: str) -> None:
    change = _change_op(body)
    if change.line.liquidity_pool is not None:
        raise Failure(OpCode.opNOT_SUPPORTED)
    if change.limit.int64 < 0 or not asset_is_valid(change.line) or change.line.type == _NATIVE:
        raise Failure(_Change.CHANGE_TRUST_MALFORMED)
    if issuer_of(asset_of(change.line)) == source:
        raise Failure(_Change.CHANGE_TRUST_MALFORMED)


def _apply_change(context: OpContext, body: xdr.OperationBody) -> bytes:
    change = _change_op(body)
    asset, limit = asset_of(change.line), change.limit.int64
    line = load_trustline(context.entries, context.source, asset)
    issuer = context.account(issuer_of(asset))
    if limit < (line.balance if line else 1):
        raise Failure(_Change.CHANGE_TRUST_INVALID_LIMIT)
    if line is not None and limit == 0:
        drop_subentry(context, line)
    elif issuer is None:
        raise Failure(_Change.CHANGE_TRUST_NO_ISSUER)
    elif line is not None:
        context.entries.put(replace(line, limit=limit, modified=context.ledger))
    else:
        owner, sponsor = reserve_subentry(context, context.source_account(), _Change.CHANGE_TRUST_LOW_RESERVE)
        context.put_account(owner)
        flags = _flags_of_new_line(issuer)
        context.entries.put(Trustline(context.source, asset, 0, limit, flags, context.ledger, sponsor))
    return b""


def _flags_of_new_line(issuer: Account) -> int:
    flags = 0 if issuer.flags & AUTH_REQUIRED else LINE_AUTHORIZED
    return flags | LINE_CLAWBACK if issuer.flags & AUTH_CLAWBACK else flags


def _flags_op(body: xdr.OperationBody) -> xdr.SetTrustLineFlagsOp:
    return present(body.set_trust_line_flags_op)


def _check_flags(body: xdr.OperationBody, source: str) -> None:
    operation = _flags_op(body)
    clear, set_ = operation.clear_flags.uint32, operation.set_flags.uint32
    known = LINE_AUTH_FLAGS | LINE_CLAWBACK
    if (
        operation.asset.type == _NATIVE
        or not asset_is_valid(operation.asset)
        or issuer_of(asset_of(operation.asset)) != source
        or account_of(operation.trustor) == source
        or clear & set_
        or clear & ~known
        or set_ & ~LINE_AUTH_FLAGS
        or set_ & LINE_AUTH_FLAGS == LINE_AUTH_FLAGS
    ):
        raise Failure(_Flags.SET_TRUST_LINE_FLAGS_MALFORMED)


def _apply_flags(context: OpContext, body: xdr.OperationBody) -> bytes:
    operation = _flags_op(body)
    clear, set_ = operation.clear_flags.uint32, operation.set_flags.uint32
    revocable = context.source_account().flags & AUTH_REVOCABLE
    if not revocable and clear & LINE_AUTH_FLAGS and not set_ & LINE_AUTHORIZED:
        raise Failure(_Flags.SET_TRUST_LINE_FLAGS_CANT_REVOKE)
    line = load_trustline(context.entries, account_of(operation.trustor), asset_of(operation.asset))
    if line is None:
        raise Failure(_Flags.SET_TRUST_LINE_FLAGS_NO_TRUST_LINE)
    flags = (line.flags & ~clear) | set_
    if flags & LINE_AUTH_FLAGS == LINE_AUTH_FLAGS:
        raise Failure(_Flags.SET_TRUST_LINE_FLAGS_INVALID_STATE)
    context.entries.put(replace(line, flags=flags, modified=context.ledger))
    return b""


def _allow_op(body: xdr.OperationBody) -> xdr.AllowTrustOp:
    return present(body.allow_trust_op)


def allowed_asset(operation: xdr.AllowTrustOp, source: str) -> str | None:
    """The asset with the operation's source as its issuer; None if the code is not valid."""
    code, shortest = b"", 1
    if operation.asset.asset_code4 is not None:
        code = operation.asset.asset_code4.asset_code4.rstrip(bytes(1))
    elif operation.asset.asset_code12 is not None:
        code, shortest = operation.asset.asset_code12.asset_code12.rstrip(bytes(1)), 5
    if len(code) < shortest or not code.isascii() or not code.isalnum():
        return None
    return f"{code.decode('ascii')}:{source}"


def _check_allow(body: xdr.OperationBody, source: str) -> None:
    operation = _allow_op(body)
    authorize = operation.authorize.uint32
    if authorize > LINE_MAINTAIN or allowed_asset(operation, source) is None:
        raise Failure(_Allow.ALLOW_TRUST_MALFORMED)
    if account_of(operation.trustor) == source:
        raise Failure(_Allow.ALLOW_TRUST_MALFORMED)


def _apply_allow(context: OpContext, body: xdr.OperationBody) -> bytes:
    operation = _allow_op(body)
    authorize = operation.authorize.uint32
    revocable = context.source_account().flags & AUTH_REVOCABLE
    if not revocable and authorize == 0:
        raise Failure(_Allow.ALLOW_TRUST_CANT_REVOKE)
    asset = allowed_asset(operation, context.source) or ""
    line = load_trustline(context.entries, account_of(operation.trustor), asset)
    if line is None:
        raise Failure(_Allow.ALLOW_TRUST_NO_TRUST_LINE)
    if not revocable and line.flags & LINE_AUTHORIZED and authorize & LINE_MAINTAIN:
        raise Failure(_Allow.ALLOW_TRUST_CANT_REVOKE)
    flags = (line.flags & ~LINE_AUTH_FLAGS) | authorize
    context.entries.put(replace(line, flags=flags, modified=context.ledger))
    return b""


def _claw_op(body: xdr.OperationBody) -> xdr.ClawbackOp:
    return present(body.clawback_op)


def _check_claw(body: xdr.OperationBody, source: str) -> None:
    operation = _claw_op(body)
    # Compared as written: a muxed form of the issuer's own account is not caught here.
    from_self = muxed_of(operation.from_) is None and account_of_muxed(operation.from_) == source
    if (
        from_self
        or operation.amount.int64 < 1
        or operation.asset.type == _NATIVE
        or not asset_is_valid(operation.asset)
        or issuer_of(asset_of(operation.asset)) != source
    ):
        raise Failure(_Claw.CLAWBACK_MALFORMED)


def _apply_claw(context: OpContext, body: xdr.OperationBody) -> bytes:
    operation = _claw_op(body)
    line = load_trustline(context.entries, account_of_muxed(operation.from_), asset_of(operation.asset))
    if line is None:
        raise Failure(_Claw.CLAWBACK_NO_TRUST)
    if not line.flags & LINE_CLAWBACK:
        raise Failure(_Claw.CLAWBACK_NOT_CLAWBACK_ENABLED)
    if not fits(line.balance, -operation.amount.int64, line.limit):
        raise Failure(_Claw.CLAWBACK_UNDERFUNDED)
    balance = line.balance - operation.amount.int64
    context.entries.put(replace(line, balance=balance, modified=context.ledger))
    return b""


CHANGE_TRUST = Operation(_Change.CHANGE_TRUST_SUCCESS, always(Threshold.MEDIUM), _check_change, _apply_change)
SET_TRUST_LINE_FLAGS = Operation(
    _Flags.SET_TRUST_LINE_FLAGS_SUCCESS, always(Threshold.LOW), _check_flags, _apply_flags
)
ALLOW_TRUST = Operation(_Allow.ALLOW_TRUST_SUCCESS, always(Threshold.LOW), _check_allow, _apply_allow)
CLAWBACK = Operation(_Claw.CLAWBACK_SUCCESS, always(Threshold.MEDIUM), _check_claw, _apply_claw)
