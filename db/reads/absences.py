"""Who is out of office, and who stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from domain.absences import Absence, Delegation, Party

_COLUMNS = """
SELECT id, tenant, user_name AS "user", starts_at, ends_at, delegate, reason, set_by, set_at, ended_by
FROM absences
"""
_AWAY = text(f"{_COLUMNS} WHERE tenant = :tenant AND starts_at <= :at AND ends_at > :at ORDER BY id")
_LIST = text(f"""{_COLUMNS}
WHERE tenant = :tenant AND (CAST(:user AS varchar) IS NULL OR user_name = :user)
    AND (:past OR ends_at > :at)
ORDER BY starts_at DESC, id LIMIT :limit
""")
_BY_ID = text(f"{_COLUMNS} WHERE tenant = :tenant AND id = :id")

MOST_LISTED = 1000
"""A list shows no more."""


async def away(tx: Transaction, tenant: str, at: datetime) -> Mapping[str, Absence]:
    """Who of the tenant is out of office at `at`, by name."""
    rows = await tx.rows(_AWAY, {"tenant": tenant, "at": at})
    return {row.user: Absence(**row._asdict()) for row in rows}


async def absences(
    tx: Transaction, tenant: str, at: datetime, *, user: str | None = None, past: bool = False
) -> list[Absence]:
    """The absences that last or are to come, the latest first; with `past` those that are over too."""
    params = {"tenant": tenant, "user": user, "past": past, "at": at, "limit": MOST_LISTED}
    return [Absence(**row._asdict()) for row in await tx.rows(_LIST, params)]


async def absence(tx: Transaction, tenant: str, absence_id: str) -> Absence | None:
    """The tenant's absence of that id, or None."""
    row = await tx.row(_BY_ID, {"tenant": tenant, "id": absence_id})
    return None if row is None else Absence(**row._asdict())


def parse_delegations(found: Sequence[Mapping[str, Any]] | None) -> tuple[Delegation, ...]:
    """The delegations that the function `delegations_of` answers; None: there are none."""
    return tuple(
        Delegation(
            absence=Absence.model_validate(item["absence"]),
            absent=_party(item["absent"]),
            setter=_party(item["setter"]) if item["setter"] else None,
            envelope=item["envelope"],
        )
        for item in found or ()
    )


def _party(found: Mapping[str, Any]) -> Party:
    keys = tuple(bytes.fromhex(key) for key in found["public_keys"])
    return Party.model_validate({**found, "public_keys": keys})
