"""What a tenant wants to happen at operational events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from db.session import Transaction
from db.writes import audit
from db.writes.rows import lock_tenant
from domain.errors import NotFound
from domain.runs import EventAction, EventKind, EventRule

_POLICY = text("""
SELECT 1 FROM escalation_policies WHERE id = :policy_id AND tenant = :tenant AND deleted_at IS NULL FOR SHARE
""")
_SET = text("""
INSERT INTO event_rules (tenant, event_kind, action, policy_id, urgent)
VALUES (:tenant, :event_kind, :action, :policy_id, :urgent)
ON CONFLICT (tenant, event_kind) DO UPDATE
SET action = excluded.action, policy_id = excluded.policy_id, urgent = excluded.urgent
WHERE (event_rules.action, event_rules.policy_id, event_rules.urgent)
    IS DISTINCT FROM (excluded.action, excluded.policy_id, excluded.urgent)
RETURNING tenant
""")
_REMOVE = text("DELETE FROM event_rules WHERE tenant = :tenant AND event_kind = :event_kind RETURNING action")


async def set_event_rule(tx: Transaction, *, rule: EventRule, actor: str, at: datetime) -> None:
    """Create or replace a rule; runs in flight keep what they started with.

    Raises NotFound for an unknown tenant or a policy that it has not published (or has deleted).
    """
    await lock_tenant(tx, rule.tenant)
    params = rule.model_dump(mode="json")
    if rule.action is EventAction.ESCALATE and await tx.value(_POLICY, params) is None:
        raise NotFound(
            f"tenant {rule.tenant} has no published policy {rule.policy_id!r}: see 'mintkeeper policy list'"
        )
    if await tx.value(_SET, params) is not None:
        await _note(tx, rule.tenant, "event_rules.set", actor, at, params)


async def remove_event_rule(
    tx: Transaction, *, tenant: str, kind: EventKind, actor: str, at: datetime
) -> None:
    """Remove a rule: from now on the leads are informed of such events. Raises NotFound."""
    params = {"tenant": tenant, "event_kind": kind.value}
    await lock_tenant(tx, tenant)
    if await tx.value(_REMOVE, params) is None:
        raise NotFound(f"tenant {tenant} has no rule for {kind}: see 'mintkeeper event-rule list'")
    await _note(tx, tenant, "event_rules.removed", actor, at, params)


async def _note(
    tx: Transaction, tenant: str, kind: str, actor: str, at: datetime, details: Mapping[str, object]
) -> None:
    await audit.append(
        tx, tenant=tenant, request_id=None, step=None, kind=kind, actor=actor, at=at, details=details
    )
