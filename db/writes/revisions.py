"""Messages that were sent and have to be brought up to date: taken under a lease, one claim a message.

Several deliveries can share one message at the provider: an incident that stages of a run have called
for, or a digest after quiet hours. The one with the smallest id stands for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction
from domain.records import DeliveryJob

_CLAIM = text("""
WITH messages AS (
    SELECT min(id) AS id FROM deliveries
    WHERE revise_at <= :now AND state IN ('accepted', 'delivered') AND provider_id <> ''
    GROUP BY tenant, channel, provider_id
    HAVING NOT coalesce(bool_or(revise_lease > :now), false)
    ORDER BY min(revise_at) LIMIT :limit
), due AS (
    SELECT d.id FROM deliveries d JOIN messages m ON m.id = d.id
    WHERE d.revise_at <= :now AND (d.revise_lease IS NULL OR d.revise_lease <= :now)
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries SET revise_attempt = revise_attempt + 1,
    revise_lease = CAST(:now AS timestamptz) + make_interval(secs => :lease_seconds)
FROM due WHERE deliveries.id = due.id RETURNING deliveries.id
""")
_MEMBERS = text("""
WITH heads AS (
    SELECT * FROM deliveries WHERE id = ANY (CAST(:ids AS varchar[]))
), pairs AS (
    SELECT id AS head, id FROM heads
    UNION
    SELECT h.id, d.id FROM heads h JOIN deliveries d ON d.request_id = h.request_id AND d.channel = h.channel
        AND d.provider_id = h.provider_id
    WHERE h.channel_kind = 'pagerduty'
    UNION
    SELECT h.id, d.id FROM heads h JOIN deliveries d ON d.provider_id = h.provider_id AND d.tenant = h.tenant
        AND d.channel = h.channel AND d.deferred_until IS NOT NULL AND d.provider_id <> ''
    WHERE h.deferred_until IS NOT NULL AND h.provider_id <> ''
)
SELECT p.head, d.revise_at, d.provider_id, h.revise_attempt, d.id, d.tenant, d.request_id, d.run_id, d.stage,
    d.kind, d.channel, d.channel_kind, d.target, d.recipient, d.time_zone, d.attempt, d.max_attempts,
    d.backoff_seconds, d.due_at, d.deferred_until, d.facts, coalesce(c.settings, '{}') AS settings,
    coalesce(e.rule_id, r.policy_id) AS rule_id, coalesce(e.action_hash, '') AS action_hash,
    coalesce(e.closes_at, r.expires_at) AS expires_at, d.ack_revoked_at IS NOT NULL AS ack_revoked,
    e.state AS run_state, e.ended_by AS run_ended_by,
    e.acknowledged_by AS run_acknowledged_by, e.acknowledged_at AS run_acknowledged_at,
    (SELECT a.actor FROM audit_events a WHERE a.request_id = d.request_id AND a.kind IN
        ('decision.reject', 'decision.cancel', 'request.cancelled') ORDER BY a.seq DESC LIMIT 1) AS decided_by
FROM pairs p JOIN heads h ON h.id = p.head JOIN deliveries d ON d.id = p.id
JOIN mint_requests r ON r.id = d.request_id LEFT JOIN escalation_runs e ON e.id = d.run_id
LEFT JOIN notification_channels c ON c.tenant = d.tenant AND c.name = d.channel
WHERE d.state IN ('accepted', 'delivered')
ORDER BY p.head, d.id
""")
# a step that has marked a row again meanwhile has written another moment, which stays
_SETTLE = text("""
UPDATE deliveries d SET revise_lease = NULL,
    revise_at = CASE WHEN d.revise_at = s.seen THEN CAST(:again_at AS timestamptz) ELSE d.revise_at END,
    revise_attempt = CASE WHEN CAST(:again_at AS timestamptz) IS NULL THEN 0 ELSE d.revise_attempt END,
    revised_at = coalesce(CAST(:revised_at AS timestamptz), d.revised_at),
    note = concat_ws('; ', nullif(d.note, ''), nullif(CAST(:note AS varchar), ''))
FROM unnest(CAST(:ids AS varchar[]), CAST(:seen AS timestamptz[])) AS s (id, seen)
WHERE d.id = s.id
""")
_NEXT = text("""
SELECT min(greatest(revise_at, revise_lease)) FROM deliveries
WHERE revise_at IS NOT NULL AND state IN ('accepted', 'delivered') AND provider_id <> ''
""")


@dataclass(frozen=True)
class Member:
    """A delivery that the message is for.

    `seen` is when it was due for revision, None: it was not. The other fields are those of the run of
    an operational event, and who rejected or cancelled the request.
    """

    job: DeliveryJob
    seen: datetime | None
    decided_by: str | None
    run_state: str | None
    run_ended_by: str | None
    run_acknowledged_by: str | None
    run_acknowledged_at: datetime | None


@dataclass(frozen=True)
class SentMessage:
    """A message at its provider, ours to bring up to date until the lease ends; `attempt` counts from 1."""

    provider_id: str
    attempt: int
    members: tuple[Member, ...]


async def claim_due(tx: Transaction, *, limit: int, lease_seconds: float, now: datetime) -> list[SentMessage]:
    """Take messages that are due; no two claimants ever get the same one."""
    params = {"limit": limit, "lease_seconds": lease_seconds, "now": now}
    ids = [row.id for row in await tx.rows(_CLAIM, params)]
    if not ids:
        return []
    found: dict[str, SentMessage] = {}
    for row in await tx.rows(_MEMBERS, {"ids": ids}):
        columns = row._asdict()
        member = Member(
            job=DeliveryJob(**{name: columns[name] for name in columns.keys() - _OTHER_COLUMNS}),
            seen=row.revise_at,
            **{name: columns[name] for name in _RUN_COLUMNS},
        )
        known = found.get(row.head)
        members = (*known.members, member) if known else (member,)
        found[row.head] = SentMessage(row.provider_id, row.revise_attempt, members)
    return list(found.values())


_RUN_COLUMNS = ("decided_by", "run_state", "run_ended_by", "run_acknowledged_by", "run_acknowledged_at")
_OTHER_COLUMNS = frozenset({"head", "revise_at", "provider_id", "revise_attempt", *_RUN_COLUMNS})


async def revised(tx: Transaction, messages: Sequence[SentMessage], at: datetime) -> None:
    """Note that these messages say what is so."""
    await _settle(tx, [member for message in messages for member in message.members], revised_at=at)


async def put_off(tx: Transaction, message: SentMessage, until: datetime) -> None:
    """Let the message go until then."""
    await _settle(tx, message.members, again_at=until)


async def give_up(tx: Transaction, message: SentMessage, note: str) -> None:
    """Leave the message as it is; `note` says why."""
    await _settle(tx, message.members, note=note)


async def _settle(
    tx: Transaction,
    members: Sequence[Member],
    *,
    revised_at: datetime | None = None,
    again_at: datetime | None = None,
    note: str = "",
) -> None:
    ids, seen = [member.job.id for member in members], [member.seen for member in members]
    params = {"ids": ids, "seen": seen, "revised_at": revised_at, "again_at": again_at, "note": note}
    await tx.run(_SETTLE, params)


async def next_due(tx: Transaction) -> datetime | None:
    """When the next message wants to be brought up to date; None: none does."""
    found: datetime | None = await tx.value(_NEXT)
    return found
