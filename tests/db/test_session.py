"""Connections: every spelling of a URL, and one clear line when the database is out of reach."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import migrate
from db.session import Database, driver_url
from domain.errors import ConfigurationError, Unavailable


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@db.example:5432/mint",
        "postgresql+psycopg://user:secret@db.example:5432/mint",
        "postgresql://postgres:@/postgres?host=/tmp/sockets",
    ],
)
async def test_urls_are_read_in_every_spelling(url):
    """Any PostgreSQL URL leads to the one driver."""
    assert driver_url(url).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["", "not a url", "mysql://localhost/x"])
async def test_other_urls_are_refused(url):
    """What is no PostgreSQL URL is a configuration error."""
    with pytest.raises(ConfigurationError):
        driver_url(url)


async def test_an_unreachable_database_is_named_without_its_password(tmp_path):
    """Connection errors are one line with the host, and never the password."""
    database = Database(f"postgresql://me:secret@/mint?host={tmp_path}")
    with pytest.raises(Unavailable) as caught:
        await database.ping()
    await database.close()
    assert caught.value.message.startswith(f"mintkeeper: cannot reach the database at {tmp_path}: ")
    assert "secret" not in caught.value.message
    assert "\n" not in caught.value.message
    with pytest.raises(Unavailable):
        migrate.is_current(f"postgresql://me:secret@/mint?host={tmp_path}")


async def test_a_connection_lost_on_the_way_is_unavailable(seeded):
    """A server that ends the session in the middle is Unavailable; the next transaction gets a new one."""
    with pytest.raises(Unavailable):
        async with seeded.database.transaction() as tx:
            await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    await seeded.database.ping()


async def test_refused_statements_are_not_unavailable(seeded):
    """A statement that PostgreSQL refuses keeps its own error."""
    with pytest.raises(DBAPIError, match="division by zero"):
        async with seeded.database.transaction() as tx:
            await tx.execute(text("SELECT 1 / 0"))


async def test_an_error_rolls_back(seeded):
    """What a failed transaction wrote is gone, and its connection serves the next one."""
    with pytest.raises(RuntimeError):
        async with seeded.database.transaction() as tx:
            await tx.execute(text("DELETE FROM department_leads"))
            raise RuntimeError
    async with seeded.database.transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM department_leads")) == 1
