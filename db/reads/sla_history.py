"""Snapshots of the SLA check: what was overdue when, for charts and gauges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction
from domain.sla_report import SlaReport

# a snapshot of a time at which the tenant was not there yet has nothing overdue of it
_HISTORY = text("""
SELECT at, coalesce(CASE WHEN CAST(:tenant AS varchar) IS NULL THEN body -> 'overdue_by_status'
    ELSE body -> 'tenants' -> :tenant -> 'overdue_by_status' END, '{}') AS overdue
FROM sla_snapshots WHERE at >= :since AND at <= :until ORDER BY at
""")
_NEWEST = text("SELECT at, body FROM sla_snapshots ORDER BY at DESC LIMIT 1")


@dataclass(frozen=True)
class Moment:
    """How many requests of each status were overdue; those that had none are left out."""

    at: datetime
    overdue: Mapping[str, int]

    @property
    def total(self) -> int:
        """Over all statuses."""
        return sum(self.overdue.values())


async def history(tx: Transaction, since: datetime, until: datetime, tenant: str | None) -> list[Moment]:
    """What each snapshot of that time found overdue, of one tenant or (None) of all."""
    rows = await tx.rows(_HISTORY, {"since": since, "until": until, "tenant": tenant})
    return [Moment(row.at, row.overdue) for row in rows]


async def newest_snapshot(tx: Transaction) -> SlaReport | None:
    """The report of the last check, or None before the first."""
    row = await tx.row(_NEWEST)
    return None if row is None else SlaReport.model_validate({**row.body, "at": row.at})
