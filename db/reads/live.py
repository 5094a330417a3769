"""What has been written into the audit chains lately: what open pages are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from db.session import Transaction

MOST = 500
"""So many events are read at once."""

_HEADS = text("SELECT tenant, seq FROM audit_heads WHERE tenant = ANY (CAST(:tenants AS varchar[]))")
_HEAD = text("SELECT seq FROM audit_heads WHERE tenant = :tenant")
_HAPPENED = text(f"""
SELECT e.seq, e.kind, e.request_id, r.requester
FROM audit_events e LEFT JOIN mint_requests r ON r.id = e.request_id
WHERE e.tenant = :tenant AND e.seq > :behind AND e.seq <= :until ORDER BY e.seq LIMIT {MOST}
""")  # noqa: S608 - a constant of ours


@dataclass(frozen=True)
class Happened:
    """An audit event: what happened to which request; both names are None for what concerns no request."""

    seq: int
    kind: str
    request_id: str | None
    requester: str | None


async def audit_seqs(tx: Transaction, tenants: Sequence[str]) -> Mapping[str, int]:
    """How far the chain of each of these tenants reaches; 0 for one that has none yet."""
    rows = await tx.rows(_HEADS, {"tenants": list(tenants)})
    return dict.fromkeys(tenants, 0) | {row.tenant: row.seq for row in rows}


async def audit_seq(tx: Transaction, tenant: str) -> int:
    """How far the tenant's chain reaches: a page that shows this much asks for what comes behind it."""
    return int(await tx.value(_HEAD, {"tenant": tenant}) or 0)


async def happened(tx: Transaction, tenant: str, behind: int, until: int) -> list[Happened]:
    """The first MOST events of a tenant behind one number, up to another."""
    rows = await tx.rows(_HAPPENED, {"tenant": tenant, "behind": behind, "until": until})
    return [Happened(row.seq, row.kind, row.request_id, row.requester) for row in rows]
