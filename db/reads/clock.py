"""The database's clock."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db.session import Transaction

_CLOCK = text("SELECT clock_timestamp()")


async def clock(tx: Transaction) -> datetime:
    """The moment at which the server reads this."""
    moment: datetime = (await tx.rows(_CLOCK))[0][0]
    return moment
