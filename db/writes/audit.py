"""Appending to a tenant's audit chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import rfc8785
from sqlalchemy import text

from db.session import Transaction

SEQ_PLACE = "\x01"
"""Stands where the database writes the event's seq; canonical JSON never holds it unescaped."""

_APPEND = text("""
INSERT INTO audit_events (tenant, request_id, step, kind, actor, at, body)
SELECT :tenant, :request_id, :step, :kind, :actor, :at, :body
WHERE NOT EXISTS (SELECT 1 FROM audit_events WHERE request_id = CAST(:request_id AS varchar)
    AND step = CAST(:step AS varchar))
""")


def event_body(
    *,
    tenant: str,
    request_id: str | None,
    step: str | None,
    kind: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
) -> str:
    """The event as canonical JSON (RFC 8785), with SEQ_PLACE in the place of its `seq`."""
    # keys sort as actor, at, details, kind, requestId, seq, step, tenant: the place is between two halves
    before = {"actor": actor, "at": at.isoformat(), "details": details, "kind": kind, "requestId": request_id}
    after = {"step": step, "tenant": tenant}
    first, second = rfc8785.dumps(before).decode(), rfc8785.dumps(after).decode()
    return f'{first[:-1]},"seq":{SEQ_PLACE},{second[1:]}'


async def append(
    tx: Transaction,
    *,
    tenant: str,
    request_id: str | None,
    step: str | None,
    kind: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
) -> None:
    """Add one event, unless (request, step) has one already.

    Locks the tenant's chain until the transaction ends, so it comes last in a transaction. Of two
    that repeat a step at the same moment one is refused by the unique key: hold the request's row first.
    """
    body = event_body(
        tenant=tenant, request_id=request_id, step=step, kind=kind, actor=actor, at=at, details=details
    )
    await tx.run(
        _APPEND,
        {
            "tenant": tenant,
            "request_id": request_id,
            "step": step,
            "kind": kind,
            "actor": actor,
            "at": at,
            "body": body,
        },
    )
