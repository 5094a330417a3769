"""Requests as lines of a list: what a line shows, and nothing of what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.reads.records import parse_rule
from db.session import Transaction
from domain.amounts import Asset
from domain.approvals import Approval, ApprovalRule, Tally, tally
from domain.mint_request import MintStatus

LINE_COLUMNS = """
    r.id, r.track_number, r.status, r.asset_code, r.asset_issuer, r.amount, r.destination, r.topic,
    r.requester, r.memo, r.created_at, r.expires_at, r.escalation_level, r.assignee, r.assigned_automatically,
    r.acknowledged_by, r.acknowledged_at, r.reason, CAST(r.rule AS text) AS rule,
    (SELECT json_agg(json_build_object('decision_id', a.decision_id, 'approver', a.approver,
            'on_behalf_of', a.on_behalf_of, 'tier', a.tier, 'at', a.at) ORDER BY a.at, a.approver)
        FROM approvals a WHERE a.request_id = r.id) AS approvals
"""
"""What a line needs of a row `r` of `mint_requests`."""

NARROWED = """
    AND (CAST(:topic AS varchar) IS NULL OR r.topic = :topic)
    AND (CAST(:asset_code AS varchar) IS NULL OR r.asset_code = :asset_code)
    AND (CAST(:asset_issuer AS varchar) IS NULL OR r.asset_issuer = :asset_issuer)
    AND (CAST(:least AS bigint) IS NULL OR r.amount >= :least)
    AND (CAST(:most AS bigint) IS NULL OR r.amount <= :most)
    AND (CAST(:requester AS varchar) IS NULL OR r.requester = :requester)
    AND (CAST(:assignee AS varchar) IS NULL OR r.assignee = :assignee)
    AND (NOT :unassigned OR r.assignee IS NULL)
    AND (NOT :escalated OR r.escalation_level > 0)
    AND (CAST(:expires_before AS timestamptz) IS NULL OR r.expires_at < :expires_before)
    AND (CAST(:found AS varchar) IS NULL OR concat_ws(chr(10), r.id, r.track_number, r.requester, r.memo,
        r.destination) ILIKE :found)
"""
"""What `Narrowing.params` are for."""

_ORDERS = {
    "newest": "r.created_at DESC, r.id DESC",
    "oldest": "r.created_at, r.id",
    "urgent": "(r.ended_at IS NULL) DESC, r.expires_at, r.id",
    "largest": "r.amount DESC, r.id",
}
ORDERS = tuple(_ORDERS)
"""Ways to sort; the first is the usual one."""

MOST_COUNTED = 10_000
"""A list says `more than 10,000` instead of counting on."""

_LISTED = (
    """
FROM mint_requests r WHERE r.tenant = :tenant
    AND (CAST(:own AS varchar) IS NULL OR r.requester = :own)
    AND (CAST(:statuses AS varchar[]) IS NULL OR r.status = ANY (CAST(:statuses AS varchar[])))
"""
    + NARROWED
)
_LINES = {
    order: text(f"""
