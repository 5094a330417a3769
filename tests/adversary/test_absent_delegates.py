"""A delegate who can't act in anybody's place must not be all that a stage tells."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db.writes import dictionaries
from tests.db.test_absences import told
from tests.support.absences import send_away


async def erin(seeded, **changes):
    """A second approver of tier 2, who is not on the request's topic."""
    values = {"roles": ("approver",), "tier": 2} | changes
    async with seeded.database.transaction() as tx:
        await dictionaries.set_user(
            tx, tenant="acme", name="erin", actor="adam", at=datetime.now(UTC), **values
        )


@pytest.fixture
async def two_of_tier_2(seeded):
    """Carol on the topic, and erin who is not."""
    await erin(seeded)
    assert (await told(seeded, 2))[0] == ["carol"]
    return seeded


async def test_a_delegate_who_is_away_does_not_silence_the_tier(two_of_tier_2):
    """Carol's delegate is out of office too: erin hears of it, who is there and may decide."""
    await send_away(two_of_tier_2, "carol", "dave")
    assert (await told(two_of_tier_2, 2))[0] == ["dave"]
    await send_away(two_of_tier_2, "dave", "alice")
    assert (await told(two_of_tier_2, 2))[0] == ["erin"]


async def test_a_delegate_who_is_no_approver_any_more_is_not_told(two_of_tier_2):
    """They can't decide for anybody; somebody who can is told."""
    await send_away(two_of_tier_2, "carol", "dave")
    async with two_of_tier_2.database.transaction() as tx:
        await tx.run(text("UPDATE users SET roles = '{auditor}' WHERE name = 'dave'"))
    assert (await told(two_of_tier_2, 2))[0] == ["erin"]


async def test_where_nobody_is_there_all_are_told(seeded):
    """The absent approver and who has their authority, be they away themselves: no stage falls silent."""
    await send_away(seeded, "carol", "dave")
    await send_away(seeded, "dave")
    assert (await told(seeded, 2))[0] == ["carol", "dave"]


async def test_two_who_stand_in_for_each_other_are_both_told(seeded):
    """Neither may decide before one is back, and each can end their own absence."""
    await send_away(seeded, "alice", "bob")
    await send_away(seeded, "bob", "alice")
    assert (await told(seeded, 1))[0] == ["alice", "bob"]
