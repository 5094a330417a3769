"""What has happened: audit chain, timeline of a request, deliveries, in-app notifications."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.reads.acks import token_hashes
from db.session import Transaction
from domain.audit import AuditHead
from domain.records import AuditEvent, DeliveryState

_EVENTS = text("""
SELECT tenant, seq, prev_hash, hash, body FROM audit_events
WHERE tenant = :tenant AND seq > :after_seq ORDER BY seq LIMIT :limit
""")
_HEAD = text("SELECT tenant, seq, hash FROM audit_heads WHERE tenant = :tenant")
_OF_REQUEST = text("SELECT at, kind, actor, body FROM audit_events WHERE request_id = :id ORDER BY seq")
_DELIVERIES = text("""
SELECT id, tenant, request_id, kind, channel, channel_kind, recipient, target, state, attempt, max_attempts,
    due_at, next_attempt_at, accepted_at, provider_id, note, error, stage, run_id, fallback_of
FROM deliveries WHERE (CAST(:request_id AS varchar) IS NULL OR request_id = :request_id)
    AND (CAST(:state AS varchar) IS NULL OR state = :state)
    AND (CAST(:channel AS varchar) IS NULL OR channel = :channel)
    AND (CAST(:recipient AS varchar) IS NULL OR recipient = :recipient)
    AND (CAST(:since AS timestamptz) IS NULL OR due_at >= :since)
ORDER BY due_at, channel COLLATE "C", recipient COLLATE "C", id
""")
_NOTIFICATIONS = text("""
SELECT n.id, n.tenant, n.request_id, n.event, n.kind, n.body, n.created_at, n.read_at
FROM notifications n JOIN mint_requests r ON r.id = n.request_id
WHERE ((n.recipient_kind = 'ADMIN_USER' AND n.recipient = :user)
    OR (n.recipient_kind = 'CLIENT' AND r.requester = :user)) AND n.tenant = :tenant
ORDER BY n.created_at, n.id
""")

_UNSHOWN = frozenset({"envelope"})
"""Details for auditors, too long for a timeline."""


class RequestEvent(BaseModel):
    """An event of a request's audit chain; `details` with the signed envelope, where there is one."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    kind: str
    actor: str
    details: dict[str, Any]


class DeliveryView(BaseModel):
    """A delivery as operators see it."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    request_id: str
    kind: str
    channel: str
    channel_kind: str
    recipient: str
    target: str
    state: DeliveryState
    attempt: int
    max_attempts: int
    due_at: AwareDatetime
    next_attempt_at: AwareDatetime | None
    accepted_at: AwareDatetime | None
    provider_id: str
    note: str
    error: str
    stage: int | None
    run_id: str | None
    fallback_of: str | None
    """The dead delivery in whose place it was sent."""


class NotificationView(BaseModel):
    """An in-app message as its reader sees it."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    request_id: str
    event: str
    """MESSAGE, ATTACHMENT, STATUS, SLA_OVERDUE or ESCALATION."""
    kind: str
    body: str
    created_at: AwareDatetime
    read_at: AwareDatetime | None


async def audit_events(
    tx: Transaction, tenant: str, after_seq: int = 0, limit: int = 1000
) -> list[AuditEvent]:
    """A tenant's chain from the event after `after_seq` on, at most `limit` events."""
    rows = await tx.rows(_EVENTS, {"tenant": tenant, "after_seq": after_seq, "limit": limit})
    # chains are long, and a dictionary of each row takes longer than all the rest
    return [
        AuditEvent(tenant=owner, seq=seq, prev_hash=prev, hash=own, body=body)
        for owner, seq, prev, own, body in rows
    ]


async def audit_head(tx: Transaction, tenant: str) -> AuditHead | None:
    """The newest link of a tenant's chain; kept elsewhere, it proves that nothing was cut off."""
    row = await tx.row(_HEAD, {"tenant": tenant})
    return None if row is None else AuditHead(**row._asdict())


async def request_events(tx: Transaction, request_id: str) -> list[RequestEvent]:
    """Everything that the audit chain says of a request, oldest first."""
    return [
        RequestEvent(at=row.at, kind=row.kind, actor=row.actor, details=json.loads(row.body)["details"])
        for row in await tx.rows(_OF_REQUEST, {"id": request_id})
    ]


async def timeline(tx: Transaction, request_id: str) -> list[dict[str, Any]]:
    """What happened to a request, in order: `at`, `kind`, `actor`, and `details` or a `text`.

    A message that carried acknowledgement links has the hash of each attempt's token in `ack_sha256`.
    """
    entries = [
        {"at": event.at, "kind": event.kind, "actor": event.actor, "details": _shown(event.details)}
        for event in await request_events(tx, request_id)
    ]
    hashes = await token_hashes(tx, request_id)
    entries += [
        {
            "at": delivery.accepted_at or delivery.next_attempt_at or delivery.due_at,
            "kind": f"delivery.{delivery.kind}",
            "actor": delivery.channel,
            "text": _delivery_text(delivery),
            **({"ack_sha256": hashes[delivery.id]} if delivery.id in hashes else {}),
        }
        for delivery in await deliveries(tx, request_id)
    ]
    return sorted(entries, key=_moment)


def _moment(entry: dict[str, Any]) -> datetime:
    moment: datetime = entry["at"]
    return moment


def _shown(details: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if name not in _UNSHOWN}


def _delivery_text(delivery: DeliveryView) -> str:
    why = delivery.error or delivery.note
    return f"{delivery.channel_kind} to {delivery.recipient}: {delivery.state}" + (f" ({why})" if why else "")


async def deliveries(
    tx: Transaction,
    request_id: str | None = None,
    *,
    state: DeliveryState | None = None,
    channel: str | None = None,
    recipient: str | None = None,
    since: datetime | None = None,
) -> list[DeliveryView]:
    """The deliveries of a request, or all of them, by the time they were due, which is `since` or later."""
    only = {"request_id": request_id, "state": state and state.value, "channel": channel}
    rows = await tx.rows(_DELIVERIES, {**only, "recipient": recipient, "since": since})
    return [DeliveryView(**row._asdict()) for row in rows]


async def notifications_for(tx: Transaction, user: str, tenant: str) -> list[NotificationView]:
    """What a user of a tenant finds in the app: their own messages, and those to the client they are."""
    rows = await tx.rows(_NOTIFICATIONS, {"user": user, "tenant": tenant})
    return [NotificationView(**row._asdict()) for row in rows]
