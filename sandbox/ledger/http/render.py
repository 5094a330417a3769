"""Ledgers, transactions and accounts in Horizon's shape: 64-bit quantities as strings, 32-bit as numbers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from stellar_sdk import xdr

from sandbox.ledger.codec import amount_string
from sandbox.ledger.entries import Account, ClaimableBalance, DataEntry, Trustline
from sandbox.ledger.envelopes import FeeBump, Preconditions, Signature, Transaction
from sandbox.ledger.history import LedgerRecord, TransactionRecord
from sandbox.ledger.http.predicates import render_predicate
from sandbox.ledger.rules import (
    AUTH_CLAWBACK,
    AUTH_IMMUTABLE,
    AUTH_REQUIRED,
    AUTH_REVOCABLE,
    BASE_FEE,
    BASE_RESERVE,
    LINE_AUTH_FLAGS,
    LINE_AUTHORIZED,
    LINE_CLAWBACK,
    PROTOCOL_VERSION,
    TOTAL_COINS,
)

Json = dict[str, Any]
_PAGED = "{?cursor,limit,order}"
_SIGNER_TYPES = {
    "G": "ed25519_public_key",
    "T": "preauth_tx",
    "X": "sha256_hash",
    "P": "ed25519_signed_payload",
}
_MEMO_NAMES = {
    xdr.MemoType.MEMO_NONE: "none",
    xdr.MemoType.MEMO_TEXT: "text",
    xdr.MemoType.MEMO_ID: "id",
    xdr.MemoType.MEMO_HASH: "hash",
    xdr.MemoType.MEMO_RETURN: "return",
}


def timestamp(seconds: int) -> str:
    """Unix seconds as Horizon writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def link(href: str) -> Json:
    """A link, marked as a template if it is one."""
    return {"href": href, "templated": True} if "{" in href else {"href": href}


def links(base_url: str, path: str, paged: tuple[str, ...]) -> Json:
    """The link to a resource itself and to the collections under it."""
    found = {"self": link(base_url + path)}
    return found | {name: link(f"{base_url}{path}/{name}{_PAGED}") for name in paged}


def render_ledger(ledger: LedgerRecord, base_url: str) -> Json:
    """A ledger resource."""
    path = f"/ledgers/{ledger.sequence}"
    body: Json = {
        "_links": links(base_url, path, ("transactions", "operations", "payments", "effects")),
        "id": ledger.hash,
        "paging_token": str(ledger.sequence << 32),
        "hash": ledger.hash,
        "prev_hash": ledger.previous_hash,
        "sequence": ledger.sequence,
        "successful_transaction_count": ledger.successful,
        "failed_transaction_count": ledger.failed,
        "operation_count": ledger.operations,
        "tx_set_operation_count": ledger.set_operations,
        "closed_at": timestamp(ledger.closed_at),
        "total_coins": amount_string(TOTAL_COINS),
        "fee_pool": amount_string(ledger.fee_pool),
        "base_fee_in_stroops": BASE_FEE,
        "base_reserve_in_stroops": BASE_RESERVE,
        "max_tx_set_size": ledger.capacity,
        "protocol_version": PROTOCOL_VERSION,
        "header_xdr": base64.b64encode(ledger.header()).decode(),
    }
    return body


def render_transaction(
    record: TransactionRecord, submission: Transaction | FeeBump, base_url: str, asked_hash: str
) -> Json:
    """A transaction resource under the hash it was asked for: the outer or the inner one of a fee bump."""
    transaction = submission.transaction
    path = f"/transactions/{asked_hash}"
    token = str(record.paging_token)
    body: Json = {
        "_links": _transaction_links(base_url, path, transaction.source, record.ledger, token),
        "id": asked_hash,
        "paging_token": token,
        "successful": record.successful,
        "hash": asked_hash,
        "ledger": record.ledger,
        "created_at": timestamp(record.closed_at),
        "source_account": transaction.source,
        **_muxed("account", transaction.source_muxed),
        "source_account_sequence": str(transaction.sequence),
        "fee_account": submission.fee_source,
        **_muxed(
            "fee_account",
            submission.fee_source_muxed if isinstance(submission, FeeBump) else transaction.source_muxed,
        ),
        "fee_charged": str(record.fee_charged),
        "max_fee": str(submission.fee),
        "operation_count": len(transaction.operations),
        "envelope_xdr": record.envelope_xdr,
        "result_xdr": record.result_xdr,
        "fee_meta_xdr": "",
        **_memo(transaction.memo),
        "signatures": _signatures(submission.signatures),
    }
    if conditions := _preconditions(transaction.preconditions):
        body["preconditions"] = conditions
    if isinstance(submission, FeeBump):
        body |= _bump_parts(record, submission, asked_hash)
    return body


