"""A client who writes and writes: what must be decided is told first all the same."""

from datetime import UTC, datetime

from db.writes import deliveries, dictionaries
from tests.support.talk import ago, an_open, run, say

DUE = "UPDATE deliveries SET next_attempt_at = :at WHERE kind = :kind AND state = 'pending'"


async def test_a_flood_of_messages_stands_behind_what_must_be_decided(seeded):
    """They were due earlier and are many; the next message that is claimed is none of them."""
    db = seeded.database
    record = await an_open(db)
    async with db.transaction() as tx:
        await dictionaries.set_channel(
            tx, tenant="acme", name="tg", kind="telegram", settings={"chat_id": "-100"}, actor="t",
            at=datetime.now(UTC),
        )  # fmt: skip
    for number in range(30):
        await say(db, record, message_id=f"ms_{number}", said="hurry")
    for kind, seconds in (("message", 9), ("opened", 1)):
        await run(db, DUE, kind=kind, at=ago(seconds=seconds))
    async with db.transaction() as tx:
        jobs = await deliveries.claim_due(tx, limit=1, lease_seconds=60, now=datetime.now(UTC))
    assert [job.kind for job in jobs] == ["opened"]
