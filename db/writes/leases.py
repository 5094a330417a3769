"""Beside the results in `deliveries`: attempts that never were, that do not count, or that left a doubt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction

# a later claim takes the same attempt number again, hence the attempt that never was leaves no row
_GIVE_BACK = text("""
WITH given AS (
    UPDATE deliveries SET state = 'pending', attempt = attempt - 1, lease_until = NULL, next_attempt_at = :at
    WHERE id = ANY (CAST(:ids AS varchar[])) AND state = 'sending'
    RETURNING id, attempt + 1 AS attempt
), unmade AS (
    DELETE FROM delivery_attempts a USING given g WHERE a.delivery_id = g.id AND a.attempt = g.attempt
)
SELECT pg_notify('mintkeeper_deliveries', '') FROM given LIMIT 1
""")
_GRANT = text("""
UPDATE deliveries SET max_attempts = max_attempts + 1 WHERE id = ANY (CAST(:ids AS varchar[]))
""")
_DOUBTFUL = text("""
SELECT DISTINCT delivery_id FROM delivery_attempts
WHERE delivery_id = ANY (CAST(:ids AS varchar[])) AND outcome = 'ambiguous'
""")


async def give_back(tx: Transaction, *, ids: Sequence[str], at: datetime) -> None:
    """Let claimed deliveries go that were not tried; they are due again at `at`."""
    await tx.run(_GIVE_BACK, {"ids": list(ids), "at": at})


async def grant_attempt(tx: Transaction, *, ids: Sequence[str]) -> None:
    """Allow one attempt more than the policy does, since one was spent on a rate limit."""
    await tx.run(_GRANT, {"ids": list(ids)})


async def doubtful(tx: Transaction, ids: Sequence[str]) -> frozenset[str]:
    """Those of the deliveries that have been sent once without ever getting an answer."""
    rows = await tx.rows(_DOUBTFUL, {"ids": list(ids)})
    return frozenset(row.delivery_id for row in rows)
