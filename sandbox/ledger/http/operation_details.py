"""What each kind of operation shows besides what all of them show."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from stellar_sdk import xdr

from sandbox.ledger.codec import (
    account_of,
    account_of_muxed,
    amount_string,
    asset_is_valid,
    asset_of,
    muxed_of,
    present,
    signer_of,
)
from sandbox.ledger.http.predicates import render_predicate
from sandbox.ledger.http.render import asset_fields
from sandbox.ledger.operations.trust import allowed_asset

Json = dict[str, Any]
Muxed = tuple[str, str] | None
_Type = xdr.OperationType
_ACCOUNT_FLAGS: Final = ("auth_required", "auth_revocable", "auth_immutable", "auth_clawback_enabled")
# The spelling of the second is Horizon's.
_LINE_FLAGS: Final = ("authorized", "authorized_to_maintain_liabilites", "clawback_enabled")


def muxed_fields(name: str, muxed: Muxed) -> Json:
    """The M... address and its id under a name; nothing for a plain account."""
    return {f"{name}_muxed": muxed[0], f"{name}_muxed_id": muxed[1]} if muxed else {}


def _named(name: str, account: xdr.MuxedAccount) -> Json:
    return {name: account_of_muxed(account), **muxed_fields(name, muxed_of(account))}


def operation_asset(asset: xdr.Asset | xdr.ChangeTrustAsset) -> Json:
    """Fields of an asset of an operation that was in a ledger, even if the operation was malformed."""
    return asset_fields(asset_of(asset)) if asset_is_valid(asset) else {}


def details(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    """The fields of a kind of operation; none for kinds that the sandbox does not know."""
    render = _RENDERERS.get(body.type)
    return render(body, source, muxed) if render else {}


def _create_account(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    create = present(body.create_account_op)
    return {
        "starting_balance": amount_string(create.starting_balance.int64),
        "funder": source,
        **muxed_fields("funder", muxed),
        "account": account_of(create.destination),
    }


def _payment(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    payment = present(body.payment_op)
    return {
        **operation_asset(payment.asset),
        "from": source,
        **muxed_fields("from", muxed),
        **_named("to", payment.destination),
        "amount": amount_string(payment.amount.int64),
    }


def _merge(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    return {"account": source, **muxed_fields("account", muxed), **_named("into", present(body.destination))}


def _change_trust(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    change = present(body.change_trust_op)
    asset = operation_asset(change.line)
    return {
        **asset,
        "limit": amount_string(change.limit.int64),
        **({"trustee": asset["asset_issuer"]} if "asset_issuer" in asset else {}),
        "trustor": source,
        **muxed_fields("trustor", muxed),
    }


def _allow_trust(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    allow = present(body.allow_trust_op)
    asset = allowed_asset(allow, source)
    return {
        **(asset_fields(asset) if asset else {}),
        "trustee": source,
        **muxed_fields("trustee", muxed),
        "trustor": account_of(allow.trustor),
        "authorize": bool(allow.authorize.uint32 & 1),
        "authorize_to_maintain_liabilities": bool(allow.authorize.uint32 & 2),
    }


def _trustline_flags(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    flags = present(body.set_trust_line_flags_op)
    return {
        **operation_asset(flags.asset),
        "trustor": account_of(flags.trustor),
        **_bits("set_flags", flags.set_flags.uint32, _LINE_FLAGS),
        **_bits("clear_flags", flags.clear_flags.uint32, _LINE_FLAGS),
    }


def _bits(field: str, flags: int, names: tuple[str, ...]) -> Json:
    """The flags as numbers and as names; nothing if none is set."""
    bits = [bit for bit in range(len(names)) if flags & 1 << bit]
    return {field: [1 << bit for bit in bits], f"{field}_s": [names[bit] for bit in bits]} if bits else {}


def _set_options(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    options = present(body.set_options_op)
    numbers = {
        "master_key_weight": options.master_weight,
        "low_threshold": options.low_threshold,
        "med_threshold": options.med_threshold,
        "high_threshold": options.high_threshold,
    }
    shown: Json = {name: value.uint32 for name, value in numbers.items() if value is not None}
    if options.home_domain is not None and options.home_domain.string32:
        shown["home_domain"] = options.home_domain.string32.decode("ascii", "replace")
    if options.inflation_dest is not None:
        shown["inflation_dest"] = account_of(options.inflation_dest)
    if options.signer is not None:
        shown["signer_key"] = signer_of(options.signer.key)
        shown["signer_weight"] = options.signer.weight.uint32
    for field, value in (("set_flags", options.set_flags), ("clear_flags", options.clear_flags)):
        shown |= _bits(field, value.uint32, _ACCOUNT_FLAGS) if value is not None else {}
    return shown


def data_base64(value: xdr.DataValue) -> str:
    """A data value as Horizon shows it."""
    return base64.b64encode(value.data_value).decode()


def _manage_data(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    data = present(body.manage_data_op)
    return {
        "name": data.data_name.string64.decode("ascii", "replace"),
        "value": data_base64(data.data_value) if data.data_value is not None else "",
    }


def _bump(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    return {"bump_to": str(present(body.bump_sequence_op).bump_to.sequence_number.int64)}


def _create_balance(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    create = present(body.create_claimable_balance_op)
    claimants = [claimant.v0 for claimant in create.claimants if claimant.v0 is not None]
    return {
        "asset": asset_of(create.asset) if asset_is_valid(create.asset) else "",
        "amount": amount_string(create.amount.int64),
        "claimants": [
            {"destination": account_of(item.destination), "predicate": render_predicate(item.predicate)}
            for item in claimants
        ],
    }


def _claim_balance(body: xdr.OperationBody, source: str, muxed: Muxed) -> Json:
    balance_id = present(body.claim_claimable_balance_op).balance_id
    return {
        "balance_id": balance_id.to_xdr_bytes().hex(),
        "claimant": source,
        **muxed_fields("claimant", muxed),
    }


def _claw(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    claw = present(body.clawback_op)
    return {
        **operation_asset(claw.asset),
        **_named("from", claw.from_),
        "amount": amount_string(claw.amount.int64),
    }


def _claw_balance(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    balance_id = present(body.clawback_claimable_balance_op).balance_id
    return {"balance_id": balance_id.to_xdr_bytes().hex()}


def _begin(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    return {"sponsored_id": account_of(present(body.begin_sponsoring_future_reserves_op).sponsored_id)}


def _revoke(body: xdr.OperationBody, _source: str, _muxed: Muxed) -> Json:
    revoke = present(body.revoke_sponsorship_op)
    if revoke.signer is not None:
        account, key = account_of(revoke.signer.account_id), signer_of(revoke.signer.signer_key)
        return {"signer_account_id": account, "signer_key": key}
    return _revoked_entry(present(revoke.ledger_key))


def _revoked_entry(key: xdr.LedgerKey) -> Json:
    if key.account is not None:
        return {"account_id": account_of(key.account.account_id)}
    if key.claimable_balance is not None:
        return {"claimable_balance_id": key.claimable_balance.balance_id.to_xdr_bytes().hex()}
    if key.data is not None:
        name = key.data.data_name.string64.decode("ascii", "replace")
        return {"data_account_id": account_of(key.data.account_id), "data_name": name}
    if key.trust_line is None:
        return {"offer_id": str(key.offer.offer_id.int64)} if key.offer is not None else {}
    owner = {"trustline_account_id": account_of(key.trust_line.account_id)}
    known = asset_is_valid(key.trust_line.asset)
    return owner | ({"trustline_asset": asset_of(key.trust_line.asset)} if known else {})


_RENDERERS: Final[dict[xdr.OperationType, Callable[[xdr.OperationBody, str, Muxed], Json]]] = {
    _Type.CREATE_ACCOUNT: _create_account,
    _Type.PAYMENT: _payment,
    _Type.ACCOUNT_MERGE: _merge,
    _Type.CHANGE_TRUST: _change_trust,
    _Type.ALLOW_TRUST: _allow_trust,
    _Type.SET_TRUST_LINE_FLAGS: _trustline_flags,
    _Type.SET_OPTIONS: _set_options,
    _Type.MANAGE_DATA: _manage_data,
    _Type.BUMP_SEQUENCE: _bump,
    _Type.CREATE_CLAIMABLE_BALANCE: _create_balance,
    _Type.CLAIM_CLAIMABLE_BALANCE: _claim_balance,
    _Type.CLAWBACK: _claw,
    _Type.CLAWBACK_CLAIMABLE_BALANCE: _claw_balance,
    _Type.BEGIN_SPONSORING_FUTURE_RESERVES: _begin,
    _Type.REVOKE_SPONSORSHIP: _revoke,
}
