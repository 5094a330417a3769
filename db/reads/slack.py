"""Who somebody in Slack is to a tenant."""

from __future__ import annotations

from sqlalchemy import text

from db.session import Transaction
from domain.sessions import Person, SessionKind

_APPROVER = text("""
SELECT u.tenant, u.name, u.roles, u.tier, u.time_zone FROM users u JOIN tenants t ON t.code = u.tenant
WHERE u.tenant = :tenant AND u.slack_user = :slack_user AND u.active AND t.active
    AND 'approver' = ANY (u.roles)
""")
_REFUSED = text("""
SELECT count(*) FROM audit_events
WHERE request_id = :request_id AND kind = 'decision.refused' AND actor = :name
""")

METHOD = "slack"
"""How they were authenticated, as their decisions say."""


async def slack_approver(tx: Transaction, tenant: str, slack_user: str) -> Person | None:
    """The active approver of the tenant whom an admin has linked to that Slack account, as they are now."""
    row = await tx.row(_APPROVER, {"tenant": tenant, "slack_user": slack_user})
    if row is None:
        return None
    return Person(
        tenant=row.tenant,
        name=row.name,
        roles=frozenset(row.roles),
        tier=row.tier,
        time_zone=row.time_zone,
        session_id="",
        kind=SessionKind.SLACK,
        amr=(METHOD,),
        has_totp=False,
    )


async def refused_decisions(tx: Transaction, request_id: str, name: str) -> int:
    """How many decisions of that person on the request were refused."""
    return int(await tx.value(_REFUSED, {"request_id": request_id, "name": name}) or 0)
