"""Absences at the edge of time: nobody's decisions may depend on a moment that can't be read."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import reads
from db.reads.absences import absences
from domain.absences import AHEAD, MOST_PLANNED
from domain.errors import InvalidInput, Refused
from tests.db.test_absences import a_pending, decide
from tests.support.absences import call_back, send_away

YEAR_10000 = datetime.fromisoformat("9999-12-31T23:59:59-14:00")


async def test_nobody_freezes_a_colleague_by_an_absence_in_the_year_10000(seeded):
    """It is refused; else a decision of the named delegate would be tried for ever, and expiry with it."""
    start = datetime(9999, 12, 1, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="starts in more than 366 days") as told:
        await send_away(seeded, "alice", "carol", start=start, until=YEAR_10000)
    assert told.value.field == "from"
    assert (await decide(seeded, await a_pending(seeded), "carol")).accepted
    async with seeded.database.transaction() as tx:
        assert await absences(tx, "acme", datetime.now(UTC)) == []


async def test_next_years_holiday_can_be_said_today(seeded):
    """The bound is a year and a day."""
    start = datetime.now(UTC) + AHEAD - timedelta(minutes=1)
    assert (await send_away(seeded, "alice", "carol", start=start, until=start + timedelta(days=3))).delegate


@pytest.mark.parametrize(
    "period",
    [
        {"until": YEAR_10000},
        {"until": "infinity"},
        {"start": "-infinity"},
        {"start": "0044-03-15 BC"},
    ],
    ids=["year 10000", "no end", "no start", "before our era"],
)
async def test_the_database_takes_no_moment_that_nobody_can_read(seeded, period):
    """Not even from somebody with its password: one such row would stop every decision of two people."""
    with pytest.raises(DBAPIError, match="absences_"):
        await forge(seeded, **{name: str(value) for name, value in period.items()})
    assert (await decide(seeded, await a_pending(seeded), "carol")).accepted


async def forge(seeded, **period):
    """Write the row with moments that Python has no word for."""
    values = {"start": "2026-01-01Z", "until": "2100-01-01Z"} | period
    async with seeded.database.transaction() as tx:
        await tx.run(
            text(
                "INSERT INTO absences (id, tenant, user_name, starts_at, ends_at, delegate, reason, set_by, "
                "set_at, envelope) VALUES (:id, 'acme', 'alice', CAST(CAST(:start AS text) AS timestamptz), "
                "CAST(CAST(:until AS text) AS timestamptz), 'carol', '', 'alice', now(), '{}')"
            ),
            {"id": "abs_" + "F" * 26, **values},
        )


async def test_nobody_drowns_a_colleague_in_absences_to_come(seeded):
    """Fifty at most; one that was ended before it began counts no more, and no decision reads it."""
    now = datetime.now(UTC)
    days = [now + timedelta(days=number) for number in range(1, MOST_PLANNED + 2)]
    for day in days[:-1]:
        planned = await send_away(seeded, "alice", "carol", start=day, until=day + timedelta(hours=1))
    last = {"start": days[-1], "until": days[-1] + timedelta(hours=1)}
    with pytest.raises(Refused, match="50 absences to come"):
        await send_away(seeded, "alice", "carol", **last)
    await call_back(seeded, planned)
    assert await send_away(seeded, "alice", "carol", **last)
    async with seeded.database.transaction() as tx:
        found = await reads.signer(tx, "acme", "carol", now)
    assert len(found.delegations) == MOST_PLANNED
    assert planned.id not in {one.absence.id for one in found.delegations}
