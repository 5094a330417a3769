"""Claimable balances: create, claim, claw back."""

from __future__ import annotations

from hashlib import sha256
from struct import pack

from stellar_sdk import xdr

from sandbox.ledger.codec import (
    NATIVE,
    account_of,
    asset_is_valid,
    asset_of,
    issuer_of,
    present,
    raw_from_account,
)
from sandbox.ledger.entries import ClaimableBalance, balance_key, load_balance
from sandbox.ledger.operations.base import (
    Failure,
    LineCodes,
    OpContext,
    Operation,
    Threshold,
    always,
    give,
    no_check,
    take,
)
from sandbox.ledger.operations.reserves import carry, release
from sandbox.ledger.rules import AUTH_CLAWBACK, INT64_MAX

_Create = xdr.CreateClaimableBalanceResultCode
_Claim = xdr.ClaimClaimableBalanceResultCode
_Claw = xdr.ClawbackClaimableBalanceResultCode
_Kind = xdr.ClaimPredicateType

_TAKE = LineCodes(
    _Create.CREATE_CLAIMABLE_BALANCE_NO_TRUST,
    _Create.CREATE_CLAIMABLE_BALANCE_NOT_AUTHORIZED,
    _Create.CREATE_CLAIMABLE_BALANCE_UNDERFUNDED,
)
_GIVE = LineCodes(
    _Claim.CLAIM_CLAIMABLE_BALANCE_NO_TRUST,
    _Claim.CLAIM_CLAIMABLE_BALANCE_NOT_AUTHORIZED,
    _Claim.CLAIM_CLAIMABLE_BALANCE_LINE_FULL,
)
_DEEPEST_PREDICATE = 4


def _create_op(body: xdr.OperationBody) -> xdr.CreateClaimableBalanceOp:
    return present(body.create_claimable_balance_op)


def _claimants(create: xdr.CreateClaimableBalanceOp) -> list[xdr.ClaimantV0]:
    return [claimant.v0 for claimant in create.claimants if claimant.v0 is not None]


def _check_create(body: xdr.OperationBody, _source: str) -> None:
    create = _create_op(body)
    claimants = _claimants(create)
    names = {account_of(claimant.destination) for claimant in claimants}
    if (
        not asset_is_valid(create.asset)
        or create.amount.int64 <= 0
        or not claimants
        or len(names) < len(claimants)
        or not all(_is_valid(claimant.predicate, 1) for claimant in claimants)
    ):
        raise Failure(_Create.CREATE_CLAIMABLE_BALANCE_MALFORMED)


def _is_valid(predicate: xdr.ClaimPredicate, depth: int) -> bool:
    if depth > _DEEPEST_PREDICATE:
        return False
    if predicate.type in (_Kind.CLAIM_PREDICATE_AND, _Kind.CLAIM_PREDICATE_OR):
        pair = predicate.and_predicates or predicate.or_predicates or []
        return len(pair) == 2 and all(_is_valid(part, depth + 1) for part in pair)
    if predicate.type == _Kind.CLAIM_PREDICATE_NOT:
        return predicate.not_predicate is not None and _is_valid(predicate.not_predicate, depth + 1)
    if predicate.abs_before is not None:
        return bool(predicate.abs_before.int64 >= 0)
    return predicate.rel_before is None or bool(predicate.rel_before.int64 >= 0)


def _absolute(predicate: xdr.ClaimPredicate, close_time: int) -> xdr.ClaimPredicate:
    """The predicate with every relative time counted from the ledger that creates the balance."""
    if predicate.rel_before is not None:
        limit = min(close_time + predicate.rel_before.int64, INT64_MAX)
        return xdr.ClaimPredicate(_Kind.CLAIM_PREDICATE_BEFORE_ABSOLUTE_TIME, abs_before=xdr.Int64(limit))
    if predicate.not_predicate is not None:
        return xdr.ClaimPredicate(
            predicate.type, not_predicate=_absolute(predicate.not_predicate, close_time)
        )
    if predicate.and_predicates is not None:
        parts = [_absolute(part, close_time) for part in predicate.and_predicates]
        return xdr.ClaimPredicate(predicate.type, and_predicates=parts)
    if predicate.or_predicates is not None:
        parts = [_absolute(part, close_time) for part in predicate.or_predicates]
        return xdr.ClaimPredicate(predicate.type, or_predicates=parts)
    return predicate


