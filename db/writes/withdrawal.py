"""Deleting escalation policies: never under a run that follows them; the row stays for the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from db.writes import audit
from domain.errors import NotFound, Refused

_NAMED = 20
"""So many runs are named in a refusal."""

# FOR UPDATE, unlike the lock of an UPDATE, keeps out whoever is about to refer to the row
_LOCK = text("""
SELECT deleted_at FROM escalation_policies WHERE id = :policy_id AND tenant = :tenant FOR UPDATE
""")
_DELETE = text("UPDATE escalation_policies SET deleted_at = :at, deleted_by = :actor WHERE id = :policy_id")
_CURRENT = text("SELECT 1 FROM tenant_defaults WHERE policy_id = :policy_id")
_EVENTS = text("SELECT event_kind FROM event_rules WHERE policy_id = :policy_id ORDER BY event_kind")
# a cancelled escalation runs no stage any more, and is no obstacle
_IN_FLIGHT = text("""
SELECT id, count(*) OVER () AS total FROM (
    SELECT id, created_at AS since FROM mint_requests
    WHERE policy_id = :policy_id AND status = 'PENDING' AND ended_at IS NULL
        AND escalation_cancelled_at IS NULL
    UNION ALL
    SELECT id, started_at FROM escalation_runs WHERE policy_id = :policy_id AND ended_at IS NULL
) AS run ORDER BY since, id LIMIT :named
""")


async def delete_policy(tx: Transaction, *, tenant: str, policy_id: str, actor: str, at: datetime) -> None:
    """Withdraw a policy for ever; deleting it again changes nothing.

    Whoever opens a request with it at the same moment either comes first, and this raises Refused, or
    is refused. Raises NotFound for a policy that the tenant never published, and Refused while new
    requests get it, an event rule names it, or a run follows it.
    """
    params = {"tenant": tenant, "policy_id": policy_id, "actor": actor, "at": at}
    found = await tx.row(_LOCK, params)
    if found is None:
        raise NotFound(f"tenant {tenant} has no policy {policy_id!r}: see 'mintkeeper policy list'")
    if found.deleted_at is not None:
        return
    await _check_unused(tx, tenant, policy_id)
    await tx.run(_DELETE, params)
    await audit.append(
        tx,
        tenant=tenant,
        request_id=None,
        step=None,
        kind="policy.deleted",
        actor=actor,
        at=at,
        details={"policyId": policy_id},
    )


async def _check_unused(tx: Transaction, tenant: str, policy_id: str) -> None:
    if await tx.value(_CURRENT, {"policy_id": policy_id}) is not None:
        raise Refused(
            f"new requests of {tenant} get policy {policy_id}: "
            "switch to another one first, with 'mintkeeper policy switch'"
        )
    events = [row.event_kind for row in await tx.rows(_EVENTS, {"policy_id": policy_id})]
    if events:
        raise Refused(
            f"events of {tenant} escalate with policy {policy_id} ({', '.join(events)}): "
            "give their rules another policy first, with 'mintkeeper event-rule set'"
        )
    runs = await tx.rows(_IN_FLIGHT, {"policy_id": policy_id, "named": _NAMED})
    if runs:
        raise Refused(
            f"policy {policy_id} has runs in flight: {_names(runs)}. Wait until they are over, or stop "
            "their stages with 'mintkeeper escalation cancel'"
        )


def _names(runs: Sequence[Any]) -> str:
    more = runs[0].total - len(runs)
    return ", ".join(run.id for run in runs) + (f" and {more} more" if more else "")
