"""A tenant keeps an admin, by whatever way one is taken away; and what admins do by hand is audited."""

import asyncio

import pytest
from sqlalchemy import text

from db import reads
from db.writes import operating
from db.writes.configuration import apply_configuration
from db.writes.entries import By
from domain.errors import NotFound, Refused
from tests.db.factories import START, open_one
from tests.db.test_entries import BY, events, head, put, take


@pytest.mark.parametrize("change", [{"roles": ["auditor"]}, {"active": False}])
async def test_the_last_active_admin_stays(seeded, change):
    """Neither their role nor they themselves can go, and nothing is written or audited."""
    before = await head(seeded)
    with pytest.raises(Refused, match="no active admin"):
        await put(seeded, "user", "adam", change)
    with pytest.raises(Refused, match="no active admin"):
        await take(seeded, "user", "adam")
    assert await head(seeded) == before


async def test_a_configuration_may_hand_over_but_not_do_away_with(seeded):
    """One document names a new admin and retires the old one, whatever their names; one alone is refused."""
    retired = {"adam": {"roles": ["auditor"]}}
    for users, works in ((retired, False), (retired | {"zoe": {"roles": ["admin"]}}, True)):
        async with seeded.database.transaction() as tx:
            if works:
                await apply_configuration(tx, {"users": users}, BY)
                continue
            with pytest.raises(Refused, match="no active admin"):
                await apply_configuration(tx, {"users": users}, BY)
            await tx.roll_back()


async def test_two_admins_do_not_remove_each_other(seeded):
    """At the same moment one of both is refused."""
    await put(seeded, "user", "eva", {"roles": ["admin"]})
    done = await asyncio.gather(
        take(seeded, "user", "adam"), take(seeded, "user", "eva"), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["Refused", "str"]


async def test_a_tenant_without_an_admin_can_still_be_set_up(seeded):
    """Who has none yet loses none."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE users SET roles = '{auditor}' WHERE name = 'adam'"))
    await put(seeded, "user", "erik", {"roles": ["requester"]})
    async with seeded.database.transaction() as tx:
        assert "erik" in [user.name for user in await reads.users(tx, "acme")]


async def test_dead_messages_are_tried_again_by_name(seeded):
    """Only the tenant's own dead ones, and the audit says by whom."""
    async with seeded.database.transaction() as tx:
        await open_one(tx)
        dead = (
            "UPDATE deliveries SET state = 'dead', next_attempt_at = NULL "
            "WHERE id = (SELECT min(id) FROM deliveries) RETURNING id"
        )
        delivery = await tx.value(text(dead))
        alive = await tx.value(text("SELECT max(id) FROM deliveries WHERE state <> 'dead'"))
    since = await head(seeded)
    for wanted, by, error in (
        (delivery, By("rival", "rico", START), NotFound),
        ("none", BY, NotFound),
        (alive, BY, Refused),
    ):
        with pytest.raises(error):
            async with seeded.database.transaction() as tx:
                await operating.retry_delivery(tx, wanted, by)
    async with seeded.database.transaction() as tx:
        await operating.retry_delivery(tx, delivery, BY)
        assert await operating.retry_every_delivery(tx, BY) == 0
    assert await events(seeded, since) == [("deliveries.retried", {"ids": [delivery]})]


async def test_who_is_admin_and_approver_is_warned_about(seeded):
    """It is allowed, and said."""
    outcome = await put(seeded, "user", "bob", {"roles": ["admin", "approver"]})
    assert outcome.warnings[0].startswith("is admin and approver")
