"""Would the ledger take this mint? Pure judgement over what Horizon answered, before anything is signed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from activities.stellar.horizon import AccountView, NoAccount
from domain.amounts import STROOPS_PER_UNIT, format_amount
from domain.errors import ConfigurationError, PrecheckFailed
from domain.mint_request import MintRequest, utc_text


def judge_request(request: MintRequest, *, network_passphrase: str, issuer: str) -> None:
    """Raise PrecheckFailed unless the request is for the configured network and the wallet's issuer."""
    if request.network_passphrase != network_passphrase:
        raise PrecheckFailed(
            f"the request is for the network {request.network_passphrase!r}, "
            f"this installation serves {network_passphrase!r}"
        )
    if request.asset.issuer != issuer:
        raise PrecheckFailed(f"{request.asset} is not issued by this installation's issuer {issuer}")


def judge_deadline(request: MintRequest, newest_close_time: int) -> None:
    """Raise PrecheckFailed if no later ledger can close within the request's own deadline.

    `newest_close_time` is in Unix seconds. Close times strictly increase, so one equal to the deadline
    is the last that was in time.
    """
    deadline = request.ledger_deadline
    if deadline is not None and newest_close_time >= int(deadline.timestamp()):
        raise PrecheckFailed(f"the deadline {utc_text(deadline)} is past by the ledger's clock")


def judge_destination(request: MintRequest, destination: AccountView | NoAccount) -> None:
    """Raise PrecheckFailed unless the destination has an authorised trustline with room for the amount."""
    if isinstance(destination, NoAccount):
        raise PrecheckFailed(f"destination {request.destination} does not exist on the ledger")
    line = _trustline(destination.body, request)
    if line is None:
        raise PrecheckFailed(f"destination {request.destination} has no trustline for {request.asset}")
    if not line.get("is_authorized"):
        raise PrecheckFailed(
            f"the trustline of {request.destination} for {request.asset} is not authorised by the issuer"
        )
    room = _stroops(line["limit"]) - _stroops(line["balance"]) - _stroops(line.get("buying_liabilities", "0"))
    if room < request.amount:
        raise PrecheckFailed(
            f"the trustline of {request.destination} has room for {format_amount(max(room, 0))} only, "
            f"the mint is {format_amount(request.amount)}"
        )


def judge_issuer(issuer: AccountView | NoAccount) -> None:
    """Raise PrecheckFailed unless the issuer's master key alone may pay (medium threshold)."""
    if isinstance(issuer, NoAccount):
        raise PrecheckFailed(f"issuer {issuer.account_id} does not exist on the ledger")
    weight, needed = _weight(issuer), int(issuer.body["thresholds"]["med_threshold"])
    if weight == 0 or weight < needed:
        raise PrecheckFailed(
            f"the key of issuer {issuer.account_id} has weight {weight} "
            f"where a payment needs {max(needed, 1)}"
        )


def judge_channel(channel: AccountView | NoAccount) -> AccountView:
    """Raise ConfigurationError unless the channel's master key may be a transaction source.

    That is no fault of the request, so it does not fail: it waits until an operator has put it right.
    """
    if isinstance(channel, NoAccount):
        raise ConfigurationError(f"channel account {channel.account_id} does not exist: create and fund it")
    weight, needed = _weight(channel), int(channel.body["thresholds"]["low_threshold"])
    if weight == 0 or weight < needed:
        raise ConfigurationError(
            f"the key of channel account {channel.account_id} has weight {weight} "
            f"where a transaction needs {max(needed, 1)}"
        )
    return channel


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


def _weight(account: AccountView) -> int:
    return next(
        (int(entry["weight"]) for entry in account.body["signers"] if entry["key"] == account.account_id), 0
    )


def _stroops(text: str) -> int:
    """Exact for every amount of the ledger: 19 digits, and Decimal keeps 28."""
    return int(Decimal(text) * STROOPS_PER_UNIT)
