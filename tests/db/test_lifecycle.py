"""The steps of a request, each written once however often it is repeated."""

from db import reads
from db.writes import submissions
from domain.mint_request import MintStatus
from tests.db.factories import (
    approve,
    confirmed,
    later,
    open_one,
    submit,
)


async def test_plain_path_ends_confirmed(seeded):
    """Open, approve, store, conclude: each step returns the record that a fresh read returns."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        assert record == await reads.request(tx, record.request.id)
        record = await approve(tx, record)
        assert record == await reads.request(tx, record.request.id)
        record = await submit(tx, record)
        assert record == await reads.request(tx, record.request.id)
        record = await submissions.conclude(tx, record=record, result=confirmed(record), at=later(hours=3))
        assert record == await reads.request(tx, record.request.id)
        assert record.status is MintStatus.CONFIRMED
        assert record.ended_at == later(hours=3)
