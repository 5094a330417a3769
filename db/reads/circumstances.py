"""What a tenant has today that an escalation policy depends on."""

from __future__ import annotations

from db.reads.catalogue import channels
from db.reads.dictionaries import User, rules, topics, users
from db.session import Transaction
from domain.policy_checks import Circumstances, Colleague


async def circumstances(tx: Transaction, tenant: str) -> Circumstances:
    """Channels, active people and topics, and approval rules."""
    return Circumstances(
        tenant=tenant,
        channels={channel.name: channel.kind for channel in await channels(tx, tenant)},
        people=[_colleague(user) for user in await users(tx, tenant) if user.active],
        topics=[topic.code for topic in await topics(tx, tenant) if topic.active],
        rules=await rules(tx, tenant),
    )


def _colleague(user: User) -> Colleague:
    return Colleague(
        name=user.name,
        roles=frozenset(user.roles),
        tier=user.tier,
        email=user.email,
        can_sign=bool(user.keys),
        topics=frozenset({*user.topics, *filter(None, [user.primary_topic])}),
    )
