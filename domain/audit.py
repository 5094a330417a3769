"""The audit chain, verified without a database: each event's hash covers the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.records import AuditEvent

GENESIS_HASH = "0" * 64
"""What the first event of a tenant has before it."""


class AuditHead(BaseModel):
    """The newest link of a tenant's chain."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    seq: int
    hash: str


class ChainReport(BaseModel):
    """What verification found."""

    model_config = ConfigDict(frozen=True)

    events: int
    """How many events were sound, from the first one on."""
    head_hash: str
    """Hash of the last sound event."""
    fault: str | None = None
    """What is wrong with the first unsound one; None: the chain is intact."""

    @property
    def intact(self) -> bool:
        """Nothing was changed, removed, swapped or inserted."""
        return self.fault is None


def verify_chain(
    events: Iterable[AuditEvent],
    expected_head: AuditHead | None = None,
    sound: Callable[[AuditEvent, Mapping[str, Any]], None] | None = None,
) -> ChainReport:
    """Check a tenant's whole chain, from its first event on.

    Only `expected_head`, noted elsewhere at an earlier time, can show that the newest events were cut
    off: the chain must then contain that very link. `sound` is told each sound event, with what it says.
    """
    count, last, tenant = 0, GENESIS_HASH, None
    met = expected_head is None or (expected_head.seq, expected_head.hash) == (0, GENESIS_HASH)
    for event in events:
        tenant = event.tenant if tenant is None else tenant
        found = _link_fault(event, tenant, count + 1, last) or _content(event)
        if isinstance(found, str):
            return ChainReport(events=count, head_hash=last, fault=found)
        count, last = event.seq, event.hash
        met = met or (expected_head is not None and _head_of(event) == expected_head)
        if sound is not None:
            sound(event, found)
    fault = None
    if expected_head is not None and not met:
        fault = f"event {expected_head.seq} with the expected hash {expected_head.hash} is not in the chain"
    return ChainReport(events=count, head_hash=last, fault=fault)


def event_hash(prev_hash: str, body: str) -> str:
    """SHA-256 (hex) over the previous hash's 32 bytes and the body's UTF-8 bytes."""
    return hashlib.sha256(bytes.fromhex(prev_hash) + body.encode()).hexdigest()


def _link_fault(event: AuditEvent, tenant: str, seq: int, prev_hash: str) -> str | None:
    if event.tenant != tenant:
        return f"an event of tenant {event.tenant} stands in the chain of {tenant}"
    if event.seq != seq:
        return f"event {seq} is missing: event {event.seq} stands in its place"
    if event.prev_hash != prev_hash:
        return f"event {seq} does not follow the one before it"
    if event.hash != event_hash(prev_hash, event.body):
        return f"event {seq} was changed: its content does not have its hash"
    return None


def _content(event: AuditEvent) -> Mapping[str, Any] | str:
    """What a linked event says, with the kind and details that each has; or what is wrong with it.

    A hash that fits proves only that nothing was changed since: whoever wrote it may have written anything.
    """
    try:
        content = json.loads(event.body)
    except (ValueError, RecursionError):
        return f"event {event.seq} can't be read: its content is no JSON"
    if not isinstance(content, dict):
        return f"event {event.seq} can't be read: its content is no event"
    if (content.get("tenant"), content.get("seq")) != (event.tenant, event.seq):
        return f"event {event.seq} says of itself that it is another one"
    if not (isinstance(content.get("kind"), str) and isinstance(content.get("details"), dict)):
        return f"event {event.seq} can't be read: it has no kind, or no details"
    return content


def _head_of(event: AuditEvent) -> AuditHead:
    return AuditHead(tenant=event.tenant, seq=event.seq, hash=event.hash)
