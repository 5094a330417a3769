"""Effects: what operations did to accounts, as Horizon derives it from the entries they changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of, account_of_muxed, amount_string, asset_of, muxed_of, present
from sandbox.ledger.entries import Account, ClaimableBalance, DataEntry, Trustline
from sandbox.ledger.http.effect_types import EFFECT_TYPES
from sandbox.ledger.http.operation_details import Json, data_base64, operation_asset
from sandbox.ledger.http.predicates import render_predicate
from sandbox.ledger.http.render import asset_fields, link, timestamp
from sandbox.ledger.http.render_operations import Muxed, OperationRecord
from sandbox.ledger.http.sponsorship_effects import sponsorship_effects
from sandbox.ledger.operations.trust import allowed_asset

_Type = xdr.OperationType
_LINE_FLAGS: Final = ("authorized_flag", "", "clawback_enabled_flag")
_LINE_EFFECTS: Final = {
    0: "trustline_deauthorized",
    1: "trustline_authorized",
    2: "trustline_authorized_to_maintain_liabilities",
}
# Whose effect it is with the muxed form, which effect, and its details.
Effect = tuple[str, Muxed, str, Json]


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """An effect and where it is: the operation's position and its own behind that, from 1."""

    position: tuple[int, int]
    account: str
    muxed: Muxed
    kind: str
    details: Json
    closed_at: int

    @property
    def token(self) -> str:
        """Its position as a cursor."""
        return f"{self.position[0]}-{self.position[1]}"


def effects_of(item: OperationRecord) -> list[EffectRecord]:
    """The effects of an operation in order; none if its transaction failed."""
    if not item.record.successful:
        return []
    derive = _DERIVATIONS.get(item.operation.body.type)
    own: list[Effect] = list(derive(item)) if derive else []
    own += sponsorship_effects(item.changes, item.source, item.muxed)
    return [
        EffectRecord((item.token, order), account, muxed, kind, details, item.record.closed_at)
        for order, (account, muxed, kind, details) in enumerate(own, 1)
    ]


def render_effect(item: EffectRecord, base_url: str) -> dict[str, Any]:
    """An effect resource."""
    operation, order = item.position
    muxed = {"account_muxed": item.muxed[0], "account_muxed_id": item.muxed[1]} if item.muxed else {}
    return {
        "_links": {
            "operation": link(f"{base_url}/operations/{operation}"),
            "succeeds": link(f"{base_url}/effects?order=desc&cursor={item.token}"),
            "precedes": link(f"{base_url}/effects?order=asc&cursor={item.token}"),
        },
        "id": f"{operation:019d}-{order:010d}",
        "paging_token": item.token,
        "account": item.account,
        **muxed,
        "type": item.kind,
        "type_i": EFFECT_TYPES[item.kind],
        "created_at": timestamp(item.closed_at),
        **item.details,
    }


def _by_source(item: OperationRecord, kind: str, details: Json) -> Effect:
    return item.source, item.muxed, kind, details


def _created(item: OperationRecord) -> Iterator[Effect]:
    create = present(item.operation.body.create_account_op)
    new, amount = account_of(create.destination), amount_string(create.starting_balance.int64)
    yield new, None, "account_created", {"starting_balance": amount}
    yield _by_source(item, "account_debited", {"asset_type": "native", "amount": amount})
    yield new, None, "signer_created", {"weight": 1, "public_key": new, "key": ""}


def _paid(item: OperationRecord) -> Iterator[Effect]:
    payment = present(item.operation.body.payment_op)
    details = operation_asset(payment.asset) | {"amount": amount_string(payment.amount.int64)}
    yield (
        account_of_muxed(payment.destination),
        muxed_of(payment.destination),
        "account_credited",
        details,
    )
    yield _by_source(item, "account_debited", details)


def _merged(item: OperationRecord) -> Iterator[Effect]:
    into = present(item.operation.body.destination)
    before = next(old for old, new in item.changes if new is None and isinstance(old, Account))
    details = {"asset_type": "native", "amount": amount_string(before.balance)}
    yield _by_source(item, "account_debited", details)
    yield account_of_muxed(into), muxed_of(into), "account_credited", details
    yield _by_source(item, "account_removed", {})


def _trust_changed(item: OperationRecord) -> Iterator[Effect]:
    change = present(item.operation.body.change_trust_op)
    details = asset_fields(asset_of(change.line)) | {"limit": amount_string(change.limit.int64)}
    for before, after in item.changes:
        if isinstance(before or after, Trustline):
            yield _by_source(item, _what_happened("trustline", before, after), details)


def _what_happened(kind: str, before: object, after: object) -> str:
    if before is None:
        return f"{kind}_created"
    return f"{kind}_removed" if after is None else f"{kind}_updated"


def _trust_allowed(item: OperationRecord) -> Iterator[Effect]:
    allow = present(item.operation.body.allow_trust_op)
    authorize, trustor = allow.authorize.uint32, account_of(allow.trustor)
    asset = asset_fields(allowed_asset(allow, item.source) or "")
    shown = {name: value for name, value in asset.items() if name != "asset_issuer"}
    yield _by_source(item, _LINE_EFFECTS[authorize], {"trustor": trustor} | shown)
    yield _flags_effect(item, {"trustor": trustor} | asset, authorize, 0 if authorize else 3)


def _flags_effect(item: OperationRecord, details: Json, set_: int, clear: int) -> Effect:
    flags = {
        name: bool(set_ & 1 << bit)
        for bit, name in enumerate(_LINE_FLAGS)
        if name and (set_ | clear) & 1 << bit
    }
    return _by_source(item, "trustline_flags_updated", details | flags)


