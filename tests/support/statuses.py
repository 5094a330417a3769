"""A request in each status that there is, written down as the activities do it."""

from datetime import UTC, datetime, timedelta

from db import reads
from db.writes import submissions
from domain.mint_request import MintStatus
from tests.db import acts
from tests.db.factories import anomaly, approve, confirmed, open_one, submit, timed_out

LARGE = 20_000
"""Units that need two approvals, one of tier 2 or above."""

_ENDINGS = {
    MintStatus.CONFIRMED: confirmed,
    MintStatus.TIMEOUT_FAILED: timed_out,
    MintStatus.ANOMALY: anomaly,
}


async def a_request_in(seeded, status, *, sequence=1, **changes):
    """One that has come so far; of what waits for decisions, one approval of two is there."""
    async with seeded.database.transaction() as tx:
        record = await _made(tx, status, sequence, changes)
        assert record.status is status
        return await reads.request(tx, record.request.id)


async def _made(tx, status, sequence, changes):
    # what has ended must not lie in the future
    begun = datetime.now(UTC) - timedelta(hours=5)
    at = {"at": begun, **changes}
    if status is MintStatus.PENDING:
        return await approve(
            tx, await open_one(tx, **{"units": LARGE, **at}), satisfied=False, at=begun + timedelta(hours=1)
        )
    if status in (MintStatus.REJECTED, MintStatus.CANCELLED):
        verdict, by = {
            MintStatus.REJECTED: ("reject", "alice"),
            MintStatus.CANCELLED: ("cancel", "rita"),
        }[status]
        return await acts.decide(tx, await open_one(tx, **at), verdict, by, f"no need <{verdict}>")
    if status is MintStatus.EXPIRED:
        return await acts.expire(tx, await open_one(tx, **at), at=begun + timedelta(hours=4))
    if status is MintStatus.APPROVED:
        return await approve(tx, await open_one(tx, **at), at=begun + timedelta(hours=1))
    if status is MintStatus.FAILED:
        record = await approve(tx, await open_one(tx, **at), at=begun + timedelta(hours=1))
        return await submissions.fail_before_signing(
            tx, record=record, reason="no trustline", at=begun + timedelta(hours=2)
        )
    record = await approve(tx, await open_one(tx, **at), at=begun + timedelta(hours=1))
    record = await submit(tx, record, sequence=sequence, at=begun + timedelta(hours=2))
    if status is MintStatus.SUBMITTING:
        return record
    return await submissions.conclude(
        tx, record=record, result=_ENDINGS[status](record), at=begun + timedelta(hours=3)
    )
