"""Audit events in plain words: those of requests as on their page, the rest by what was set or removed."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Final

from db.reads.audit_log import Entry
from db.reads.history import RequestEvent
from web.happenings import of_event

_NOUNS: Final = MappingProxyType(
    {
        "absence": "the absence",
        "accounts": "user",
        "approval_rules": "approval rule",
        "approver_keys": "the key of approver",
        "authority_keys": "the server's authority key",
        "calendars": "calendar",
        "department_leads": "the leads of department",
        "departments": "department",
        "event_rules": "the event rule for",
        "holidays": "holiday",
        "invitations": "an invitation of",
        "ledger_options": "ledger options of",
        "notification_channels": "channel",
        "sessions": "a session of",
        "statuses": "status",
        "tenants": "tenant",
        "topic_status_transitions": "the SLA of",
        "topics": "topic",
        "user_topics": "the topics of",
        "users": "user",
    }
)
_NAMES: Final = (
    "position", "department_code", "user_name", "user", "name", "topic_code", "code", "event_kind",
    "eventKind", "key_id", "policyId", "policy_id", "id", "tenant",
)  # fmt: skip
"""What a thing is called, the first of them that it has."""

_VERBS: Final = MappingProxyType(
    {
        "set": "set",
        "removed": "removed",
        "end": "ended",
        "revoked": "revoked",
        "published": "published",
        "switched": "switched to",
        "deleted": "deleted",
    }
)


def words_of(entry: Entry) -> str:
    """One sentence, without the time and the request."""
    details = _details(entry)
    if entry.request_id is not None:
        return _of_request(RequestEvent(at=entry.at, kind=entry.kind, actor=entry.actor, details=details))
    if entry.kind == "sessions.opened":
        return f"{entry.actor} signed in"
    subject, _, verb = entry.kind.rpartition(".")
    noun = _NOUNS.get(subject, subject.replace("_", " "))
    name = next((str(details[key]) for key in _NAMES if details.get(key)), "")
    return " ".join(filter(None, [entry.actor, _VERBS.get(verb, verb.replace("_", " ")), noun, name]))


def _of_request(event: RequestEvent) -> str:
    try:
        told = of_event(event)
    except (AttributeError, KeyError, TypeError, ValueError):
        # forged details have any shape, and those are just the ones to be looked at
        return f"{event.actor}: {event.kind}"
    return f"{told.words}: “{told.quote}”" if told.quote else told.words


def pretty(entry: Entry) -> str:
    """The event as it was hashed, with line breaks; a body that is no JSON, as it is."""
    try:
        return json.dumps(json.loads(entry.event.body), indent=2, ensure_ascii=False)
    except ValueError:
        return entry.event.body


def _details(entry: Entry) -> dict[str, Any]:
    """What the event says; a forged body may say anything, or nothing."""
    try:
        details = json.loads(entry.event.body)["details"]
    except (ValueError, KeyError, TypeError):
        return {}
    return details if isinstance(details, dict) else {}
