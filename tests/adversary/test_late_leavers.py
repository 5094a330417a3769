"""Somebody loses their authority while their decision waits: the order of the audit chain decides."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db import reads
from db.session import Database
from db.writes import dictionaries
from db.writes.configuration import apply_configuration
from db.writes.entries import By
from domain.proven_decisions import verify_decisions
from tests.db.test_absences import a_pending, decide, only_tier_2
from tests.db.test_proven_decisions import the_chain
from tests.support.absences import send_away
from tests.support.postgres import until_waiting


async def deactivate(tx, who):
    """They have left."""
    await dictionaries.deactivate_user(tx, tenant="acme", name=who, actor="adam", at=datetime.now(UTC))


async def demote(tx, who):
    """A file makes an auditor of them."""
    by = By("acme", "adam", datetime.now(UTC))
    document = {"departments": {"legal": {}}, "users": {who: {"roles": ["auditor"]}}}
    await apply_configuration(tx, document, by)


async def revoke(tx, who):
    """Their key is stolen."""
    [user] = [user for user in await reads.users(tx, "acme") if user.name == who]
    await dictionaries.revoke_key(
        tx, tenant="acme", user=who, key_id=user.keys[0], actor="adam", at=datetime.now(UTC)
    )


@pytest.mark.parametrize("change", [deactivate, demote, revoke])
@pytest.mark.parametrize("who", ["bob", "carol"])
async def test_nobody_decides_once_the_chain_says_that_they_may_not(seeded, change, who):
    """The chain is busy; a change of the delegate or of the absent approver comes first, then a decision."""
    await only_tier_2(seeded)
    await send_away(seeded, "carol", "bob")
    record = await a_pending(seeded)
    database = Database(seeded.url, pool_size=4)

    async def changed():
        async with database.transaction() as tx:
            await change(tx, who)

    async with database.transaction() as tx:
        await tx.run(text("SELECT 1 FROM audit_heads WHERE tenant = 'acme' FOR UPDATE"))
        first = asyncio.create_task(changed())
        await until_waiting(seeded.database)
        second = asyncio.create_task(decide(seeded, record, "bob", database=database))
        await until_waiting(seeded.database, 2)
    await first
    assert not (await second).accepted
    assert verify_decisions(await the_chain(seeded)).faults == ()
    await database.close()
