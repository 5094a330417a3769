"""Operations and payments in Horizon's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stellar_sdk import xdr

from sandbox.ledger.codec import account_of, signer_of
from sandbox.ledger.entries import Account, Changes
from sandbox.ledger.envelopes import Transaction
from sandbox.ledger.history import TransactionRecord, operation_counterparts
from sandbox.ledger.http.operation_details import details, muxed_fields
from sandbox.ledger.http.render import link, timestamp

_Type = xdr.OperationType
_PAYMENTS = (_Type.CREATE_ACCOUNT, _Type.PAYMENT, _Type.ACCOUNT_MERGE)
Muxed = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An operation of a closed ledger, where it is, and what it did.

    ``begun`` is for the end of a sponsorship: who had begun it, and that account's muxed form.
    """

    record: TransactionRecord
    operation: xdr.Operation
    source: str
    muxed: Muxed
    token: int
    changes: Changes
    begun: tuple[str, Muxed] | None

    @property
    def is_payment(self) -> bool:
        """Whether it moves money between accounts."""
        return self.operation.body.type in _PAYMENTS

    @property
    def sponsor(self) -> str:
        """Who sponsors the entry or signer it made; empty if nobody does or it made none."""
        options = self.operation.body.set_options_op
        key = signer_of(options.signer.key) if options is not None and options.signer is not None else ""
        for before, after in self.changes:
            if key and isinstance(after, Account):
                known = dict(before.signer_sponsors).get(key) if isinstance(before, Account) else None
                sponsor = dict(after.signer_sponsors).get(key, "")
                if sponsor and sponsor != known:
                    return sponsor
            if before is None and after is not None and after.sponsor:
                return after.sponsor
        return ""

    @property
    def accounts(self) -> set[str]:
        """Accounts it is about."""
        found = operation_counterparts(self.operation.body) | {self.source, self.sponsor}
        return found | ({self.begun[0]} if self.begun else set())


def operations_of(record: TransactionRecord, transaction: Transaction) -> list[OperationRecord]:
    """The operations of a recorded transaction, in order."""
    found = []
    sponsors: dict[str, tuple[str, Muxed]] = {}
    for index, operation in enumerate(transaction.operations):
        source, muxed, begun = (
            transaction.operation_source(operation),
            transaction.operation_muxed(operation),
            None,
        )
        begin = operation.body.begin_sponsoring_future_reserves_op
        if begin is not None:
            sponsors[account_of(begin.sponsored_id)] = (source, muxed)
        elif operation.body.type == _Type.END_SPONSORING_FUTURE_RESERVES and record.successful:
            begun = sponsors.get(source)
        changes = record.changes[index] if record.changes else ()
        token = record.operation_id(index)
        found.append(OperationRecord(record, operation, source, muxed, token, changes, begun))
    return found


def render_operation(item: OperationRecord, base_url: str) -> dict[str, Any]:
    """An operation resource."""
    body = item.operation.body
    token = str(item.token)
    sponsor = item.sponsor
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
        **muxed_fields("source_account", item.muxed),
        "type": body.type.name.lower(),
        "type_i": int(body.type),
        "created_at": timestamp(item.record.closed_at),
        "transaction_hash": item.record.hash,
        **({"sponsor": sponsor} if sponsor else {}),
        **details(body, item.source, item.muxed),
        **({"begin_sponsor": item.begun[0]} if item.begun else {}),
        **(muxed_fields("begin_sponsor", item.begun[1]) if item.begun else {}),
    }
