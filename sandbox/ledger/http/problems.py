"""Horizon's problems: what is answered instead of a resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from sandbox.ledger.outages import OUTAGES

_TYPES: Final = "https://stellar.org/horizon-errors/"

_NOT_FOUND: Final = (
    "There is nothing at this address, or not yet: the path may be wrong, or the data is unknown here."
)
_BAD_REQUEST: Final = "A parameter of the request cannot be used; the extras name it."


def problem(
    kind: str,
    title: str,
    status: int,
    detail: str,
    extras: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem document. Without extras the member is left out: clients stumble over a null."""
    body: dict[str, object] = {"type": _TYPES + kind, "title": title, "status": status, "detail": detail}
    if extras is not None:
        body["extras"] = dict(extras)
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/problem+json",
        charset="utf-8",
        headers={"Cache-Control": "no-cache, no-store, max-age=0", **(headers or {})},
    )


def not_found() -> web.Response:
    """404: there is no such resource."""
    return problem("not_found", "Resource Missing", 404, _NOT_FOUND)


def bad_request(field: str, reason: str) -> web.Response:
    """400: a parameter is wrong."""
    extras = {"invalid_field": field, "reason": reason}
    return problem("bad_request", "Bad Request", 400, _BAD_REQUEST, extras)


def invalid_accounts_params() -> web.Response:
    """400: accounts can only be listed by one property."""
    detail = "Exactly one filter is needed: asset, signer or sponsor."
    return problem("invalid_accounts_params", "Invalid Accounts Parameters", 400, detail)


def method_not_allowed() -> web.Response:
    """405: the route exists, but not for this method."""
    return problem(
        "method_not_allowed", "Method Not Allowed", 405, "The method is not allowed for this route."
    )


def unsupported_media_type() -> web.Response:
    """415: a submission must be a form."""
    detail = "A submission must be sent as application/x-www-form-urlencoded."
    return problem("unsupported_media_type", "Unsupported Media Type", 415, detail)


def transaction_malformed(envelope_xdr: str) -> web.Response:
    """400: the envelope cannot be decoded."""
    detail = "The text in `tx` is not the base64 of one transaction envelope; it is returned in the extras."
    extras = {"envelope_xdr": envelope_xdr}
    return problem("transaction_malformed", "Transaction Malformed", 400, detail, extras)


def transaction_failed(envelope_xdr: str, result_xdr: str, codes: Mapping[str, object]) -> web.Response:
    """400: refused, or applied without success."""
    detail = "The transaction was refused or applied without success; `extras.result_codes` says why."
    extras = {"envelope_xdr": envelope_xdr, "result_codes": dict(codes), "result_xdr": result_xdr}
    return problem("transaction_failed", "Transaction Failed", 400, detail, extras)


def submission_timeout(transaction_hash: str, envelope_xdr: str) -> web.Response:
    """504: not in a ledger yet, which says nothing about later."""
    detail = "No ledger has the transaction yet, and one still may: look it up by the hash in the extras."
    extras = {"hash": transaction_hash, "envelope_xdr": envelope_xdr}
    return problem("transaction_submission_timeout", "Transaction Submission Timeout", 504, detail, extras)


def rate_limited(retry_after: int) -> web.Response:
    """429: too many requests; ``retry_after`` in seconds."""
    detail = "Too many requests; the headers say when to come back."
    headers = {
        "Retry-After": str(retry_after),
        "X-RateLimit-Limit": "3600",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(retry_after),
    }
    return problem("rate_limit_exceeded", "Rate Limit Exceeded", 429, detail, headers=headers)


def outage(name: str) -> web.Response:
    """One of `OUTAGES`: what a gateway or a node in trouble answers whatever was asked."""
    title, status = OUTAGES[name]
    return problem(name, title, status, "The sandbox was told to answer so.")
