"""Publishing escalation policies: immutable, and only when the people who exist can live up to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from db import reads
from db.reads.dictionaries import User
from db.session import Transaction
from db.writes import audit
from domain.approvals import ApprovalRule
from domain.errors import NotFound, Refused
from domain.escalation import EscalationPolicy, Stage

_KINDS = text("SELECT name, kind FROM notification_channels WHERE tenant = :tenant")
_PUBLISH = text("""
INSERT INTO escalation_policies (id, tenant, name, content_hash, body, published_at, published_by)
VALUES (:id, :tenant, :name, :content_hash, CAST(:body AS jsonb), :at, :actor)
ON CONFLICT (id) DO NOTHING
RETURNING id
""")
_STORED_HASH = text("SELECT content_hash FROM escalation_policies WHERE id = :id")
_SWITCH = text("""
INSERT INTO tenant_defaults (tenant, policy_id, switched_at, switched_by)
VALUES (:tenant, :policy_id, :at, :actor)
ON CONFLICT (tenant) DO UPDATE SET policy_id = excluded.policy_id, switched_at = excluded.switched_at,
    switched_by = excluded.switched_by
WHERE tenant_defaults.policy_id <> excluded.policy_id
RETURNING tenant
""")
_OWNED = text("SELECT 1 FROM escalation_policies WHERE id = :policy_id AND tenant = :tenant")
_TENANT = text("SELECT 1 FROM tenants WHERE code = :tenant")


async def publish_policy(tx: Transaction, *, policy: EscalationPolicy, actor: str, at: datetime) -> None:
    """Publish a policy for ever; publishing the same again changes nothing.

    Raises NotFound for an unknown tenant, Refused for an id that has other content, and for a policy
    that can't work: a channel that does not exist, a notified tier that nobody reachable has, a rule
    of the tenant that the people who exist can't satisfy.
    """
    if await tx.value(_TENANT, {"tenant": policy.tenant}) is None:
        raise NotFound(f"unknown tenant {policy.tenant!r}")
    content_hash = policy.content_hash()
    stored = await tx.value(_STORED_HASH, {"id": policy.id})
    if stored == content_hash:
        return
    if stored is not None:
        raise Refused(f"policy {policy.id} is published with other content: give the new version a new id")
    await _check(tx, policy)
    await tx.run(
        _PUBLISH,
        {
            "id": policy.id,
            "tenant": policy.tenant,
            "name": policy.name,
            "content_hash": content_hash,
            "body": policy.model_dump_json(by_alias=True),
            "at": at,
            "actor": actor,
        },
    )
    await audit.append(
        tx,
        tenant=policy.tenant,
        request_id=None,
        step=None,
        kind="policy.published",
        actor=actor,
        at=at,
        details={"id": policy.id, "name": policy.name, "contentHash": content_hash},
    )


async def switch_policy(tx: Transaction, *, tenant: str, policy_id: str, actor: str, at: datetime) -> None:
    """Give new requests of the tenant this policy; open ones keep theirs. Raises NotFound."""
    params = {"tenant": tenant, "policy_id": policy_id, "actor": actor, "at": at}
    if await tx.value(_OWNED, params) is None:
        raise NotFound(f"tenant {tenant} has no published policy {policy_id!r}")
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


async def _check(tx: Transaction, policy: EscalationPolicy) -> None:
    kinds = {row.name: row.kind for row in await tx.rows(_KINDS, {"tenant": policy.tenant})}
    users = [user for user in await reads.users(tx, policy.tenant) if user.active]
    for stage in policy.stages:
        missing = sorted(set(stage.channels) - kinds.keys())
        if missing:
            raise Refused(f"tenant {policy.tenant} has no channel {', '.join(missing)}: set it first")
        _check_reachable(stage, {kinds[name] for name in stage.channels}, users)
    for rule in await reads.rules(tx, policy.tenant):
        _check_satisfiable(rule, policy, users)


def _check_reachable(stage: Stage, kinds: set[str], users: Sequence[User]) -> None:
    for tier in stage.notify.tiers():
        people = [user for user in users if "approver" in user.roles and user.tier == tier]
        if not any(user.email or kinds != {"email"} for user in people if kinds):
            raise Refused(
                f"the stage at {stage.delay_seconds} s tells tier {tier}, but no active approver of that "
                "tier is reachable over its channels"
            )


def _check_satisfiable(rule: ApprovalRule, policy: EscalationPolicy, users: Sequence[User]) -> None:
    """Four eyes included: whoever may request must leave enough others to approve."""
    granted = {stage.grants.tier for stage in policy.stages if stage.grants}
    eligible = set(rule.eligible_tiers(granted))
    for requester in [user.name for user in users if "requester" in user.roles] or [""]:
        others = [user for user in users if user.name != requester and "approver" in user.roles]
        able = [user.tier for user in others if user.tier in eligible]
        senior = any((tier or 0) >= (rule.at_least_one_of_tier or 0) for tier in able)
        if len(able) < rule.approvals or not senior:
            raise Refused(
                f"approval rule {rule.position} can never be satisfied for a request of "
                f"{requester or 'anybody'}: {len(able)} of {rule.approvals} approvers exist"
                + ("" if senior else f", none of tier {rule.at_least_one_of_tier} or above")
            )
