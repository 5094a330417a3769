"""The outbox, emptied: deliveries are claimed under a lease, and what came of each is written back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from db.reads.wanted import UNWANTED_SQL
from db.session import Transaction
from domain.channels import SINGLE_KINDS
from domain.errors import Refused
from domain.records import DeliveryJob, DeliveryState

# an attempt without an answer before its lease ends is ambiguous; it counts, so a crash can't loop for ever,
# and what has none left is given up in `fallbacks`
_CLAIM_SQL = """
WITH merged AS (
    SELECT min(d.id) AS head, count(*) AS size FROM deliveries d WHERE {due} AND {mergeable}
    GROUP BY d.tenant, d.channel, d.target, d.recipient, d.deferred_until
), heads AS (
    -- those who can decide come before the leads who only have to know, and before what people say
    SELECT d.id, d.attempt, d.tenant, d.channel, d.target, d.recipient,
        CASE WHEN {mergeable} THEN d.deferred_until END AS merged_at
    FROM deliveries d WHERE {due} AND (NOT ({mergeable}) OR d.id IN (SELECT head FROM merged))
    ORDER BY d.kind IN ('stalled', 'message', 'attachment'), d.slot_at IS NULL,
        coalesce(d.next_attempt_at, d.lease_until), d.channel COLLATE "C", d.id
    LIMIT :limit FOR UPDATE SKIP LOCKED
), mates AS (
    SELECT d.id, d.attempt, h.id AS head FROM heads h JOIN deliveries d ON d.tenant = h.tenant
        AND d.channel = h.channel AND d.target = h.target AND d.recipient = h.recipient
        AND d.deferred_until = h.merged_at AND d.id <> h.id
    WHERE {due} AND {mergeable}
    FOR UPDATE OF d SKIP LOCKED
), members AS (
    SELECT id, attempt, head, count(*) OVER (PARTITION BY head) AS found
    FROM (SELECT id, attempt, id AS head FROM heads UNION ALL SELECT id, attempt, head FROM mates) AS m
), due AS (
    -- while somebody else holds one of those that belong together, none of them is taken
    SELECT m.id, m.attempt FROM members m LEFT JOIN merged g ON g.head = m.head
    WHERE m.found = coalesce(g.size, 1)
), lost AS (
    UPDATE delivery_attempts SET outcome = 'ambiguous', detail = 'no answer before the lease ended'
    FROM due WHERE delivery_id = due.id AND delivery_attempts.attempt = due.attempt AND outcome IS NULL
), claimed AS (
    UPDATE deliveries SET state = 'sending', attempt = deliveries.attempt + 1, next_attempt_at = NULL,
        lease_until = CAST(:now AS timestamptz) + make_interval(secs => :lease_seconds)
    FROM due WHERE deliveries.id = due.id
    RETURNING deliveries.*
), handled AS (
    INSERT INTO ack_handles (handle, delivery_id, created_at)
    SELECT replace(CAST(gen_random_uuid() AS text), '-', ''), id, :now FROM claimed
    WHERE channel_kind = 'telegram' AND stage IS NOT NULL
    ON CONFLICT (delivery_id) DO NOTHING
    RETURNING handle, delivery_id
), begun AS (
    INSERT INTO delivery_attempts (delivery_id, attempt, started_at, detail)
    SELECT id, attempt, :now, '' FROM claimed
)
SELECT d.id, d.tenant, d.request_id, d.run_id, d.stage, d.kind, d.channel, d.channel_kind, d.target,
    d.recipient, d.time_zone, d.attempt, d.max_attempts, d.backoff_seconds, d.due_at, d.deferred_until,
    d.facts, coalesce(c.settings, '{{}}') AS settings, coalesce(e.rule_id, r.policy_id) AS rule_id,
    coalesce(e.action_hash, '') AS action_hash,
    coalesce(e.closes_at, r.expires_at) AS expires_at, d.ack_revoked_at IS NOT NULL AS ack_revoked,
    CASE WHEN d.channel_kind = 'telegram' AND d.stage IS NOT NULL THEN
        (SELECT h.handle FROM (TABLE handled UNION ALL SELECT handle, delivery_id FROM ack_handles) AS h
            WHERE h.delivery_id = d.id) ELSE '' END AS ack_handle,
    {unwanted} AS unwanted
FROM claimed d JOIN mint_requests r ON r.id = d.request_id LEFT JOIN escalation_runs e ON e.id = d.run_id
    LEFT JOIN notification_channels c ON c.tenant = d.tenant AND c.name = d.channel
