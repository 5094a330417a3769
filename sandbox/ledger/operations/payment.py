"""Payment: a mint when the issuer pays, a burn when the issuer is paid."""

from __future__ import annotations

from stellar_sdk import xdr

from sandbox.ledger.codec import NATIVE, account_of_muxed, asset_is_valid, asset_of, issuer_of, present
from sandbox.ledger.operations.base import (
    Failure,
    LineCodes,
    OpContext,
    Operation,
    Threshold,
    always,
    give,
    take,
)

_Code = xdr.PaymentResultCode
_TAKE = LineCodes(_Code.PAYMENT_SRC_NO_TRUST, _Code.PAYMENT_SRC_NOT_AUTHORIZED, _Code.PAYMENT_UNDERFUNDED)
_GIVE = LineCodes(_Code.PAYMENT_NO_TRUST, _Code.PAYMENT_NOT_AUTHORIZED, _Code.PAYMENT_LINE_FULL)


def _check(body: xdr.OperationBody, _source: str) -> None:
    payment = _payment(body)
    if payment.amount.int64 <= 0 or not asset_is_valid(payment.asset):
        raise Failure(_Code.PAYMENT_MALFORMED)


def _apply(context: OpContext, body: xdr.OperationBody) -> bytes:
    payment = _payment(body)
    destination, asset = account_of_muxed(payment.destination), asset_of(payment.asset)
    amount = payment.amount.int64
    if asset == NATIVE and destination == context.source:
        return b""
    # An asset may always go back to its issuer, even if that account is gone.
    if (asset == NATIVE or issuer_of(asset) != destination) and context.account(destination) is None:
        raise Failure(_Code.PAYMENT_NO_DESTINATION)
    # The receiving side is looked at first: with both at fault, its code is the answer.
    give(context, destination, asset, amount, _GIVE)
    take(context, context.source, asset, amount, _TAKE)
    return b""


def _payment(body: xdr.OperationBody) -> xdr.PaymentOp:
    return present(body.payment_op)


PAYMENT = Operation(_Code.PAYMENT_SUCCESS, always(Threshold.MEDIUM), _check, _apply)
