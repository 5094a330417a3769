"""Notification channels: set, and removed when no policy needs them any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from db.writes import audit
from db.writes.rows import lock_tenant, put
from domain.channels import check_settings
from domain.errors import NotFound, Refused

_USED_BY = text("""
SELECT p.id FROM escalation_policies p, jsonb_array_elements(p.body -> 'stages') AS stage
WHERE p.tenant = :tenant AND jsonb_exists(stage -> 'channels', :name)
    AND (EXISTS (SELECT 1 FROM tenant_defaults d WHERE d.policy_id = p.id)
        OR EXISTS (SELECT 1 FROM event_rules v WHERE v.policy_id = p.id)
        OR EXISTS (SELECT 1 FROM mint_requests r WHERE r.policy_id = p.id AND r.status = 'PENDING')
        OR EXISTS (SELECT 1 FROM escalation_runs e WHERE e.policy_id = p.id AND e.ended_at IS NULL))
ORDER BY p.id LIMIT 1
""")
_REMOVE = text("DELETE FROM notification_channels WHERE tenant = :tenant AND name = :name RETURNING kind")


async def set_channel(
    tx: Transaction,
    *,
    tenant: str,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> None:
    """Create or change a channel. Raises InvalidInput for an unknown kind, or settings that can't work."""
    values = {"kind": kind, "settings": check_settings(kind, settings)}
    await put(tx, "notification_channels", {"tenant": tenant, "name": name}, values, tenant, actor, at)


async def remove_channel(tx: Transaction, *, tenant: str, name: str, actor: str, at: datetime) -> None:
    """Remove a channel; writes one audit event.

    Raises NotFound, and Refused while a policy that new requests, event rules or runs follow names it.
    """
    params = {"tenant": tenant, "name": name}
    await lock_tenant(tx, tenant)
    user = await tx.value(_USED_BY, params)
    if user is not None:
        raise Refused(f"channel {name!r} is needed by policy {user}: switch to another policy first")
    kind = await tx.value(_REMOVE, params)
    if kind is None:
        raise NotFound(f"tenant {tenant} has no channel {name!r}")
    await audit.append(
        tx,
        tenant=tenant,
        request_id=None,
        step=None,
        kind="notification_channels.removed",
        actor=actor,
        at=at,
        details={"name": name, "kind": kind},
    )