def _bump_parts(record: TransactionRecord, bump: FeeBump, asked_hash: str) -> Json:
    """What a fee bump adds; asked for by the inner hash, the inner signatures are shown."""
    outer, inner = _signatures(bump.signatures), _signatures(bump.inner.signatures)
    return {
        "signatures": inner if asked_hash == record.inner_hash else outer,
        "fee_bump_transaction": {"hash": record.hash, "signatures": outer},
        "inner_transaction": {
            "hash": record.inner_hash,
            "signatures": inner,
            "max_fee": str(bump.inner.fee),
        },
    }


def _transaction_links(base_url: str, path: str, source: str, ledger: int, token: str) -> Json:
    return {
        "self": link(base_url + path),
        "account": link(f"{base_url}/accounts/{source}"),
        "ledger": link(f"{base_url}/ledgers/{ledger}"),
        "operations": link(f"{base_url}{path}/operations{_PAGED}"),
        "effects": link(f"{base_url}{path}/effects{_PAGED}"),
        "precedes": link(f"{base_url}/transactions?order=asc&cursor={token}"),
        "succeeds": link(f"{base_url}/transactions?order=desc&cursor={token}"),
        "transaction": link(base_url + path),
    }


def _muxed(name: str, muxed: tuple[str, str] | None) -> Json:
    return {f"{name}_muxed": muxed[0], f"{name}_muxed_id": muxed[1]} if muxed else {}


def _signatures(signatures: tuple[Signature, ...]) -> list[str]:
    return [base64.b64encode(signature).decode() for _, signature in signatures]


def _memo(memo: xdr.Memo) -> Json:
    body: Json = {"memo_type": _MEMO_NAMES[memo.type]}
    if memo.text is not None:
        body["memo"] = memo.text.decode("utf-8", "replace")
        body["memo_bytes"] = base64.b64encode(memo.text).decode()
    elif memo.id is not None:
        body["memo"] = str(memo.id.uint64)
    elif memo.hash is not None:
        body["memo"] = base64.b64encode(memo.hash.hash).decode()
    elif memo.ret_hash is not None:
        body["memo"] = base64.b64encode(memo.ret_hash.hash).decode()
    return body


def _preconditions(conditions: Preconditions) -> Json:
    body: Json = {}
    if conditions.has_time_bounds:
        body["timebounds"] = {"min_time": str(conditions.min_time)}
        if conditions.max_time:
            body["timebounds"]["max_time"] = str(conditions.max_time)
    if conditions.ledger_bounds is not None:
        low, high = conditions.ledger_bounds
        body["ledgerbounds"] = {"min_ledger": low} | ({"max_ledger": high} if high else {})
    if conditions.min_sequence is not None:
        body["min_account_sequence"] = str(conditions.min_sequence)
    if conditions.min_sequence_age:
        body["min_account_sequence_age"] = str(conditions.min_sequence_age)
    if conditions.min_sequence_ledger_gap:
        body["min_account_sequence_ledger_gap"] = conditions.min_sequence_ledger_gap
    if conditions.extra_signers:
        body["extra_signers"] = list(conditions.extra_signers)
    return body


def render_flags(flags: int) -> Json:
    """Authorisation flags of an account."""
    return {
        "auth_required": bool(flags & AUTH_REQUIRED),
        "auth_revocable": bool(flags & AUTH_REVOCABLE),
        "auth_immutable": bool(flags & AUTH_IMMUTABLE),
        "auth_clawback_enabled": bool(flags & AUTH_CLAWBACK),
    }


