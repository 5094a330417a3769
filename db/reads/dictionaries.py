"""What a tenant's admins maintain: people, rules, policies, topics, channels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from db.reads.absences import parse_delegations
from db.reads.records import parse_policy
from db.session import Transaction
from domain.approvals import ActorRole, ApprovalRule
from domain.escalation import EscalationPolicy
from domain.ledger_options import LedgerOptions
from domain.records import Signer

_SIGNER = text("""
SELECT u.tenant, u.name, u.active, u.roles, u.tier,
    ARRAY(SELECT k.public_key FROM approver_keys k
        WHERE k.tenant = u.tenant AND k.user_name = u.name AND k.revoked_at IS NULL
        ORDER BY k.key_id) AS public_keys,
    CASE WHEN CAST(:since AS timestamptz) IS NOT NULL THEN delegations_of(u.tenant, u.name, :since) END
        AS delegations
FROM users u WHERE u.tenant = :tenant AND u.name = :name
""")
_RULES = text("""
SELECT tenant, position, asset, min_stroops, max_stroops, approvals, min_tier, at_least_one_of_tier,
    daily_cap_stroops, step_up_above_stroops
FROM approval_rules WHERE tenant = :tenant ORDER BY position
""")
_CURRENT_POLICY = text("""
SELECT CAST(p.body AS text) FROM tenant_defaults d JOIN escalation_policies p ON p.id = d.policy_id
WHERE d.tenant = :tenant
""")
_POLICY = text("SELECT CAST(body AS text) FROM escalation_policies WHERE id = :id")
_TENANTS = text("SELECT code, name, active, quiet_hours FROM tenants ORDER BY code")
_LEDGER_OPTIONS = text("""
SELECT auth_sandwich, claimable_balance, reclaim_after_days, one_shot_ticket
FROM ledger_options WHERE tenant = :tenant
""")
_TOPICS = text("""
SELECT code, name, department, active, calendar, auto_assign_after_hours
FROM topics WHERE tenant = :tenant ORDER BY code
""")
_USERS = text("""
SELECT u.name, u.roles, u.tier, u.active, u.email, u.telegram_chat, u.slack_user, u.time_zone,
    u.primary_topic, u.quiet_hours, u.working_hours, u.max_load,
    ARRAY(SELECT x.topic FROM user_topics x WHERE x.tenant = u.tenant AND x.user_name = u.name
        ORDER BY x.topic) AS topics,
    ARRAY(SELECT k.key_id FROM approver_keys k WHERE k.tenant = u.tenant AND k.user_name = u.name
        AND k.revoked_at IS NULL ORDER BY k.key_id) AS keys
FROM users u WHERE u.tenant = :tenant ORDER BY u.name
""")


class Tenant(BaseModel):
    """A client of the house; `quiet_hours` are those of its groups, and of who has none of their own."""

    model_config = ConfigDict(frozen=True)

    code: str
    name: str
    active: bool
    quiet_hours: tuple[dict[str, Any], ...] = ()


class Topic(BaseModel):
    """A desk that requests belong to."""

    model_config = ConfigDict(frozen=True)

    code: str
    name: str
    department: str
    active: bool
    calendar: str | None = None
    auto_assign_after_hours: int


class User(BaseModel):
    """A person of a tenant; `topics` are the additional ones, `keys` the ids of valid keys."""

    model_config = ConfigDict(frozen=True)

    name: str
    roles: tuple[ActorRole, ...]
    tier: int | None
    active: bool
    email: str | None
    telegram_chat: str | None
    slack_user: str | None
    time_zone: str
    primary_topic: str | None
    topics: tuple[str, ...]
    keys: tuple[str, ...]
    quiet_hours: tuple[dict[str, Any], ...] = ()
    working_hours: dict[str, Any] = {}
    max_load: int | None = None


async def signer(tx: Transaction, tenant: str, name: str, since: datetime | None = None) -> Signer | None:
    """The user as the decision check sees one, with the keys that are not revoked; None if unknown.

    With `since`, also the delegations that last or are to come then: until the transaction ends nobody
    of the tenant sets or ends one, changes a user or revokes a key.
    """
    row = await tx.row(_SIGNER, {"tenant": tenant, "name": name, "since": since})
    if row is None:
        return None
    held = row.delegations or {"signer": {}, "delegations": None}
    # read under the lock, where the statement's own snapshot is as old as the wait for it
    now = held["signer"]
    keys = {"public_keys": tuple(map(bytes.fromhex, now["public_keys"]))} if now else {}
    return Signer(**{**row._asdict(), **now, **keys, "delegations": parse_delegations(held["delegations"])})


async def rules(tx: Transaction, tenant: str) -> list[ApprovalRule]:
    """The tenant's approval rules in their order."""
    return [ApprovalRule(**row._asdict()) for row in await tx.rows(_RULES, {"tenant": tenant})]


async def current_policy(tx: Transaction, tenant: str) -> EscalationPolicy | None:
    """The policy that new requests of the tenant get, or None while none has been switched on."""
    body = await tx.value(_CURRENT_POLICY, {"tenant": tenant})
    return None if body is None else parse_policy(body)


async def policy(tx: Transaction, policy_id: str) -> EscalationPolicy | None:
    """The published policy of that id, or None."""
    body = await tx.value(_POLICY, {"id": policy_id})
    return None if body is None else parse_policy(body)


async def tenants(tx: Transaction) -> list[Tenant]:
    """Every tenant."""
    return [Tenant(**row._asdict()) for row in await tx.rows(_TENANTS)]


async def ledger_options(tx: Transaction, tenant: str) -> LedgerOptions:
    """What a tenant allows on the ledger beside the plain payment."""
    row = await tx.row(_LEDGER_OPTIONS, {"tenant": tenant})
    return LedgerOptions() if row is None else LedgerOptions(**row._asdict())


async def topics(tx: Transaction, tenant: str) -> list[Topic]:
    """The topics of a tenant."""
    return [Topic(**row._asdict()) for row in await tx.rows(_TOPICS, {"tenant": tenant})]


async def users(tx: Transaction, tenant: str) -> list[User]:
    """The users of a tenant, those who are no longer active included."""
    return [User(**row._asdict()) for row in await tx.rows(_USERS, {"tenant": tenant})]
