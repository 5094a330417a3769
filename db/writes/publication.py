"""Publishing escalation policies: immutable, and only when the people who exist can live up to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db.reads.circumstances import circumstances
from db.reads.records import parse_policy
from db.session import Transaction
from db.writes import audit
from domain.errors import NotFound, Refused
from domain.escalation import EscalationPolicy
from domain.policy_checks import problems

_PUBLISH = text("""
INSERT INTO escalation_policies (id, tenant, name, content_hash, body, published_at, published_by)
VALUES (:id, :tenant, :name, :content_hash, CAST(:body AS jsonb), :at, :actor)
ON CONFLICT (id) DO NOTHING
RETURNING id
""")
_STORED = text("SELECT content_hash, deleted_at FROM escalation_policies WHERE id = :id")
_SWITCH = text("""
INSERT INTO tenant_defaults (tenant, policy_id, switched_at, switched_by)
VALUES (:tenant, :policy_id, :at, :actor)
ON CONFLICT (tenant) DO UPDATE SET policy_id = excluded.policy_id, switched_at = excluded.switched_at,
    switched_by = excluded.switched_by
WHERE tenant_defaults.policy_id <> excluded.policy_id
RETURNING tenant
""")
# held until the end, so that nobody deletes it meanwhile
_HELD = text("""
SELECT CAST(body AS text) AS body, deleted_at FROM escalation_policies
WHERE id = :policy_id AND tenant = :tenant FOR KEY SHARE
""")
_TENANT = text("SELECT 1 FROM tenants WHERE code = :tenant")


async def publish_policy(tx: Transaction, *, policy: EscalationPolicy, actor: str, at: datetime) -> None:
    """Publish a policy for ever; publishing the same again changes nothing.

    Raises NotFound for an unknown tenant, Refused for an id that has other content or is deleted, and
    for a policy that can't work: see `domain.policy_checks`.
    """
    if await tx.value(_TENANT, {"tenant": policy.tenant}) is None:
        raise NotFound(f"unknown tenant {policy.tenant!r}")
    if await _is_published(tx, policy):
        return
    await check_policy(tx, policy)
    params = {
        "id": policy.id,
        "tenant": policy.tenant,
        "name": policy.name,
        "content_hash": policy.content_hash(),
        "body": policy.model_dump_json(by_alias=True),
        "at": at,
        "actor": actor,
    }
    if await tx.value(_PUBLISH, params) is None:
        # somebody else has published this id since we looked
        await _is_published(tx, policy)
        return
    await audit.append(
        tx,
        tenant=policy.tenant,
        request_id=None,
        step=None,
        kind="policy.published",
        actor=actor,
        at=at,
        details={"id": policy.id, "name": policy.name, "contentHash": policy.content_hash()},
    )


async def _is_published(tx: Transaction, policy: EscalationPolicy) -> bool:
    """Tell whether this very policy is published; raises Refused when its id is taken or used up."""
    stored = await tx.row(_STORED, {"id": policy.id})
    if stored is None:
        return False
    if stored.deleted_at is not None:
        raise Refused(f"policy {policy.id} is deleted and its id is used up: publish under a new id")
    if stored.content_hash != policy.content_hash():
        raise Refused(f"policy {policy.id} is published with other content: give the new version a new id")
    return True


async def switch_policy(tx: Transaction, *, tenant: str, policy_id: str, actor: str, at: datetime) -> None:
    """Give new requests of the tenant this policy; open ones keep theirs.

    Raises NotFound, and Refused for a deleted policy or one that can't work with today's people.
    """
    params = {"tenant": tenant, "policy_id": policy_id, "actor": actor, "at": at}
    held = await tx.row(_HELD, params)
    if held is None:
        raise NotFound(f"tenant {tenant} has no published policy {policy_id!r}: see 'mintkeeper policy list'")
    if held.deleted_at is not None:
        raise Refused(f"policy {policy_id} is deleted: publish its content under a new id")
    await check_policy(tx, parse_policy(held.body))
    if await tx.value(_SWITCH, params) is not None:
        await audit.append(
            tx,
            tenant=tenant,
            request_id=None,
            step=None,
            kind="policy.switched",
            actor=actor,
            at=at,
            details={"policyId": policy_id},
        )


async def check_policy(tx: Transaction, policy: EscalationPolicy) -> None:
    """Raise Refused, with the first problem, unless the policy can work with what the tenant has today."""
    found = problems(policy, await circumstances(tx, policy.tenant))
    if found:
        more = f" ({len(found) - 1} more: 'mintkeeper policy check' names them)" if found[1:] else ""
        raise Refused(found[0] + more)