def render_account(
    account: Account, lines: list[Trustline], data: list[DataEntry], modified_at: int, base_url: str
) -> Json:
    """An account resource; ``data`` is always there, even if empty."""
    path = f"/accounts/{account.account_id}"
    collections = ("transactions", "operations", "payments", "effects", "offers", "trades")
    body: Json = {
        "_links": links(base_url, path, collections) | {"data": link(f"{base_url}{path}/data/{{key}}")},
        "id": account.account_id,
        "account_id": account.account_id,
        "sequence": str(account.sequence),
    }
    if account.sequence_ledger:
        body["sequence_ledger"] = account.sequence_ledger
        body["sequence_time"] = str(account.sequence_time)
    body["subentry_count"] = account.subentries
    if account.inflation_destination:
        body["inflation_destination"] = account.inflation_destination
    if account.home_domain:
        body["home_domain"] = account.home_domain
    return body | {
        "last_modified_ledger": account.modified,
        "last_modified_time": timestamp(modified_at),
        "thresholds": {
            "low_threshold": account.low,
            "med_threshold": account.med,
            "high_threshold": account.high,
        },
        "flags": render_flags(account.flags),
        "balances": [*(_line(line) for line in sorted(lines, key=_line_order)), _native(account)],
        "signers": _signers(account),
        "data": {entry.name: entry.value for entry in sorted(data, key=lambda entry: entry.name)},
        "num_sponsoring": account.sponsoring,
        "num_sponsored": account.sponsored,
        **_sponsor(account.sponsor),
        "paging_token": account.account_id,
    }


def _sponsor(sponsor: str) -> Json:
    return {"sponsor": sponsor} if sponsor else {}


def _signers(account: Account) -> list[Json]:
    """All of them by key; a master key without weight comes last."""
    sponsors = dict(account.signer_sponsors)
    master = (account.account_id, account.master_weight)
    keys = sorted([*account.signers, master], key=lambda signer: (signer == master and not signer[1], signer))
    return [
        {"weight": weight, "key": key, "type": _SIGNER_TYPES[key[0]], **_sponsor(sponsors.get(key, ""))}
        for key, weight in keys
    ]


def _native(account: Account) -> Json:
    return {
        "balance": amount_string(account.balance),
        "buying_liabilities": amount_string(0),
        "selling_liabilities": amount_string(0),
        "asset_type": "native",
    }


def asset_fields(asset: str, prefix: str = "") -> Json:
    """Type, code and issuer of an asset."""
    code, _, issuer = asset.partition(":")
    if not issuer:
        return {f"{prefix}asset_type": "native"}
    kind = "credit_alphanum4" if len(code) <= 4 else "credit_alphanum12"
    return {f"{prefix}asset_type": kind, f"{prefix}asset_code": code, f"{prefix}asset_issuer": issuer}


def _line_order(line: Trustline) -> list[str]:
    return line.asset.split(":")


def _line(line: Trustline) -> Json:
    body: Json = {
        "balance": amount_string(line.balance),
        "limit": amount_string(line.limit),
        "buying_liabilities": amount_string(0),
        "selling_liabilities": amount_string(0),
        **_sponsor(line.sponsor),
        "last_modified_ledger": line.modified,
        "is_authorized": bool(line.flags & LINE_AUTHORIZED),
        "is_authorized_to_maintain_liabilities": bool(line.flags & LINE_AUTH_FLAGS),
    }
    if line.flags & LINE_CLAWBACK:
        body["is_clawback_enabled"] = True
    return body | asset_fields(line.asset)


def balance_token(balance: ClaimableBalance) -> str:
    """Position of a claimable balance in their collection."""
    return f"{balance.modified}-{balance.balance_id}"


def render_balance(balance: ClaimableBalance, modified_at: int, base_url: str) -> Json:
    """A claimable balance resource."""
    path = f"/claimable_balances/{balance.balance_id}"
    return {
        "_links": links(base_url, path, ("transactions", "operations")),
        "id": balance.balance_id,
        "asset": balance.asset,
        "amount": amount_string(balance.amount),
        "sponsor": balance.sponsor,
        "last_modified_ledger": balance.modified,
        "last_modified_time": timestamp(modified_at),
        "claimants": [
            {"destination": account, "predicate": render_predicate(xdr.ClaimPredicate.from_xdr(predicate))}
            for account, predicate in balance.claimants
        ],
        "flags": {"clawback_enabled": balance.clawback},
        "paging_token": balance_token(balance),
    }
