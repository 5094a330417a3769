"""Operations and payments in Horizon's shape."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from stellar_sdk import xdr

from sandbox.ledger.codec import (
    account_of,
    account_of_muxed,
    amount_string,
    asset_of,
    muxed_of,
    present,
    signer_of,
)
from sandbox.ledger.envelopes import Transaction
from sandbox.ledger.history import TransactionRecord, operation_counterparts
from sandbox.ledger.http.render import asset_fields, link, timestamp

_Type = xdr.OperationType
_PAYMENTS = (_Type.CREATE_ACCOUNT, _Type.PAYMENT, _Type.ACCOUNT_MERGE)


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An operation of a closed ledger and where it is."""

    record: TransactionRecord
    operation: xdr.Operation
    source: str
    token: int
    begin_sponsor: str = ""

    @property
    def is_payment(self) -> bool:
        """Whether it moves money between accounts."""
        return self.operation.body.type in _PAYMENTS

    @property
    def accounts(self) -> set[str]:
        """Accounts it is about."""
        begun = {self.begin_sponsor} if self.begin_sponsor else set()
        return operation_counterparts(self.operation.body) | {self.source} | begun


def operations_of(record: TransactionRecord, transaction: Transaction) -> list[OperationRecord]:
    """The operations of a recorded transaction, in order."""
    found = []
    sponsors: dict[str, str] = {}
    for index, operation in enumerate(transaction.operations):
        source, begun = transaction.operation_source(operation), ""
        if operation.body.begin_sponsoring_future_reserves_op is not None:
            sponsors[account_of(operation.body.begin_sponsoring_future_reserves_op.sponsored_id)] = source
        elif operation.body.type == _Type.END_SPONSORING_FUTURE_RESERVES and record.successful:
            begun = sponsors.pop(source)
        found.append(OperationRecord(record, operation, source, record.operation_id(index), begun))
    return found


def render_operation(item: OperationRecord, base_url: str) -> dict[str, Any]:
    """An operation resource; details for the operations that move or authorise money."""
    body = item.operation.body
    token = str(item.token)
    return {
        "_links": {
            "self": link(f"{base_url}/operations/{token}"),
            "transaction": link(f"{base_url}/transactions/{item.record.hash}"),
            "effects": link(f"{base_url}/operations/{token}/effects"),
            "succeeds": link(f"{base_url}/effects?order=desc&cursor={token}"),
            "precedes": link(f"{base_url}/effects?order=asc&cursor={token}"),
        },
        "id": token,
        "paging_token": token,
        "transaction_successful": item.record.successful,
        "source_account": item.source,
        "type": body.type.name.lower(),
        "type_i": int(body.type),
        "created_at": timestamp(item.record.closed_at),
        "transaction_hash": item.record.hash,
        **_details(body, item.source),
        **({"begin_sponsor": item.begin_sponsor} if item.begin_sponsor else {}),
    }


def _details(body: xdr.OperationBody, source: str) -> dict[str, Any]:
    if body.payment_op is not None:
        return _payment(body.payment_op, source)
    if body.create_account_op is not None:
        create = body.create_account_op
        return {
            "starting_balance": amount_string(create.starting_balance.int64),
            "funder": source,
            "account": account_of(create.destination),
        }
    if body.destination is not None:
        return {"account": source, "into": account_of_muxed(body.destination)}
    if body.change_trust_op is not None and body.change_trust_op.line.liquidity_pool is None:
        asset = asset_fields(asset_of(body.change_trust_op.line))
        trustee = {"trustee": asset["asset_issuer"]} if "asset_issuer" in asset else {}
        return {
            **asset,
            "limit": amount_string(body.change_trust_op.limit.int64),
            **trustee,
            "trustor": source,
        }
    return _more_details(body)


def _payment(payment: xdr.PaymentOp, source: str) -> dict[str, Any]:
    muxed = muxed_of(payment.destination)
    return {
        **asset_fields(asset_of(payment.asset)),
        "from": source,
        "to": account_of_muxed(payment.destination),
        **({"to_muxed": muxed[0], "to_muxed_id": muxed[1]} if muxed else {}),
        "amount": amount_string(payment.amount.int64),
    }


def _sponsorship_details(body: xdr.OperationBody) -> dict[str, Any]:
    if body.begin_sponsoring_future_reserves_op is not None:
        return {"sponsored_id": account_of(body.begin_sponsoring_future_reserves_op.sponsored_id)}
    revoke = body.revoke_sponsorship_op
    if revoke is None:
        return {}
    if revoke.signer is not None:
        signer = revoke.signer
        return {
            "signer_account_id": account_of(signer.account_id),
            "signer_key": signer_of(signer.signer_key),
        }
    return _entry_details(present(revoke.ledger_key))


def _entry_details(key: xdr.LedgerKey) -> dict[str, Any]:
    """What a revocation is about."""
    if key.account is not None:
        return {"account_id": account_of(key.account.account_id)}
    if key.claimable_balance is not None:
        return {"claimable_balance_id": key.claimable_balance.balance_id.to_xdr_bytes().hex()}
    if key.data is not None:
        name = key.data.data_name.string64.decode("ascii", "replace")
        return {"data_account_id": account_of(key.data.account_id), "data_name": name}
    if key.trust_line is not None and key.trust_line.asset.liquidity_pool_id is None:
        return {
            "trustline_account_id": account_of(key.trust_line.account_id),
            "trustline_asset": asset_of(key.trust_line.asset),
        }
    return {}


def _more_details(body: xdr.OperationBody) -> dict[str, Any]:
    if body.set_trust_line_flags_op is not None:
        flags = body.set_trust_line_flags_op
        return {
            **asset_fields(asset_of(flags.asset)),
            "trustor": account_of(flags.trustor),
            "set_flags": _bits(flags.set_flags),
            "clear_flags": _bits(flags.clear_flags),
        }
    if body.manage_data_op is not None:
        value = body.manage_data_op.data_value
        return {
            "name": body.manage_data_op.data_name.string64.decode("ascii", "replace"),
            "value": xdr_base64(value) if value is not None else None,
        }
    if body.bump_sequence_op is not None:
        return {"bump_to": str(body.bump_sequence_op.bump_to.sequence_number.int64)}
    if body.clawback_op is not None:
        claw = body.clawback_op
        return {
            **asset_fields(asset_of(claw.asset)),
            "from": account_of_muxed(claw.from_),
            "amount": amount_string(claw.amount.int64),
        }
    if body.create_claimable_balance_op is not None:
        create = body.create_claimable_balance_op
        return {"asset": asset_of(create.asset), "amount": amount_string(create.amount.int64)}
    if body.claim_claimable_balance_op is not None:
        return {"balance_id": body.claim_claimable_balance_op.balance_id.to_xdr_bytes().hex()}
    return _sponsorship_details(body)


def _bits(flags: xdr.Uint32) -> list[int]:
    return [1 << bit for bit in range(3) if flags.uint32 & 1 << bit]


def xdr_base64(value: xdr.DataValue) -> str:
    """A data value as Horizon shows it."""
    return base64.b64encode(value.data_value).decode()
