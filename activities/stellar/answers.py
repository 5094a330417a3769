"""What an answer to a submission means: never an end, only what to do next.

Whatever is not in these tables counts as unknown, since an envelope may land after any answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from activities.stellar.result_codes import ResultCodes, read_result


class Meaning(StrEnum):
    """What an answer tells about the envelope, and so what to do."""

    TAKEN = "taken"
    """In the node's queue: look."""
    AGAIN = "again"
    """Not taken by this node now: wait a ledger, look, send the same."""
    DEARER = "dearer"
    """Not taken for its fee: wrap the same inner transaction in a fee bump."""
    UNFUNDED = "unfunded"
    """The fee payer is empty: tell people, send the same until the bound."""
    UNKNOWN = "unknown"
    """May have landed, may still land, may be lost: look, send the same, in the end prove."""
    REFUSED = "refused"
    """Permanent for this envelope: stop sending; only the proof ends it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one submission."""

    meaning: Meaning
    word: str
    """The stable word for records: `PENDING`, `tx_bad_seq`, `http_504`, `no_answer` …"""
    detail: str = ""
    wanted_fee: int | None = None
    """Lowest fee, in stroops of the native asset, that would be taken; only with DEARER."""
    retry_after: float | None = None
    """Seconds for which the server asks to be left alone."""


PENDING = "PENDING"
"""The word of an envelope that was taken into the queue."""

NO_ANSWER = "no_answer"
"""The word for a connection that broke, or ran out of time."""

_STATUS = {
    PENDING: Meaning.TAKEN,
    "DUPLICATE": Meaning.TAKEN,
    "TRY_AGAIN_LATER": Meaning.AGAIN,
}

_CODES = {
    "tx_insufficient_fee": Meaning.DEARER,
    "tx_insufficient_balance": Meaning.UNFUNDED,
    "tx_too_late": Meaning.UNKNOWN,
    "tx_bad_seq": Meaning.UNKNOWN,
    "tx_too_early": Meaning.AGAIN,
    "tx_bad_minseq_age_or_gap": Meaning.AGAIN,
    "tx_internal_error": Meaning.AGAIN,
    "tx_frozen_key_accessed": Meaning.AGAIN,
    "tx_failed": Meaning.REFUSED,
    "tx_bad_auth": Meaning.REFUSED,
    "tx_bad_auth_extra": Meaning.REFUSED,
    "tx_malformed": Meaning.REFUSED,
    "tx_missing_operation": Meaning.REFUSED,
    "tx_no_source_account": Meaning.REFUSED,
    "tx_not_supported": Meaning.REFUSED,
    "tx_bad_sponsorship": Meaning.REFUSED,
    "tx_soroban_invalid": Meaning.REFUSED,
}

_HTTP = {403: Meaning.AGAIN, 429: Meaning.AGAIN, 503: Meaning.AGAIN}


def no_answer(why: str) -> Answer:
    """The connection broke or ran out of time: the node may have taken the envelope."""
    return Answer(Meaning.UNKNOWN, NO_ANSWER, why)


def judge_answer(status: int, body: Mapping[str, Any], retry_after: float | None = None) -> Answer:
    """Read Horizon's answer to `POST /transactions_async`: HTTP status and JSON body (empty if not JSON)."""
    word = str(body.get("tx_status", ""))
    if word in _STATUS:
        return Answer(_STATUS[word], word, retry_after=retry_after)
    if word == "ERROR":
        return _judge_error(str(body.get("error_result_xdr") or body.get("errorResultXdr") or ""))
    problem = str(body.get("type", "")).rpartition("/")[2]
    if problem == "transaction_malformed":
        return Answer(Meaning.REFUSED, "tx_malformed", str(body.get("detail", "")))
    if problem == "transaction_failed":
        return _judge_problem(body)
    return Answer(_HTTP.get(status, Meaning.UNKNOWN), f"http_{status}", problem, retry_after=retry_after)


def _judge_error(result_xdr: str) -> Answer:
    try:
        codes = read_result(result_xdr)
    except (ValueError, EOFError):
        return Answer(Meaning.UNKNOWN, "ERROR", "the answer carries no readable result")
    return _judge_codes(codes.deciding, codes.operations, _fee_wanted(codes))


def _judge_problem(body: Mapping[str, Any]) -> Answer:
    """The synchronous endpoint's refusal, which some gateways also give for the other one."""
    extras = body.get("extras") or {}
    try:
        codes = read_result(str(extras.get("result_xdr", "")))
    except (ValueError, EOFError):
        named = extras.get("result_codes") or {}
        code = str(named.get("inner_transaction") or named.get("transaction") or "")
        return _judge_codes(code, tuple(named.get("operations") or ()), None)
    return _judge_codes(codes.deciding, codes.operations, _fee_wanted(codes))


def _judge_codes(code: str, operations: tuple[str, ...], wanted_fee: int | None) -> Answer:
    return Answer(_CODES.get(code, Meaning.UNKNOWN), code, " ".join(operations), wanted_fee)


def _fee_wanted(codes: ResultCodes) -> int | None:
    return codes.fee_charged if codes.deciding == "tx_insufficient_fee" else None
