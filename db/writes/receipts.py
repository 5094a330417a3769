"""What a provider reports about messages that it had accepted: each report counts once, in whatever order.

The latest of `delivered`, `bounce` and `dropped` decides; of two at the same moment the failure does. Every
other report is kept and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction

DELIVERED = "delivered"
LOST = frozenset({"bounce", "dropped"})
"""The message will not arrive."""

_LOCK = text("""
SELECT id FROM deliveries WHERE id = ANY (CAST(:ids AS varchar[])) AND channel_kind = 'email' AND attempt > 0
ORDER BY id FOR NO KEY UPDATE
""")
_NOTE = text("""
INSERT INTO provider_receipts (provider, id, delivery_id, event, detail, at)
VALUES (:provider, :id, :delivery_id, :event, :detail, :at)
ON CONFLICT (provider, id) DO NOTHING RETURNING id
""")
# an event may overtake the record of the very attempt that it is about
_DECIDING = """
WITH told AS (
    -- after quiet hours one mail may have carried several deliveries; it names one of them
    SELECT id FROM deliveries WHERE id IN (
        SELECT CAST(:delivery_id AS varchar)
        UNION SELECT d.id FROM deliveries n JOIN deliveries d ON d.deferred_until = n.deferred_until
            AND d.recipient = n.recipient AND d.tenant = n.tenant AND d.channel = n.channel
            AND d.target = n.target
        -- those of one claim are one message, also before its provider's id is recorded
        WHERE n.id = :delivery_id AND (d.provider_id = :message_id AND :message_id <> ''
            OR d.lease_until = n.lease_until))
    ORDER BY id FOR NO KEY UPDATE
), decided AS (
    UPDATE deliveries d SET {change}, next_attempt_at = NULL, lease_until = NULL,
        accepted_at = coalesce(accepted_at, CAST(:at AS timestamptz)),
        provider_id = CASE WHEN provider_id = '' THEN :message_id ELSE provider_id END
    FROM told WHERE d.id = told.id AND state <> 'skipped' AND NOT EXISTS (
        SELECT 1 FROM provider_receipts p WHERE p.provider = :provider AND p.delivery_id = :delivery_id
            AND p.event IN ('delivered', 'bounce', 'dropped') AND p.id <> :id
            AND (p.at, p.event <> 'delivered') > (CAST(:at AS timestamptz), :event <> 'delivered'))
    RETURNING d.id, d.attempt
), settled AS (
    UPDATE delivery_attempts a SET outcome = 'accepted' FROM decided
    WHERE a.delivery_id = decided.id AND a.attempt = decided.attempt
        AND (a.outcome IS NULL OR a.outcome = 'ambiguous')
)
SELECT count(pg_notify('mintkeeper_deliveries', '')) FROM decided WHERE :event <> 'delivered'
"""
_ARRIVED = text(
    _DECIDING.format(change="state = 'delivered', delivered_at = :at, error = '', replace_at = NULL")
)
_LOST = text(
    _DECIDING.format(
        change="state = 'dead', error = :error, revise_at = NULL, replace_at = clock_timestamp()"
    )
)


@dataclass(frozen=True)
class Receipt:
    """One report: `id` is the provider's own, unique for ever; `message_id` its name for the message."""

    provider: str
    id: str
    delivery_id: str
    event: str
    detail: str
    message_id: str
    at: datetime


async def record(tx: Transaction, receipts: Sequence[Receipt]) -> int:
    """Write reports, and what follows for their deliveries; answers how many were new.

    One about a mail that we do not know, or have not sent yet, is left out: it is another program's. What
    was lost is dead at once; the relay sends what takes its place.
    """
    known = {row.id for row in await tx.rows(_LOCK, {"ids": [one.delivery_id for one in receipts]})}
    new = 0
    for one in receipts:
        if one.delivery_id in known and await tx.value(_NOTE, vars(one)) is not None:
            new += 1
            await _follow(tx, one)
    return new


async def _follow(tx: Transaction, one: Receipt) -> None:
    if one.event == DELIVERED:
        await tx.run(_ARRIVED, vars(one))
    elif one.event in LOST:
        error = f"{one.provider} reports {one.event}" + (f": {one.detail}" if one.detail else "")
        await tx.run(_LOST, {**vars(one), "error": error})
