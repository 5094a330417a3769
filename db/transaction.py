"""An open transaction: statements in, rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Executable, TextClause, make_url
from sqlalchemy.engine import CursorResult, ScalarResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

Params = Mapping[str, Any]

_NO_PARAMS: Params = MappingProxyType({})
_DIALECT = make_url("postgresql+psycopg://").get_dialect()()


class Transaction:
    """A transaction on one connection of the pool; every read and write takes one first.

    `rows`, `row` and `value` hand a fixed statement straight to the driver, at half the processor time
    of `execute`, and steps are nothing but fixed statements. Both ways share the connection, the
    transaction and the errors, which are SQLAlchemy's `DBAPIError`s.
    """

    def __init__(self, connection: AsyncConnection, driver: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._driver = driver

    async def rows(self, statement: TextClause, params: Params = _NO_PARAMS) -> Sequence[Any]:
        """Every row of a fixed statement; columns are attributes."""
        return await (await self._run(statement, params)).fetchall()

    async def row(self, statement: TextClause, params: Params = _NO_PARAMS) -> Any | None:
        """The first row of a fixed statement, or None; columns are attributes."""
        return await (await self._run(statement, params)).fetchone()

    async def value(self, statement: TextClause, params: Params = _NO_PARAMS) -> Any | None:
        """The first column of the first row, or None."""
        found = await (await self._run(statement, params)).fetchone()
        return None if found is None else found[0]

    async def run(self, statement: TextClause, params: Params = _NO_PARAMS) -> None:
        """Run a fixed statement that returns nothing of interest."""
        await self._run(statement, params)

    async def execute(self, statement: Executable, params: Any = None) -> CursorResult[Any]:
        """Run any SQLAlchemy statement."""
        return await self._connection.execute(statement, params)

    async def scalar(self, statement: Executable, params: Any = None) -> Any:
        """The first column of the first row of any SQLAlchemy statement, or None."""
        return await self._connection.scalar(statement, params)

    async def scalars(self, statement: Executable, params: Any = None) -> ScalarResult[Any]:
        """The first column of every row of any SQLAlchemy statement."""
        return await self._connection.scalars(statement, params)

    async def commit(self) -> None:
        """Make it last; deferred constraints are checked here."""
        try:
            await self._driver.commit()
        except psycopg.Error as error:
            raise self._wrapped("COMMIT", error) from error

    async def roll_back(self) -> None:
        """Take everything back; what comes after is a transaction of its own."""
        try:
            await self._driver.rollback()
        except psycopg.Error as error:
            raise self._wrapped("ROLLBACK", error) from error

    async def discard(self) -> None:
        """Take a broken connection out of the pool."""
        await self._connection.invalidate()

    async def _run(self, statement: TextClause, params: Params) -> psycopg.AsyncCursor[Any]:
        sql = _driver_sql(statement)
        try:
            # a broken connection does not even give a cursor
            cursor = self._driver.cursor(row_factory=namedtuple_row)
            # a query without parameters is not searched for placeholders, and `%%` would stay as it is
            return await cursor.execute(sql, params)
        except psycopg.Error as error:
            raise self._wrapped(sql, error) from error

    def _wrapped(self, sql: str, error: psycopg.Error) -> Exception:
        """The SQLAlchemy error of a driver's error; as in `execute`, it says if that broke the connection."""
        return DBAPIError.instance(
            sql, None, error, psycopg.Error, connection_invalidated=self._driver.closed, dialect=_DIALECT
        )


@lru_cache(maxsize=512)
def _driver_sql(statement: TextClause) -> str:
    """The statement with the driver's placeholders."""
    return str(statement.compile(dialect=_DIALECT))
