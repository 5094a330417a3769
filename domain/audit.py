"""The audit chain, verified without a database: each event's hash covers the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

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


def verify_chain(events: Iterable[AuditEvent], expected_head: AuditHead | None = None) -> ChainReport:
    """Check a tenant's whole chain, from its first event on.

    Only `expected_head`, noted elsewhere at an earlier time, can show that the newest events were cut
    off: the chain must then contain that very link.
    """
    count, last, tenant = 0, GENESIS_HASH, None
    met = expected_head is None or (expected_head.seq, expected_head.hash) == (0, GENESIS_HASH)
    for event in events:
        tenant = event.tenant if tenant is None else tenant
        fault = _fault(event, tenant, count + 1, last)
        if fault is not None:
            return ChainReport(events=count, head_hash=last, fault=fault)
        count, last = event.seq, event.hash
        met = met or (expected_head is not None and _head_of(event) == expected_head)
    fault = None
    if expected_head is not None and not met:
        fault = f"event {expected_head.seq} with the expected hash {expected_head.hash} is not in the chain"
    return ChainReport(events=count, head_hash=last, fault=fault)


def event_hash(prev_hash: str, body: str) -> str:
    """SHA-256 (hex) over the previous hash's 32 bytes and the body's UTF-8 bytes."""
    return hashlib.sha256(bytes.fromhex(prev_hash) + body.encode()).hexdigest()


def _fault(event: AuditEvent, tenant: str, seq: int, prev_hash: str) -> str | None:
    if event.tenant != tenant:
        return f"an event of tenant {event.tenant} stands in the chain of {tenant}"
    if event.seq != seq:
        return f"event {seq} is missing: event {event.seq} stands in its place"
    if event.prev_hash != prev_hash:
        return f"event {seq} does not follow the one before it"
    if event.hash != event_hash(prev_hash, event.body):
        return f"event {seq} was changed: its content does not have its hash"
    content = json.loads(event.body)
    if (content.get("tenant"), content.get("seq")) != (tenant, seq):
        return f"event {seq} says of itself that it is another one"
    return None


def _head_of(event: AuditEvent) -> AuditHead:
    return AuditHead(tenant=event.tenant, seq=event.seq, hash=event.hash)
