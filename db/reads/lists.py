"""Many requests at once, for lists, inboxes and sweeps."""

from __future__ import annotations

from db.reads.records import record_query, select_records
from db.session import Transaction
from domain.mint_request import MintStatus
from domain.records import RequestRecord

_REQUESTS = record_query("""
WHERE (CAST(:status AS varchar) IS NULL OR r.status = :status)
    AND (CAST(:tenant AS varchar) IS NULL OR r.tenant = :tenant)
    AND (CAST(:requester AS varchar) IS NULL OR r.requester = :requester)
    AND (NOT :stuck OR r.ended_at IS NULL)
    AND (CAST(:decidable_by AS varchar) IS NULL OR (r.status = 'PENDING' AND r.requester <> :decidable_by
        AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.request_id = r.id AND a.approver = :decidable_by)
        AND EXISTS (SELECT 1 FROM users u WHERE u.tenant = r.tenant AND u.name = :decidable_by AND u.active
            AND 'approver' = ANY (u.roles) AND u.tier >= CAST(r.rule ->> 'minTier' AS integer)
            AND (u.tier = ANY (r.granted_tiers) OR u.tier = CAST(r.rule ->> 'minTier' AS integer)
                OR u.tier = CAST(r.rule ->> 'atLeastOneOfTier' AS integer)))))
ORDER BY (r.ended_at IS NULL) DESC, r.created_at DESC, r.id LIMIT :limit
""")
_OPEN_REQUESTS = record_query("WHERE r.ended_at IS NULL ORDER BY r.created_at, r.id")


async def requests(
    tx: Transaction,
    *,
    status: MintStatus | None = None,
    tenant: str | None = None,
    requester: str | None = None,
    decidable_by: str | None = None,
    stuck: bool = False,
    limit: int = 100,
) -> list[RequestRecord]:
    """Requests that fit, the open ones and then the newest first.

    `decidable_by`: PENDING ones that this user may approve or reject now. `stuck`: only those that
    have not ended; whether time is lost on one depends on the clock, which the caller has.
    """
    params = {
        "status": status.value if status else None,
        "tenant": tenant,
        "requester": requester,
        "decidable_by": decidable_by,
        "stuck": stuck,
        "limit": limit,
    }
    return await select_records(tx, _REQUESTS, params)


async def open_requests(tx: Transaction) -> list[RequestRecord]:
    """Every request that has not ended, the oldest first: what the pending audit looks at."""
    return await select_records(tx, _OPEN_REQUESTS, {})
