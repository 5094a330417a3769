"""Upgrades of a database that is in use: what is there stays, in whatever status it is."""

import asyncio

from alembic import command
from sqlalchemy import text

from db import migrate, reads
from db.session import Database
from db.writes import requests, submissions
from domain.mint_request import MintStatus
from tests.db.factories import (
    START,
    anomaly,
    approve,
    confirmed,
    later,
    open_one,
    submit,
    submitting,
    timed_out,
)
from tests.support.sweeping import claim

KEPT = "SELECT id, status, status_since, first_response_at, unassigned_since, assigned_at FROM mint_requests"


def move(url, verb, revision):
    """Up or down to a revision of the schema, as the program's own upgrade does it."""
    config = migrate._config()
    with migrate._connection(url) as connection:
        config.attributes["connection"] = connection
        getattr(command, verb)(config, revision)
        connection.commit()


async def every_status(database):
    """A request in each status, one half approved, one claimed, one commented."""
    async with database.transaction() as tx:
        record = await open_one(tx)
        await requests.add_comment(
            tx, record=record, author="alice", text="hm", at=later(minutes=5), comment_id="cm1"
        )
        await approve(tx, await open_one(tx, units=200_000), satisfied=False)
        await approve(tx, await open_one(tx))
        claimed = await open_one(tx)
        for to in (MintStatus.CANCELLED, MintStatus.EXPIRED):
            await change(tx, await open_one(tx), to)
        half = await approve(tx, await open_one(tx, units=200_000), satisfied=False)
        await change(tx, half, MintStatus.REJECTED)
        await change(tx, await approve(tx, await open_one(tx)), MintStatus.FAILED)
    await claim(database, claimed.request.id, "alice", later(hours=2))
    for number, result in enumerate((None, confirmed, timed_out, anomaly), 1):
        async with database.transaction() as tx:
            record = await submitting(tx, channel=f"GC{number}", sequence=number)
            if result:
                await submissions.conclude(tx, record=record, result=result(record), at=later(hours=3))


async def change(tx, record, to):
    """Into another status at once."""
    await requests.change_status(
        tx, record=record, to=to, step=f"to:{to}", kind=f"request.{to}", actor="clock", at=later(hours=4)
    )


async def rows(database):
    """What the upgrade has to find out again, by request."""
    async with database.transaction() as tx:
        return {row.id: tuple(row)[1:] for row in await tx.rows(text(KEPT))}


async def test_the_schema_of_the_service_comes_to_requests_in_every_status(seeded):
    """Down to 0009 and up again, twice: dates of status, answer and assignee come back; rows still move."""
    await every_status(seeded.database)
    before = await rows(seeded.database)
    assert {status for status, *_ in before.values()} == set(MintStatus)
    await seeded.database.close()
    for _ in range(2):
        await asyncio.to_thread(move, seeded.url, "downgrade", "0009")
        await asyncio.to_thread(move, seeded.url, "upgrade", "head")
    upgraded = Database(seeded.url)
    try:
        assert await rows(upgraded) == before
        async with upgraded.transaction() as tx:
            for request_id in before:
                assert await reads.request(tx, request_id) is not None
            await submit(tx, await approve(tx, await open_one(tx, at=START)), channel="GC9", sequence=9)
    finally:
        await upgraded.close()
