"""The demo tenant of the local stack: people, topics, channels, rules and a policy to try things with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from db.session import Transaction
from db.writes import dictionaries, publication
from domain.amounts import STROOPS_PER_UNIT
from domain.approvals import ActorRole, ApprovalRule
from domain.escalation import EscalationPolicy, Grants, Notify, Stage
from domain.mint_request import MintStatus
from domain.sla import STATUS_NAMES, STATUS_TYPES

TENANT = "acme"
TOPICS = ("treasury-eu", "treasury-us")
DEPARTMENT = "treasury"
POLICY = EscalationPolicy(
    id="acme-mint-default-1",
    tenant=TENANT,
    name="mint-default",
    stages=[
        Stage(delay_seconds=0, channels=["in-app", "slack-mint"], notify=Notify(tier=1)),
        Stage(
            delay_seconds=4 * 3600,
            channels=["slack-mint", "email"],
            notify=Notify(tier=1, also_tier=2),
            grants=Grants(tier=2),
            template="reminder",
        ),
        Stage(
            delay_seconds=12 * 3600,
            channels=["email", "pager-mgmt"],
            notify=Notify(tier=3),
            grants=Grants(tier=3),
            template="escalation",
        ),
    ],
    auto_close_minutes=24 * 60,
)
"""Reminder at 4 h with tier 2 granted, escalation to tier 3 at 12 h, expiry at 24 h."""

_ACTOR = "setup"
_PEOPLE: Mapping[str, tuple[tuple[ActorRole, ...], int | None]] = {
    "alice": (("approver",), 1),
    "bob": (("approver",), 1),
    "carol": (("approver",), 2),
    "dave": (("approver",), 3),
    "rita": (("requester",), None),
    "adam": (("admin",), None),
    "lena": (("auditor",), None),
}
_SLA_HOURS = {
    ("PENDING", "APPROVED"): 12,
    ("APPROVED", "SUBMITTING"): 1,
    ("SUBMITTING", "CONFIRMED"): 1,
}
_CHANNELS = {
    "in-app": ("in-app", {}),
    "slack-mint": ("slack", {"channel": "#mint"}),
    "email": ("email", {}),
    "pager-mgmt": ("console", {"channel": "management"}),
}


async def seed_demo_tenant(
    tx: Transaction, keys: Mapping[str, bytes], asset: str | None, at: datetime
) -> None:
    """Create tenant `acme` with its people; doing it again changes nothing.

    `keys` are raw Ed25519 public keys by user name; `asset` (`CODE:ISSUER`) is what the approval rules
    are for, None: every asset.
    """
    await _organisation(tx, at)
    for name, (roles, tier) in _PEOPLE.items():
        await dictionaries.set_user(
            tx,
            tenant=TENANT,
            name=name,
            roles=roles,
            tier=tier,
            email=f"{name}@acme.example",
            slack_user=slack_user_of(name) if tier else None,
            time_zone="Europe/Berlin",
            primary_topic=TOPICS[0],
            topics=TOPICS[1:],
            actor=_ACTOR,
            at=at,
        )
    for name, public_key in sorted(keys.items()):
        await dictionaries.register_key(
            tx, tenant=TENANT, user=name, public_key=public_key, actor=_ACTOR, at=at
        )
    await dictionaries.set_lead(tx, tenant=TENANT, department=DEPARTMENT, user="lena", actor=_ACTOR, at=at)
    for rule in demo_rules(asset):
        await dictionaries.set_rule(tx, rule=rule, actor=_ACTOR, at=at)
    await publication.publish_policy(tx, policy=POLICY, actor=_ACTOR, at=at)
    await publication.switch_policy(tx, tenant=TENANT, policy_id=POLICY.id, actor=_ACTOR, at=at)


def slack_user_of(name: str) -> str:
    """The member ID of a demo approver in the Slack of the provider console."""
    return f"U0{name.upper()}"


def demo_rules(asset: str | None) -> list[ApprovalRule]:
    """Up to 10,000 units one approval; up to 1,000,000 two, one of them of tier 2; above: denied."""
    return [
        ApprovalRule(
            tenant=TENANT,
            position=10,
            asset=asset or "*",
            max_stroops=10_000 * STROOPS_PER_UNIT,
            approvals=1,
        ),
        ApprovalRule(
            tenant=TENANT,
            position=20,
            asset=asset or "*",
            max_stroops=1_000_000 * STROOPS_PER_UNIT,
            approvals=2,
            at_least_one_of_tier=2,
        ),
    ]


async def _organisation(tx: Transaction, at: datetime) -> None:
    await dictionaries.set_tenant(tx, tenant=TENANT, name="Acme", actor=_ACTOR, at=at)
    await dictionaries.set_department(
        tx,
        tenant=TENANT,
        code=DEPARTMENT,
        name="Treasury",
        slack_channel="#treasury-leads",
        actor=_ACTOR,
        at=at,
    )
    for topic in TOPICS:
        await dictionaries.set_topic(
            tx,
            tenant=TENANT,
            code=topic,
            name=topic,
            department=DEPARTMENT,
            auto_assign_after_hours=1,
            actor=_ACTOR,
            at=at,
        )
        for (begin, end), hours in _SLA_HOURS.items():
            await dictionaries.set_transition(
                tx,
                tenant=TENANT,
                topic=topic,
                from_status=begin,
                to_status=end,
                sla_hours=hours,
                actor=_ACTOR,
                at=at,
            )
    unclear = MintStatus.ANOMALY
    await dictionaries.set_status(
        tx,
        tenant=TENANT,
        code=unclear,
        name=STATUS_NAMES[unclear],
        type=STATUS_TYPES[unclear],
        sla_hours=4,
        actor=_ACTOR,
        at=at,
    )
    for name, (kind, settings) in _CHANNELS.items():
        await dictionaries.set_channel(
            tx, tenant=TENANT, name=name, kind=kind, settings=settings, actor=_ACTOR, at=at
        )
