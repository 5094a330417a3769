"""Would the ledger take this mint? Pure judgement over what Horizon answered, before anything is signed."""

from __future__ import annotations

from domain.errors import ConfigurationError, PrecheckFailed
from domain.ledger_accounts import AccountView, NoAccount, weight_of
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


def judge_issuer(issuer: AccountView | NoAccount) -> AccountView:
    """Raise PrecheckFailed unless the issuer's master key alone may mint.

    Payments, claimable balances and data entries need the medium threshold.
    """
    if isinstance(issuer, NoAccount):
        raise PrecheckFailed(f"issuer {issuer.account_id} does not exist on the ledger")
    weight, needed = weight_of(issuer), int(issuer.body["thresholds"]["med_threshold"])
    if weight == 0 or weight < needed:
        raise PrecheckFailed(
            f"the key of issuer {issuer.account_id} has weight {weight} where a mint needs {max(needed, 1)}"
        )
    return issuer


def judge_channel(channel: AccountView | NoAccount) -> AccountView:
    """Raise ConfigurationError unless the channel's master key may be a transaction source.

    That is no fault of the request, so it does not fail: it waits until an operator has put it right.
    """
    if isinstance(channel, NoAccount):
        raise ConfigurationError(f"channel account {channel.account_id} does not exist: create and fund it")
    weight, needed = weight_of(channel), int(channel.body["thresholds"]["low_threshold"])
    if weight == 0 or weight < needed:
        raise ConfigurationError(
            f"the key of channel account {channel.account_id} has weight {weight} "
            f"where a transaction needs {max(needed, 1)}"
        )
    return channel
