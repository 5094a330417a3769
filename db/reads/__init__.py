"""Queries: every function takes an open transaction and returns domain types."""

from db.reads.dictionaries import current_policy, policy, rules, signer
from db.reads.records import lock_request, request, request_by_track_number

__all__ = [
    "current_policy",
    "lock_request",
    "policy",
    "request",
    "request_by_track_number",
    "rules",
    "signer",
]
