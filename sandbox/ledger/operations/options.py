"""set_options: flags, thresholds, signers, home domain."""

from __future__ import annotations

from dataclasses import replace

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of, present, signer_of
from sandbox.ledger.entries import Account
from sandbox.ledger.operations.accounts import is_printable
from sandbox.ledger.operations.base import Failure, OpContext, Operation, Threshold
from sandbox.ledger.operations.reserves import reserve_subentry, without_signer
from sandbox.ledger.rules import (
    ACCOUNT_FLAGS,
    AUTH_CLAWBACK,
    AUTH_IMMUTABLE,
    AUTH_REVOCABLE,
    MAX_SIGNERS,
    UINT8_MAX,
)

_Code = xdr.SetOptionsResultCode


def _options(body: xdr.OperationBody) -> xdr.SetOptionsOp:
    return present(body.set_options_op)


def _weights(options: xdr.SetOptionsOp) -> dict[str, int]:
    named = {
        "master_weight": options.master_weight,
        "low": options.low_threshold,
        "med": options.med_threshold,
        "high": options.high_threshold,
    }
    return {name: value.uint32 for name, value in named.items() if value is not None}


def _threshold(body: xdr.OperationBody) -> Threshold:
    options = _options(body)
    return Threshold.HIGH if _weights(options) or options.signer is not None else Threshold.MEDIUM


def _flags(options: xdr.SetOptionsOp) -> tuple[int, int]:
    clear = options.clear_flags.uint32 if options.clear_flags else 0
    return clear, options.set_flags.uint32 if options.set_flags else 0


def _check(body: xdr.OperationBody, source: str) -> None:
    options = _options(body)
    clear, set_ = _flags(options)
    if (clear | set_) & ~ACCOUNT_FLAGS:
        raise Failure(_Code.SET_OPTIONS_UNKNOWN_FLAG)
    if clear & set_:
        raise Failure(_Code.SET_OPTIONS_BAD_FLAGS)
    if any(weight > UINT8_MAX for weight in _weights(options).values()):
        raise Failure(_Code.SET_OPTIONS_THRESHOLD_OUT_OF_RANGE)
    if options.signer is not None and not _signer_is_valid(options.signer, source):
        raise Failure(_Code.SET_OPTIONS_BAD_SIGNER)
    if options.home_domain is not None and not is_printable(options.home_domain.string32):
        raise Failure(_Code.SET_OPTIONS_INVALID_HOME_DOMAIN)


def _signer_is_valid(signer: xdr.Signer, source: str) -> bool:
    return signer_of(signer.key) not in (source, "") and signer.weight.uint32 <= UINT8_MAX


def _apply(context: OpContext, body: xdr.OperationBody) -> bytes:
    options = _options(body)
    account = context.source_account()
    if options.inflation_dest is not None:
        destination = account_of(options.inflation_dest)
        if destination != context.source and context.account(destination) is None:
            raise Failure(_Code.SET_OPTIONS_INVALID_INFLATION)
        account = replace(account, inflation_destination=destination)
    account = _with_flags(account, options)
    if options.home_domain is not None:
        account = replace(account, home_domain=options.home_domain.string32.decode("ascii"))
    weights = _weights(options)
    account = replace(
        account,
        master_weight=weights.get("master_weight", account.master_weight),
        low=weights.get("low", account.low),
        med=weights.get("med", account.med),
        high=weights.get("high", account.high),
    )
    if options.signer is not None:
        account = _with_signer(context, account, options.signer)
    context.put_account(account)
    return b""


def _with_flags(account: Account, options: xdr.SetOptionsOp) -> Account:
    clear, set_ = _flags(options)
    if clear and account.flags & AUTH_IMMUTABLE:
        raise Failure(_Code.SET_OPTIONS_CANT_CHANGE)
    flags = account.flags & ~clear
    if set_ and flags & AUTH_IMMUTABLE:
        raise Failure(_Code.SET_OPTIONS_CANT_CHANGE)
    flags |= set_
    if flags & AUTH_CLAWBACK and not flags & AUTH_REVOCABLE:
        raise Failure(_Code.SET_OPTIONS_AUTH_REVOCABLE_REQUIRED)
    return replace(account, flags=flags)


def _with_signer(context: OpContext, account: Account, signer: xdr.Signer) -> Account:
    key, weight = signer_of(signer.key), signer.weight.uint32
    others = tuple(item for item in account.signers if item[0] != key)
    known = len(others) < len(account.signers)
    if weight == 0:
        return without_signer(context.entries, account, key, context.ledger)
    if not known:
        if len(others) >= MAX_SIGNERS:
            raise Failure(_Code.SET_OPTIONS_TOO_MANY_SIGNERS)
        account, sponsor = reserve_subentry(context, account, _Code.SET_OPTIONS_LOW_RESERVE)
        if sponsor:
            account = replace(account, signer_sponsors=(*account.signer_sponsors, (key, sponsor)))
    return replace(account, signers=tuple(sorted([*others, (key, weight)])))


SET_OPTIONS = Operation(_Code.SET_OPTIONS_SUCCESS, _threshold, _check, _apply)
