"""One delivery with everything that happened to it: its attempts, its provider's reports, its substitutes."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction
from domain.errors import NotFound
from domain.records import DeliveryState

_FOUND = text("""
SELECT id, tenant, request_id, run_id, stage, kind, channel, channel_kind, recipient, target, state, attempt,
    max_attempts, due_at, deferred_until, slot_at, next_attempt_at, lease_until, accepted_at, delivered_at,
    provider_id, note, error, fallback_of, revise_at, revised_at, ack_revoked_at,
    (SELECT coalesce(json_agg(json_build_object('id', f.id, 'channel', f.channel, 'recipient', f.recipient,
            'state', f.state) ORDER BY f.channel, f.recipient), '[]')
        FROM deliveries f WHERE f.request_id = d.request_id AND f.fallback_of = d.id) AS fallbacks,
    (SELECT coalesce(json_agg(json_build_object('attempt', a.attempt, 'started_at', a.started_at,
            'outcome', a.outcome, 'detail', a.detail, 'ack_sha256', a.ack_sha256) ORDER BY a.attempt), '[]')
        FROM delivery_attempts a WHERE a.delivery_id = d.id) AS attempts,
    (SELECT coalesce(json_agg(json_build_object('provider', p.provider, 'id', p.id, 'event', p.event,
            'detail', p.detail, 'at', p.at) ORDER BY p.at, p.id), '[]')
        FROM provider_receipts p WHERE p.delivery_id = d.id) AS receipts
FROM deliveries d WHERE starts_with(d.id, :name) LIMIT 2
""")


class AttemptView(BaseModel):
    """One try; `ack_sha256` is the hash of the acknowledgement token that it carried."""

    attempt: int
    started_at: AwareDatetime
    outcome: str | None
    detail: str
    ack_sha256: str | None


class DeliveryDetail(BaseModel):
    """A delivery in full; `fallbacks` are those that were sent in its place."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    request_id: str
    run_id: str | None
    stage: int | None
    kind: str
    channel: str
    channel_kind: str
    recipient: str
    target: str
    state: DeliveryState
    attempt: int
    max_attempts: int
    due_at: AwareDatetime
    deferred_until: AwareDatetime | None
    slot_at: AwareDatetime | None
    next_attempt_at: AwareDatetime | None
    lease_until: AwareDatetime | None
    accepted_at: AwareDatetime | None
    delivered_at: AwareDatetime | None
    provider_id: str
    note: str
    error: str
    fallback_of: str | None
    fallbacks: tuple[dict[str, Any], ...]
    revise_at: AwareDatetime | None
    revised_at: AwareDatetime | None
    ack_revoked_at: AwareDatetime | None
    attempts: tuple[AttemptView, ...]
    receipts: tuple[dict[str, Any], ...]


async def delivery(tx: Transaction, name: str) -> DeliveryDetail:
    """The delivery of that id, or whose id begins so; raises NotFound unless there is exactly one."""
    rows = await tx.rows(_FOUND, {"name": name})
    if len(rows) != 1:
        many = "several deliveries begin" if rows else "no delivery begins"
        raise NotFound(f"{many} with {name!r}: see 'mintkeeper deliveries list'")
    return DeliveryDetail(**rows[0]._asdict())
