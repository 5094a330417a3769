"""The schema: migrations, models, and the one table of transitions agree."""

import asyncio

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import CheckConstraint, create_engine, text

from db import migrate
from db.models import metadata
from db.session import driver_url
from domain.mint_request import TRANSITIONS
from tests.support.postgres import database_url


async def test_migrated_schema_equals_the_models(seeded):
    """Alembic finds no difference between the migrated database and the SQLModel tables."""
    engine = create_engine(driver_url(seeded.url))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert differences == []


async def test_every_check_of_the_models_is_in_the_database(database):
    """Named CHECK constraints, which Alembic does not compare, are the same on both sides."""
    modelled = {
        check.name
        for table in metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    async with database.transaction() as tx:
        found = await tx.scalars(text("SELECT conname FROM pg_constraint WHERE contype = 'c'"))
    # domains of information_schema have checks of their own
    existing = {name for name in found if name.split("_")[0] not in ("cardinal", "yes")}
    assert modelled == existing


async def test_transition_table_equals_the_domains(database):
    """The database allows exactly the state changes of `domain.mint_request.TRANSITIONS`."""
    async with database.transaction() as tx:
        rows = await tx.execute(text("SELECT from_status, to_status FROM mint_request_transitions"))
    assert {tuple(row) for row in rows} == {
        (current.value, onward.value) for current, targets in TRANSITIONS.items() for onward in targets
    }


async def test_two_starters_may_migrate_at_once(postgres_url):
    """Migrations are serialised, repeatable, and reach the head."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE migrated_twice"))
        url = database_url(postgres_url, "migrated_twice")
        assert not await asyncio.to_thread(migrate.is_current, url)
        reached = await asyncio.gather(*(asyncio.to_thread(migrate.upgrade, url) for _ in range(2)))
        assert reached[0] == reached[1]
        assert await asyncio.to_thread(migrate.is_current, url)
        connection.execute(sql.SQL("DROP DATABASE migrated_twice"))
