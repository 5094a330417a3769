"""How a mint can reach its destination: the form of its transaction, or why there is none; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from domain.amounts import STROOPS_PER_UNIT, format_amount
from domain.errors import PrecheckFailed
from domain.ledger_accounts import BASE_RESERVE, AccountView, NoAccount, spendable, weight_of
from domain.ledger_options import LedgerOptions, MintForm, MintPlan
from domain.mint_request import MintRequest
from domain.precheck import judge_deadline, judge_issuer

DAY = 86_400

_CLAIMANTS = 2


def choose_plan(
    request: MintRequest, options: LedgerOptions, destination: AccountView | NoAccount, close_time: int
) -> MintPlan:
    """The form in which the mint can reach its destination now; raises PrecheckFailed if there is none.

    A payment wherever a payment can land; the other forms only where the tenant has switched them on.
    `close_time` is the newest ledger's, in Unix seconds: times in a transaction count from it.
    """
    if isinstance(destination, NoAccount):
        raise PrecheckFailed(f"destination {request.destination} does not exist on the ledger")
    line = _trustline(destination.body, request)
    if line is None:
        return _without_trustline(request, options, close_time)
    _judge_room(request, line)
    return MintPlan() if line.get("is_authorized") else _unauthorised(request, options, line)


def judge_means(request: MintRequest, plan: MintPlan, issuer: AccountView) -> None:
    """Raise PrecheckFailed unless the issuer has what the plan needs beyond a payment."""
    if plan.form is MintForm.CLAIMABLE_BALANCE:
        _judge_reserve(request, issuer)
    elif plan.form is MintForm.AUTH_SANDWICH:
        _judge_flags(request, issuer)


@dataclass(frozen=True)
class Outlook:
    """How a mint's destination stood when somebody looked, for people: nothing is decided by it."""

    exists: bool
    trusts: bool = False
    authorised: bool = False
    room: int | None = None
    """Stroops of the asset that the trustline still takes; None: there is no trustline."""
    plan: MintPlan | None = None
    """The form that the mint would have now; None: it would be refused."""
    refusal: str = ""
    """Why it would be refused before anything is signed."""


def look(
    request: MintRequest,
    options: LedgerOptions,
    destination: AccountView | NoAccount,
    issuer: AccountView | NoAccount,
    close_time: int,
) -> Outlook:
    """What the pre-check would find now, by the same rules.

    `close_time` is the newest ledger's, in Unix seconds.
    """
    if isinstance(destination, NoAccount):
        seen = Outlook(exists=False)
    elif (line := _trustline(destination.body, request)) is None:
        seen = Outlook(exists=True)
    else:
        authorised = bool(line.get("is_authorized"))
        seen = Outlook(exists=True, trusts=True, authorised=authorised, room=max(_room(line), 0))
    try:
        judge_deadline(request, close_time)
        known = judge_issuer(issuer)
        plan = choose_plan(request, options, destination, close_time)
        judge_means(request, plan, known)
    except PrecheckFailed as refusal:
        return replace(seen, refusal=refusal.message)
    return replace(seen, plan=plan)


def _without_trustline(request: MintRequest, options: LedgerOptions, close_time: int) -> MintPlan:
    if not options.claimable_balance:
        raise PrecheckFailed(
            f"{_no_line(request)}: the holder must trust it first, or an admin can switch on the option "
            "claimable_balance ('mintkeeper tenant set --as ADMIN --claimable-balance')"
        )
    reclaim_from = close_time + options.reclaim_after_days * DAY
    return MintPlan(form=MintForm.CLAIMABLE_BALANCE, reclaim_from=reclaim_from)


def _unauthorised(request: MintRequest, options: LedgerOptions, line: Mapping[str, Any]) -> MintPlan:
    if not options.auth_sandwich:
        raise PrecheckFailed(
            f"{_no_leave(request)}: authorise it, or an admin can switch on the option auth_sandwich "
            "('mintkeeper tenant set --as ADMIN --auth-sandwich')"
        )
    keeps: Literal[0, 2] = 2 if line.get("is_authorized_to_maintain_liabilities") else 0
    return MintPlan(form=MintForm.AUTH_SANDWICH, line_flags=keeps)


def _judge_reserve(request: MintRequest, issuer: AccountView) -> None:
    needed = _CLAIMANTS * BASE_RESERVE
    if spendable(issuer) < needed:
        raise PrecheckFailed(
            f"{_no_line(request)}, and issuer {issuer.account_id} has not the {format_amount(needed)} native "
            "units to spare that a claimable balance's reserve takes: fund it"
        )


def _judge_flags(request: MintRequest, issuer: AccountView) -> None:
    if not issuer.body["flags"]["auth_revocable"]:
        raise PrecheckFailed(
            f"{_no_leave(request)}, and the option auth_sandwich needs AUTH_REVOCABLE on issuer "
            f"{issuer.account_id} to take the authorisation back: set that flag, or authorise the trustline"
        )
    weight, needed = weight_of(issuer), int(issuer.body["thresholds"]["low_threshold"])
    if weight < needed:
        raise PrecheckFailed(
            f"{_no_leave(request)}, and the key of issuer {issuer.account_id} has weight {weight} where "
            f"changing a trustline's flags needs {needed}"
        )


def _no_line(request: MintRequest) -> str:
    return f"destination {request.destination} has no trustline for {request.asset}"


def _no_leave(request: MintRequest) -> str:
    return f"the trustline of {request.destination} for {request.asset} is not authorised by the issuer"


def _judge_room(request: MintRequest, line: Mapping[str, Any]) -> None:
    room = _room(line)
    if room < request.amount:
        raise PrecheckFailed(
            f"the trustline of {request.destination} has room for {format_amount(max(room, 0))} only, "
            f"the mint is {format_amount(request.amount)}"
        )


def _room(line: Mapping[str, Any]) -> int:
    """Stroops that the line still takes."""
    return _stroops(line["limit"]) - _stroops(line["balance"]) - _stroops(line.get("buying_liabilities", "0"))


def _trustline(account: Mapping[str, Any], request: MintRequest) -> Mapping[str, Any] | None:
    asset = request.asset
    lines: list[Mapping[str, Any]] = account["balances"]
    return next(
        (
            line
            for line in lines
            if line.get("asset_code") == asset.code and line.get("asset_issuer") == asset.issuer
        ),
        None,
    )


def _stroops(text: str) -> int:
    """An amount of Horizon's in stroops; exact, since 19 digits are all there are and Decimal keeps 28."""
    return int(Decimal(text) * STROOPS_PER_UNIT)
