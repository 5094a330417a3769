"""Token buckets of channels: shared by all relays, advanced in the transaction that claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction

# taking the row's lock makes relays beside each other take their turns
_LOCK = text("""
INSERT INTO channel_buckets (tenant, channel, free_at) VALUES (:tenant, :channel, :now)
ON CONFLICT (tenant, channel) DO UPDATE SET free_at = channel_buckets.free_at
RETURNING free_at
""")
_ADVANCE = text("UPDATE channel_buckets SET free_at = :free_at WHERE tenant = :tenant AND channel = :channel")

_LAST_STAGE = "coalesce(d.stage = jsonb_array_length(p.body -> 'stages') - 1, false)"
_POLICY = """
JOIN mint_requests r ON r.id = d.request_id LEFT JOIN escalation_runs e ON e.id = d.run_id
LEFT JOIN escalation_policies p ON p.id = coalesce(e.policy_id, r.policy_id)
"""
_TICKETS = text(f"""
SELECT d.id, d.slot_at, {_LAST_STAGE} AS last_stage, EXISTS (SELECT 1 FROM delivery_attempts a
    WHERE a.delivery_id = d.id AND a.attempt < d.attempt AND a.started_at >= d.slot_at) AS used
FROM deliveries d {_POLICY} WHERE d.id = ANY (CAST(:ids AS varchar[]))
""")  # noqa: S608 - constants of ours
_WAITING = text(f"""
SELECT d.id, d.slot_at FROM deliveries d {_POLICY}
WHERE d.tenant = :tenant AND d.channel = :channel AND d.state = 'pending' AND d.next_attempt_at = d.slot_at
    AND d.slot_at > :now AND d.deferred_until IS NULL AND NOT ({_LAST_STAGE})
ORDER BY d.slot_at, d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED
""")  # noqa: S608 - constants of ours
_TAKEN = text("""
UPDATE deliveries SET slot_at = t.slot FROM unnest(CAST(:ids AS varchar[]), CAST(:slots AS timestamptz[]))
    AS t (id, slot)
WHERE deliveries.id = t.id AND state = 'sending'
""")
_PUT_OFF = text("""
WITH put AS (
    UPDATE deliveries SET state = 'pending', attempt = attempt - 1, lease_until = NULL, slot_at = t.slot,
        next_attempt_at = t.slot
    FROM unnest(CAST(:ids AS varchar[]), CAST(:slots AS timestamptz[])) AS t (id, slot)
    WHERE deliveries.id = t.id AND state = 'sending'
    RETURNING deliveries.id, attempt + 1 AS attempt
)
DELETE FROM delivery_attempts a USING put WHERE a.delivery_id = put.id AND a.attempt = put.attempt
""")
_FOLLOWED = text("""
WITH put AS (
    UPDATE deliveries d SET state = 'pending', attempt = d.attempt - 1, lease_until = NULL,
        slot_at = f.slot_at, next_attempt_at = f.next_attempt_at
    FROM deliveries f WHERE f.id = :first AND d.id = ANY (CAST(:ids AS varchar[])) AND d.state = 'sending'
    RETURNING d.id, d.attempt + 1 AS attempt
)
DELETE FROM delivery_attempts a USING put WHERE a.delivery_id = put.id AND a.attempt = put.attempt
""")
_MOVED = text("""
UPDATE deliveries SET slot_at = t.slot, next_attempt_at = t.slot
FROM unnest(CAST(:ids AS varchar[]), CAST(:slots AS timestamptz[])) AS t (id, slot)
WHERE deliveries.id = t.id AND state = 'pending'
""")


@dataclass(frozen=True)
class Turn:
    """Whether a claimed delivery has a moment of its own; `used`: an attempt was made in it already."""

    id: str
    slot_at: datetime | None
    last_stage: bool
    used: bool


async def lock_bucket(tx: Transaction, tenant: str, channel: str, now: datetime) -> datetime:
    """When the bucket would be full again; nobody else changes it until the transaction ends."""
    free_at: datetime | None = await tx.value(_LOCK, {"tenant": tenant, "channel": channel, "now": now})
    return free_at or now


async def advance_bucket(tx: Transaction, tenant: str, channel: str, free_at: datetime) -> None:
    """Note what was taken out."""
    await tx.run(_ADVANCE, {"tenant": tenant, "channel": channel, "free_at": free_at})


async def turns(tx: Transaction, ids: Sequence[str]) -> dict[str, Turn]:
    """The turns of claimed deliveries, by id."""
    rows = await tx.rows(_TICKETS, {"ids": list(ids)})
    return {row.id: Turn(**row._asdict()) for row in rows}


async def waiting(
    tx: Transaction, tenant: str, channel: str, now: datetime, limit: int
) -> list[tuple[str, datetime]]:
    """The first deliveries that wait for their moment and are not of a last stage; they are locked."""
    params = {"tenant": tenant, "channel": channel, "now": now, "limit": limit}
    return [(row.id, row.slot_at) for row in await tx.rows(_WAITING, params)]


async def take(tx: Transaction, slots: Sequence[tuple[str, datetime]]) -> None:
    """Note the moments of deliveries that go out now."""
    await tx.run(_TAKEN, _columns(slots))


async def put_off(tx: Transaction, slots: Sequence[tuple[str, datetime]]) -> None:
    """Give claimed deliveries back untried, each due at its own moment."""
    await tx.run(_PUT_OFF, _columns(slots))


async def follow(tx: Transaction, first: str, ids: Sequence[str]) -> None:
    """Give claimed deliveries back untried, due together with the first, whose message they share."""
    await tx.run(_FOLLOWED, {"first": first, "ids": list(ids)})


async def move(tx: Transaction, slots: Sequence[tuple[str, datetime]]) -> None:
    """Give waiting deliveries other moments."""
    await tx.run(_MOVED, _columns(slots))


def _columns(slots: Sequence[tuple[str, datetime]]) -> dict[str, list[object]]:
    return {"ids": [id for id, _ in slots], "slots": [slot for _, slot in slots]}