def _flags_set(item: OperationRecord) -> Iterator[Effect]:
    flags = present(item.operation.body.set_trust_line_flags_op)
    details = {"trustor": account_of(flags.trustor), **operation_asset(flags.asset)}
    yield _flags_effect(item, details, flags.set_flags.uint32, flags.clear_flags.uint32)


def _options_set(item: OperationRecord) -> Iterator[Effect]:
    options = present(item.operation.body.set_options_op)
    if options.home_domain is not None:
        domain = options.home_domain.string32.decode("ascii", "replace")
        yield _by_source(item, "account_home_domain_updated", {"home_domain": domain})
    thresholds = (options.low_threshold, options.med_threshold, options.high_threshold)
    if any(value is not None for value in thresholds):
        names = ("low_threshold", "med_threshold", "high_threshold")
        details = {name: value.uint32 if value else 0 for name, value in zip(names, thresholds, strict=True)}
        yield _by_source(item, "account_thresholds_updated", details)
    set_ = options.set_flags.uint32 if options.set_flags else 0
    clear = options.clear_flags.uint32 if options.clear_flags else 0
    if set_ | clear:
        # Of all flags Horizon shows only this one.
        shown = {"auth_required_flag": bool(set_ & 1)} if (set_ | clear) & 1 else {}
        yield _by_source(item, "account_flags_updated", shown)
    if options.inflation_dest is not None:
        yield _by_source(item, "account_inflation_destination_updated", {})
    yield from _signers_changed(item)


def _signers_changed(item: OperationRecord) -> Iterator[Effect]:
    for before, after in item.changes:
        if not isinstance(before, Account) or not isinstance(after, Account):
            continue
        old, new = dict(before.all_signers()), dict(after.all_signers())
        for key in sorted(old):
            if key not in new:
                yield _by_source(item, "signer_removed", {"weight": 0, "public_key": key, "key": ""})
            elif new[key] != old[key]:
                yield _by_source(item, "signer_updated", {"weight": new[key], "public_key": key, "key": ""})
        for key in sorted(new.keys() - old.keys()):
            yield _by_source(item, "signer_created", {"weight": new[key], "public_key": key, "key": ""})


def _data_managed(item: OperationRecord) -> Iterator[Effect]:
    data = present(item.operation.body.manage_data_op)
    details = {"name": data.data_name.string64.decode("ascii", "replace")}
    if data.data_value is not None:
        details["value"] = data_base64(data.data_value)
    for before, after in item.changes:
        if isinstance(before or after, DataEntry):
            yield _by_source(item, _what_happened("data", before, after), details)


def _bumped(item: OperationRecord) -> Iterator[Effect]:
    for before, after in item.changes:
        if isinstance(before, Account) and isinstance(after, Account) and before.sequence != after.sequence:
            yield _by_source(item, "sequence_bumped", {"new_seq": str(after.sequence)})


def _balance_created(item: OperationRecord) -> Iterator[Effect]:
    create = present(item.operation.body.create_claimable_balance_op)
    balance = next(after for _, after in item.changes if isinstance(after, ClaimableBalance))
    details = _balance_details(balance)
    yield _by_source(item, "claimable_balance_created", details)
    for claimant in create.claimants:
        v0 = present(claimant.v0)
        shown = details | {"predicate": render_predicate(v0.predicate)}
        yield account_of(v0.destination), None, "claimable_balance_claimant_created", shown
    yield _by_source(item, "account_debited", _amount(balance))


def _balance_details(balance: ClaimableBalance) -> Json:
    return {
        "asset": balance.asset,
        "balance_id": balance.balance_id,
        "amount": amount_string(balance.amount),
    }


def _amount(balance: ClaimableBalance) -> Json:
    return asset_fields(balance.asset) | {"amount": amount_string(balance.amount)}


def _gone_balance(item: OperationRecord) -> ClaimableBalance:
    return next(old for old, new in item.changes if new is None and isinstance(old, ClaimableBalance))


def _balance_claimed(item: OperationRecord) -> Iterator[Effect]:
    balance = _gone_balance(item)
    yield _by_source(item, "claimable_balance_claimed", _balance_details(balance))
    yield _by_source(item, "account_credited", _amount(balance))


def _balance_clawed(item: OperationRecord) -> Iterator[Effect]:
    balance = _gone_balance(item)
    yield _by_source(item, "claimable_balance_clawed_back", {"balance_id": balance.balance_id})
    yield _by_source(item, "account_credited", _amount(balance))


def _clawed(item: OperationRecord) -> Iterator[Effect]:
    claw = present(item.operation.body.clawback_op)
    details = operation_asset(claw.asset) | {"amount": amount_string(claw.amount.int64)}
    yield _by_source(item, "account_credited", details)
    yield account_of_muxed(claw.from_), muxed_of(claw.from_), "account_debited", details


_DERIVATIONS: Final[dict[xdr.OperationType, Callable[[OperationRecord], Iterator[Effect]]]] = {
    _Type.CREATE_ACCOUNT: _created,
    _Type.PAYMENT: _paid,
    _Type.ACCOUNT_MERGE: _merged,
    _Type.CHANGE_TRUST: _trust_changed,
    _Type.ALLOW_TRUST: _trust_allowed,
    _Type.SET_TRUST_LINE_FLAGS: _flags_set,
    _Type.SET_OPTIONS: _options_set,
    _Type.MANAGE_DATA: _data_managed,
    _Type.BUMP_SEQUENCE: _bumped,
    _Type.CREATE_CLAIMABLE_BALANCE: _balance_created,
    _Type.CLAIM_CLAIMABLE_BALANCE: _balance_claimed,
    _Type.CLAWBACK: _clawed,
    _Type.CLAWBACK_CLAIMABLE_BALANCE: _balance_clawed,
}
