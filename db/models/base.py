"""What all tables share: one metadata with PostgreSQL's own default names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import DateTime, Integer, MetaData, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import SQLModel

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)


STATUSES = (
    "'PENDING', 'APPROVED', 'SUBMITTING', 'CONFIRMED', 'FAILED', 'TIMEOUT_FAILED', 'ANOMALY', "
    "'REJECTED', 'CANCELLED', 'EXPIRED'"
)
"""Every status of a mint request, for CHECK constraints."""


class Table(SQLModel):
    """Base of every table; a table never leaves `db/`, domain types travel."""

    metadata = metadata


class Moment(DateTime):
    """A point in time, with its zone."""

    def __init__(self) -> None:
        super().__init__(timezone=True)


class Texts(ARRAY[Any]):
    """A list of short texts."""

    def __init__(self) -> None:
        super().__init__(String)


class Numbers(ARRAY[Any]):
    """A list of small integers."""

    def __init__(self) -> None:
        super().__init__(Integer)