SELECT {LINE_COLUMNS} FROM (SELECT r.id {_LISTED} ORDER BY {by} LIMIT :limit OFFSET :offset) wanted
JOIN mint_requests r ON r.id = wanted.id ORDER BY {by}
""")  # noqa: S608 - constants of ours
    for order, by in _ORDERS.items()
}
_COUNT = text(
    f"SELECT count(*) FROM (SELECT 1 {_LISTED} LIMIT {MOST_COUNTED + 1}) counted"  # noqa: S608 - constants
)
# a jump in the index for each asset, and not a look at every request
_ASSETS = text("""
WITH RECURSIVE used AS (
    (SELECT asset_code, asset_issuer FROM mint_requests WHERE tenant = :tenant
        ORDER BY asset_code, asset_issuer LIMIT 1)
    UNION ALL
    SELECT following.* FROM used CROSS JOIN LATERAL (
        SELECT r.asset_code, r.asset_issuer FROM mint_requests r WHERE r.tenant = :tenant
            AND (r.asset_code, r.asset_issuer) > (used.asset_code, used.asset_issuer)
        ORDER BY r.asset_code, r.asset_issuer LIMIT 1) following
)
SELECT asset_code, asset_issuer FROM used LIMIT 100
""")


@dataclass(frozen=True)
class Narrowing:
    """What a list is narrowed to; None and False narrow nothing. Amounts are in stroops, both ends count."""

    topic: str | None = None
    asset: Asset | None = None
    least: int | None = None
    most: int | None = None
    requester: str | None = None
    assignee: str | None = None
    unassigned: bool = False
    escalated: bool = False
    expires_before: datetime | None = None
    search: str = ""
    """Anywhere in id, track number, requester, memo or destination, in whatever case."""

    def params(self) -> Mapping[str, Any]:
        """Of NARROWED."""
        plain = self.search.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        return {
            "topic": self.topic,
            "asset_code": self.asset.code if self.asset else None,
            "asset_issuer": self.asset.issuer if self.asset else None,
            "least": self.least,
            "most": self.most,
            "requester": self.requester,
            "assignee": self.assignee,
            "unassigned": self.unassigned,
            "escalated": self.escalated,
            "expires_before": self.expires_before,
            "found": f"%{plain}%" if plain else None,
        }


@dataclass(frozen=True)
class RequestLine:
    """A request as a line of a list."""

    id: str
    track_number: str
    status: MintStatus
    asset: Asset
    amount: int
    destination: str
    topic: str
    requester: str
    memo: str
    created_at: datetime
    expires_at: datetime
    escalation_level: int
    assignee: str | None
    assigned_automatically: bool
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    reason: str
    rule: ApprovalRule
    approvals: tuple[Approval, ...]

    @property
    def missing(self) -> Tally:
        """What the rule still lacks."""
        return tally(self.rule, self.approvals)


async def lines(
    tx: Transaction,
    tenant: str,
    narrowing: Narrowing,
    *,
    own: str | None,
    statuses: Sequence[MintStatus] = (),
    order: str = ORDERS[0],
    limit: int,
    offset: int = 0,
) -> list[RequestLine]:
    """Requests of a tenant in one of the ORDERS; `own` leaves only what that user asked for."""
    params = {**_params(tenant, narrowing, own, statuses), "limit": limit, "offset": offset}
    return [line_of(row) for row in await tx.rows(_LINES[order], params)]


async def count_lines(
    tx: Transaction,
    tenant: str,
    narrowing: Narrowing,
    *,
    own: str | None,
    statuses: Sequence[MintStatus] = (),
) -> int:
    """How many `lines` there are without a limit, at most one more than MOST_COUNTED."""
    return int(await tx.value(_COUNT, _params(tenant, narrowing, own, statuses)) or 0)


async def assets_used(tx: Transaction, tenant: str) -> list[Asset]:
    """The assets that a tenant has asked for, by code."""
    rows = await tx.rows(_ASSETS, {"tenant": tenant})
    return [Asset(code=row.asset_code, issuer=row.asset_issuer) for row in rows]


def line_of(row: Any) -> RequestLine:
    """The line that a row with LINE_COLUMNS holds."""
    return RequestLine(
        id=row.id,
        track_number=row.track_number,
        status=MintStatus(row.status),
        asset=Asset.model_construct(code=row.asset_code, issuer=row.asset_issuer),
        amount=row.amount,
        destination=row.destination,
        topic=row.topic,
        requester=row.requester,
        memo=row.memo,
        created_at=row.created_at,
        expires_at=row.expires_at,
        escalation_level=row.escalation_level,
        assignee=row.assignee,
        assigned_automatically=row.assigned_automatically,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        reason=row.reason,
        rule=parse_rule(row.rule),
        approvals=tuple(Approval.model_validate(found) for found in row.approvals or ()),
    )


def _params(
    tenant: str, narrowing: Narrowing, own: str | None, statuses: Sequence[MintStatus]
) -> dict[str, Any]:
    chosen = [status.value for status in statuses] or None
    return {"tenant": tenant, "own": own, "statuses": chosen, **narrowing.params()}
