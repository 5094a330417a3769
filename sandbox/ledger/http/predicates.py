"""Claim predicates in Horizon's shape."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stellar_sdk import xdr

_LAST_WRITABLE_YEAR_SECONDS = 253_402_300_799


def render_predicate(predicate: xdr.ClaimPredicate) -> dict[str, Any]:
    """A predicate; of a time beyond the year 9999 only the epoch is exact."""
    if predicate.and_predicates is not None:
        return {"and": [render_predicate(part) for part in predicate.and_predicates]}
    if predicate.or_predicates is not None:
        return {"or": [render_predicate(part) for part in predicate.or_predicates]}
    if predicate.not_predicate is not None:
        return {"not": render_predicate(predicate.not_predicate)}
    if predicate.abs_before is not None:
        seconds = predicate.abs_before.int64
        shown = datetime.fromtimestamp(min(seconds, _LAST_WRITABLE_YEAR_SECONDS), UTC)
        return {"abs_before": shown.strftime("%Y-%m-%dT%H:%M:%SZ"), "abs_before_epoch": str(seconds)}
    if predicate.rel_before is not None:
        return {"rel_before": str(predicate.rel_before.int64)}
    return {"unconditional": True}
