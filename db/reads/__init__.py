"""Queries: every function takes an open transaction and returns domain types."""

from db.reads.acks import ack_receipt, addressee, button, message_for, pressed_by
from db.reads.dictionaries import (
    current_policy,
    ledger_options,
    policy,
    rules,
    signer,
    tenants,
    topics,
    users,
)
from db.reads.history import audit_events, audit_head, deliveries, notifications_for, timeline
from db.reads.lists import open_requests, requests
from db.reads.records import lock_request, request, request_by_track_number

__all__ = [
    "ack_receipt",
    "addressee",
    "audit_events",
    "audit_head",
    "button",
    "current_policy",
    "deliveries",
    "ledger_options",
    "lock_request",
    "message_for",
    "notifications_for",
    "open_requests",
    "policy",
    "pressed_by",
    "request",
    "request_by_track_number",
    "requests",
    "rules",
    "signer",
    "tenants",
    "timeline",
    "topics",
    "users",
]
