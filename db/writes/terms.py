"""How long things may take: names, types and SLA hours of statuses and transitions; approval rules."""

from __future__ import annotations

from datetime import datetime

from db.session import Transaction
from db.writes.rows import put, remove, require
from domain.approvals import ApprovalRule


async def set_status(
    tx: Transaction,
    *,
    tenant: str,
    code: str,
    name: str,
    type: str,
    sla_hours: int | None = None,
    actor: str,
    at: datetime,
) -> None:
    """Say how a tenant calls and times a status."""
    values = {"name": name, "type": type, "sla_hours": sla_hours}
    await put(tx, "statuses", {"tenant": tenant, "code": code}, values, tenant, actor, at)


async def remove_status(tx: Transaction, *, tenant: str, code: str, actor: str, at: datetime) -> None:
    """Let a status be again what it is without an entry. Raises NotFound."""
    key = {"tenant": tenant, "code": code}
    await remove(tx, "statuses", f"entry for status {code!r}", key, actor, at)


async def set_transition(
    tx: Transaction,
    *,
    tenant: str,
    topic: str,
    from_status: str,
    to_status: str,
    sla_hours: int | None,
    actor: str,
    at: datetime,
) -> None:
    """Say how long a request of a topic may take from one status to another. Raises NotFound."""
    await require(tx, "topics", "topic", tenant=tenant, code=topic)
    key = _transition(tenant, topic, from_status, to_status)
    await put(tx, "topic_status_transitions", key, {"sla_hours": sla_hours}, tenant, actor, at)


async def remove_transition(
    tx: Transaction,
    *,
    tenant: str,
    topic: str,
    from_status: str,
    to_status: str,
    actor: str,
    at: datetime,
) -> None:
    """From now on the way has no time of its own. Raises NotFound."""
    key = _transition(tenant, topic, from_status, to_status)
    word = f"transition {topic}:{from_status}->{to_status}"
    await remove(tx, "topic_status_transitions", word, key, actor, at)


def _transition(tenant: str, topic: str, from_status: str, to_status: str) -> dict[str, str]:
    return {"tenant": tenant, "topic_code": topic, "from_status": from_status, "to_status": to_status}


async def set_rule(tx: Transaction, *, rule: ApprovalRule, actor: str, at: datetime) -> None:
    """Create or replace the rule at its position. Raises NotFound for an unknown tenant."""
    values = rule.model_dump(exclude={"tenant", "position"})
    key = {"tenant": rule.tenant, "position": rule.position}
    await put(tx, "approval_rules", key, values, rule.tenant, actor, at)


async def remove_rule(tx: Transaction, *, tenant: str, position: int, actor: str, at: datetime) -> None:
    """Remove the rule at a position; requests that were opened under it keep it. Raises NotFound."""
    key = {"tenant": tenant, "position": position}
    await remove(tx, "approval_rules", f"approval rule at position {position}", key, actor, at)