def _holds(predicate: xdr.ClaimPredicate, close_time: int) -> bool:
    if predicate.and_predicates is not None:
        return all(_holds(part, close_time) for part in predicate.and_predicates)
    if predicate.or_predicates is not None:
        return any(_holds(part, close_time) for part in predicate.or_predicates)
    if predicate.not_predicate is not None:
        return not _holds(predicate.not_predicate, close_time)
    if predicate.abs_before is not None:
        return bool(predicate.abs_before.int64 > close_time)
    return True


def _apply_create(context: OpContext, body: xdr.OperationBody) -> bytes:
    create = _create_op(body)
    asset, amount = asset_of(create.asset), create.amount.int64
    clawback = take(context, context.source, asset, amount, _TAKE)
    if issuer_of(asset) == context.source:
        clawback = bool(context.source_account().flags & AUTH_CLAWBACK)
    claimants = tuple(
        (account_of(item.destination), _absolute(item.predicate, context.close_time).to_xdr())
        for item in _claimants(create)
    )
    # It belongs to nobody, so somebody always sponsors it: its creator if nobody else does.
    sponsor = context.sponsorships.get(context.source, context.source)
    carry(context, sponsor, len(claimants), _Create.CREATE_CLAIMABLE_BALANCE_LOW_RESERVE)
    digest = _balance_digest(context)
    balance_id = (bytes(4) + digest).hex()
    context.entries.put(
        ClaimableBalance(balance_id, asset, amount, sponsor, claimants, clawback, context.ledger)
    )
    return bytes(4) + digest


def _balance_digest(context: OpContext) -> bytes:
    """The id follows from transaction source, sequence and operation index: it is known beforehand."""
    source = bytes(4) + raw_from_account(context.transaction_source)
    kind = pack(">i", xdr.EnvelopeType.ENVELOPE_TYPE_OP_ID)
    return sha256(kind + source + pack(">qI", context.transaction_sequence, context.index)).digest()


def _apply_claim(context: OpContext, body: xdr.OperationBody) -> bytes:
    balance_id = present(body.claim_claimable_balance_op).balance_id.to_xdr_bytes().hex()
    balance = load_balance(context.entries, balance_id)
    if balance is None:
        raise Failure(_Claim.CLAIM_CLAIMABLE_BALANCE_DOES_NOT_EXIST)
    predicate = dict(balance.claimants).get(context.source)
    if predicate is None or not _holds(xdr.ClaimPredicate.from_xdr(predicate), context.close_time):
        raise Failure(_Claim.CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM)
    give(context, context.source, balance.asset, balance.amount, _GIVE)
    _remove(context, balance)
    return b""


def _apply_claw(context: OpContext, body: xdr.OperationBody) -> bytes:
    balance_id = present(body.clawback_claimable_balance_op).balance_id.to_xdr_bytes().hex()
    balance = load_balance(context.entries, balance_id)
    if balance is None:
        raise Failure(_Claw.CLAWBACK_CLAIMABLE_BALANCE_DOES_NOT_EXIST)
    if balance.asset == NATIVE or issuer_of(balance.asset) != context.source:
        raise Failure(_Claw.CLAWBACK_CLAIMABLE_BALANCE_NOT_ISSUER)
    if not balance.clawback:
        raise Failure(_Claw.CLAWBACK_CLAIMABLE_BALANCE_NOT_CLAWBACK_ENABLED)
    _remove(context, balance)
    return b""


def _remove(context: OpContext, balance: ClaimableBalance) -> None:
    release(context.entries, balance.sponsor, len(balance.claimants), context.ledger)
    context.entries.delete(balance_key(balance.balance_id))


CREATE_CLAIMABLE_BALANCE = Operation(
    _Create.CREATE_CLAIMABLE_BALANCE_SUCCESS, always(Threshold.MEDIUM), _check_create, _apply_create
)
CLAIM_CLAIMABLE_BALANCE = Operation(
    _Claim.CLAIM_CLAIMABLE_BALANCE_SUCCESS, always(Threshold.LOW), no_check, _apply_claim
)
CLAWBACK_CLAIMABLE_BALANCE = Operation(
    _Claw.CLAWBACK_CLAIMABLE_BALANCE_SUCCESS, always(Threshold.MEDIUM), no_check, _apply_claw
)