ORDER BY d.due_at, d.channel COLLATE "C", d.recipient COLLATE "C", d.id
"""
_DUE = """((d.next_attempt_at <= :now OR (d.lease_until <= :now AND d.attempt < d.max_attempts))
    AND d.channel_kind <> ALL (CAST(:full AS varchar[])))"""
_MERGEABLE = "d.deferred_until IS NOT NULL AND d.channel_kind <> ALL (CAST(:single AS varchar[]))"
_CLAIM = text(_CLAIM_SQL.format(unwanted=UNWANTED_SQL, due=_DUE, mergeable=_MERGEABLE))
_ACCEPTED = text("""
WITH result AS (
    SELECT * FROM unnest(CAST(:ids AS varchar[]), CAST(:provider_ids AS varchar[]), CAST(:notes AS varchar[]))
        AS r (id, provider_id, note)
), settled AS (
    UPDATE deliveries d SET state = 'accepted', accepted_at = :at, lease_until = NULL, next_attempt_at = NULL,
        provider_id = r.provider_id, error = '',
        revise_at = CASE WHEN r.provider_id <> '' THEN d.revise_at END,
        note = concat_ws('; ', nullif(d.note, ''), nullif(r.note, ''))
    FROM result r WHERE d.id = r.id AND d.state NOT IN ('accepted', 'delivered', 'skipped')
        AND (d.state <> 'dead' OR d.accepted_at IS NULL)
    RETURNING d.id, d.attempt
)
UPDATE delivery_attempts a SET outcome = 'accepted' FROM settled s
WHERE a.delivery_id = s.id AND a.attempt = s.attempt
""")
_SETTLED = text("""
WITH settled AS (
    UPDATE deliveries SET state = CAST(:state AS varchar), lease_until = NULL, next_attempt_at = :retry_at,
        error = :error,
        note = CASE WHEN CAST(:note AS varchar) = '' THEN note WHEN fallback_of IS NULL THEN :note
            ELSE note || '; ' || :note END,
        revise_at = CASE WHEN CAST(:state AS varchar) IN ('skipped', 'dead') THEN NULL ELSE revise_at END
    WHERE id = ANY (CAST(:ids AS varchar[])) AND state = 'sending'
    RETURNING id, attempt
)
UPDATE delivery_attempts a SET outcome = CAST(:state AS varchar), detail = :detail FROM settled s
WHERE a.delivery_id = s.id AND a.attempt = s.attempt
""")
_NEXT_DUE = text("""
SELECT least(min(next_attempt_at), min(lease_until)) FROM deliveries
WHERE channel_kind <> ALL (CAST(:full AS varchar[]))
""")
_RETRY = text("""
UPDATE deliveries SET state = 'pending', next_attempt_at = :at, max_attempts = attempt + 1, error = ''
WHERE id = :id AND state = 'dead'
RETURNING pg_notify('mintkeeper_deliveries', '')
""")
_RETRY_ALL = text("""
WITH retried AS (
    UPDATE deliveries SET state = 'pending', next_attempt_at = :at, max_attempts = attempt + 1, error = ''
    WHERE tenant = :tenant AND state = 'dead' AND (CAST(:channel AS varchar) IS NULL OR channel = :channel)
    RETURNING id
)
SELECT id, pg_notify('mintkeeper_deliveries', '') FROM retried ORDER BY id
""")


async def claim_due(
    tx: Transaction, *, limit: int, lease_seconds: float, now: datetime, full: Sequence[str] = ()
) -> list[DeliveryJob]:
    """Take what is due for sending; no two claimants ever get the same attempt.

    The channel kinds that are `full` are left to others, or to later.

    Messages that quiet hours held back for the same recipient are taken together, and count as one
    towards `limit`. What was claimed and not answered before its lease ended is due again, while
    attempts are left.
    """
    times = {"limit": limit, "lease_seconds": lease_seconds, "now": now}
    params = {**times, "single": sorted(SINGLE_KINDS), "full": list(full)}
    return [DeliveryJob(**row._asdict()) for row in await tx.rows(_CLAIM, params)]


async def accepted(tx: Transaction, *, results: Sequence[tuple[str, str, str]], at: datetime) -> None:
    """Note deliveries that their providers took: (id, the provider's own id, a note) each."""
    ids, provider_ids, notes = zip(*results, strict=True) if results else ((), (), ())
    params = {"ids": list(ids), "provider_ids": list(provider_ids), "notes": list(notes), "at": at}
    await tx.run(_ACCEPTED, params)


async def failed(tx: Transaction, *, id: str, error: str, retry_at: datetime, state: DeliveryState) -> None:
    """Note an attempt that is tried again: FAILED was refused for now, AMBIGUOUS lost its answer."""
    await _settle(tx, [id], state, error=error, retry_at=retry_at)


async def dead(tx: Transaction, *, id: str, error: str) -> None:
    """Give a delivery up, with nothing in its place; only `retry_dead` brings it back."""
    await _settle(tx, [id], DeliveryState.DEAD, error=error)


async def skipped(tx: Transaction, *, ids: Sequence[str], why: str) -> None:
    """Note deliveries that are no longer wanted."""
    await _settle(tx, ids, DeliveryState.SKIPPED, note=why)


async def _settle(
    tx: Transaction,
    ids: Sequence[str],
    state: DeliveryState,
    *,
    error: str = "",
    note: str = "",
    retry_at: datetime | None = None,
) -> None:
    params = {
        "ids": list(ids),
        "state": state.value,
        "error": error,
        "note": note,
        "detail": error or note,
        "retry_at": retry_at,
    }
    await tx.run(_SETTLED, params)


async def next_due(tx: Transaction, full: Sequence[str] = ()) -> datetime | None:
    """When the next delivery wants attention: an attempt, or the end of a lease; None: nothing waits.

    Channel kinds that are `full` don't count.
    """
    found: datetime | None = await tx.value(_NEXT_DUE, {"full": list(full)})
    return found


async def retry_all_dead(tx: Transaction, *, tenant: str, channel: str | None, at: datetime) -> list[str]:
    """Give all dead deliveries of a tenant, or of one of its channels, one more attempt: their ids."""
    return [row.id for row in await tx.rows(_RETRY_ALL, {"tenant": tenant, "channel": channel, "at": at})]


async def retry_dead(tx: Transaction, *, id: str, at: datetime) -> None:
    """Give a dead delivery one more attempt. Raises Refused when there is no such dead delivery."""
    if await tx.row(_RETRY, {"id": id, "at": at}) is None:
        raise Refused(f"there is no dead delivery {id}: see 'mintkeeper deliveries list --state dead'")
