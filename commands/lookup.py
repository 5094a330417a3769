"""Finding what a command names, or saying that it does not exist."""

from __future__ import annotations

from db import reads
from db.session import Database, Transaction
from domain.errors import NotFound
from domain.records import RequestRecord


async def find_request(tx: Transaction, name: str) -> RequestRecord:
    """The request of that id or track number; raises NotFound."""
    if name.upper().startswith("MK-"):
        record = await reads.request_by_track_number(tx, name.upper())
    else:
        record = await reads.request(tx, name)
    if record is None:
        raise NotFound(f"there is no mint request {name}: see 'mintkeeper list'")
    return record


async def load_request(database: Database, name: str) -> RequestRecord:
    """`find_request` in a transaction of its own."""
    async with database.transaction() as tx:
        return await find_request(tx, name)
