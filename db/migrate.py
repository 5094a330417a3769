"""Bring a database's schema to the newest revision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from db.session import driver_url, is_connection_lost, unavailable

_ONE_AT_A_TIME = text("SELECT pg_advisory_lock(hashtext('mintkeeper migrations'))")
"""Held by the session while it migrates, so that two starters never race."""


def upgrade(url: str) -> str:
    """Apply every missing migration and return the revision reached; raises Unavailable."""
    config = _config()
    with _connection(url) as connection:
        connection.execute(_ONE_AT_A_TIME)
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        return _revision(connection) or ""


def is_current(url: str) -> bool:
    """Tell whether the schema is the one this program was written for; raises Unavailable."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with _connection(url) as connection:
        return _revision(connection) == head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    parsed = driver_url(url)
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if is_connection_lost(error):
            raise unavailable(parsed, error) from error
        raise
    finally:
        engine.dispose()
