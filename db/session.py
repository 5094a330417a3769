"""Connections to PostgreSQL: one pool per event loop, one transaction per step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.transaction import Transaction
from domain.errors import ConfigurationError, InvalidInput, Unavailable

__all__ = ["Database", "Transaction"]

_PING = text("SELECT 1")

_LOST = ("08", "57P")
"""SQLSTATE classes that mean: no usable connection (refused, broken, shutting down)."""

_PASSING = ("40", "53", "55P03", "57014", "58", "25006")
"""Deadlock, no resources, lock or statement time-out, disk, read-only after a failover: later it may work."""


def driver_url(url: str) -> URL:
    """Read a PostgreSQL URL in any spelling, unix sockets included, for the one driver we use.

    Raises ConfigurationError when it is no PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ConfigurationError("the database URL can't be read: expected postgresql://…") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"the database must be PostgreSQL, not {parsed.get_backend_name()}")
    return parsed.set(drivername="postgresql+psycopg")


def host_of(url: URL) -> str:
    """Where the server is, for messages: never the user or the password."""
    socket = url.query.get("host")
    host = url.host or (socket if isinstance(socket, str) else "localhost")
    return f"{host}:{url.port}" if url.port else host


def unavailable(url: URL, error: BaseException) -> Unavailable:
    """The one line people see when the database can't be reached."""
    lines = str(error.__cause__ or error).strip().splitlines()
    cause = lines[0] if lines else type(error).__name__
    return Unavailable(f"mintkeeper: cannot reach the database at {host_of(url)}: {cause}")


def is_connection_lost(error: DBAPIError) -> bool:
    """Tell a broken or refused connection from a statement that PostgreSQL refused."""
    if error.connection_invalidated:
        # whatever the server's last word was: it ends sessions for reasons of many classes
        return True
    origin = error.orig
    if not isinstance(origin, psycopg.OperationalError):
        return False
    return origin.sqlstate is None or origin.sqlstate.startswith(_LOST)


def may_pass(error: DBAPIError) -> bool:
    """Tell a statement that can work later from one that PostgreSQL refuses for good."""
    state = error.orig.sqlstate if isinstance(error.orig, psycopg.Error) else None
    return is_connection_lost(error) or (state is not None and state.startswith(_PASSING))


class Database:
    """A pool of connections. It belongs to the event loop that first uses it: build one per loop."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = driver_url(url)
        self._engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            connect_args={"options": "-c timezone=UTC"},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit on success, roll back on any error.

        Raises Unavailable when the server is out of reach, InvalidInput for text with a NUL character.
        """
        try:
            async with self._engine.connect() as connection:
                tx = Transaction(connection, _driver_of(connection))
                try:
                    yield tx
                    await tx.commit()
                except DBAPIError as error:
                    if is_connection_lost(error):
                        await tx.discard()
                    raise
        except DBAPIError as error:
            if may_pass(error):
                raise unavailable(self.url, error) from error
            if isinstance(error.orig, psycopg.DataError) and error.orig.sqlstate is None:
                # refused before it was sent: PostgreSQL has no NUL in its texts
                raise InvalidInput(f"this can't be stored or looked for: {error.orig}") from error
            raise
        except (PoolTimeout, PendingRollbackError, OSError) as error:
            raise unavailable(self.url, error) from error

    async def ping(self) -> None:
        """Ask the server for a sign of life; raises Unavailable."""
        async with self.transaction() as tx:
            await tx.run(_PING)

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._engine.dispose()


def _driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The driver's connection under SQLAlchemy's, which the pool has just lent."""
    lent = connection.sync_connection
    if lent is None:
        raise RuntimeError("the connection was not opened")
    return cast("psycopg.AsyncConnection[Any]", lent.connection.driver_connection)
