"""The operations of a mint and of its ticket; every one has the issuer as its source."""

from __future__ import annotations

from collections.abc import Sequence

from stellar_sdk import (
    Asset,
    Claimant,
    ClaimPredicate,
    CreateClaimableBalance,
    ManageData,
    Payment,
    SetTrustLineFlags,
    TrustLineFlags,
)
from stellar_sdk.operation import Operation

from domain.amounts import format_amount
from domain.ledger_options import MintForm, MintPlan
from domain.mint_request import MintRequest
from domain.tickets import ticket_name

_AUTHORISED = TrustLineFlags.AUTHORIZED_FLAG


def mint_operations(request: MintRequest, plan: MintPlan) -> list[Operation]:
    """Everything that the mint's one transaction does, in order; a used ticket is its last operation."""
    if plan.form is MintForm.AUTH_SANDWICH:
        operations = _sandwich(request, plan)
    elif plan.form is MintForm.CLAIMABLE_BALANCE:
        operations = [_claimable_balance(request, plan)]
    else:
        operations = [_payment(request)]
    return [*operations, _removal(request, request.id)] if plan.ticket else operations


def ticket_operations(request: MintRequest, removes: Sequence[str]) -> list[Operation]:
    """Take left-behind tickets away, which makes room, and place the request's own: its digest."""
    placing = ManageData(
        ticket_name(request.id), bytes.fromhex(request.digest()), source=request.asset.issuer
    )
    return [*(_removal(request, other) for other in removes), placing]


def _payment(request: MintRequest) -> Operation:
    return Payment(
        request.destination, _asset(request), format_amount(request.amount), source=request.asset.issuer
    )


def _sandwich(request: MintRequest, plan: MintPlan) -> list[Operation]:
    """Authorise, pay, and give the trustline back the authorisation that it had."""
    # a trustline has at most one of the two authorisations, so the lesser one goes while the full one stays
    before = TrustLineFlags(plan.line_flags) if plan.line_flags else None
    return [
        _line_flags(request, cleared=before, given=_AUTHORISED),
        _payment(request),
        _line_flags(request, cleared=_AUTHORISED, given=before),
    ]


def _line_flags(
    request: MintRequest, *, cleared: TrustLineFlags | None, given: TrustLineFlags | None
) -> Operation:
    return SetTrustLineFlags(
        request.destination, _asset(request), cleared, given, source=request.asset.issuer
    )


def _claimable_balance(request: MintRequest, plan: MintPlan) -> Operation:
    """For the destination at any time, and for the issuer itself once the time to claim is over."""
    issuer = request.asset.issuer
    early = ClaimPredicate.predicate_before_absolute_time(plan.reclaim_from or 0)
    claimants = [
        Claimant(request.destination, ClaimPredicate.predicate_unconditional()),
        Claimant(issuer, ClaimPredicate.predicate_not(early)),
    ]
    return CreateClaimableBalance(_asset(request), format_amount(request.amount), claimants, source=issuer)


def _removal(request: MintRequest, of_request: str) -> Operation:
    return ManageData(ticket_name(of_request), None, source=request.asset.issuer)


def _asset(request: MintRequest) -> Asset:
    return Asset(request.asset.code, request.asset.issuer)
