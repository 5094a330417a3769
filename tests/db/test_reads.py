"""What people ask for: lists, inboxes, timelines."""

from db import reads
from db.writes import submissions
from domain.mint_request import MintStatus
from tests.db.acts import expire, run_stage
from tests.db.factories import approve, confirmed, later, open_one, submit, submitting


async def ids(found):
    """The ids of a list of records."""
    return [record.request.id for record in found]


async def test_open_requests_are_those_that_have_not_ended(seeded):
    """The sweep sees PENDING, APPROVED, SUBMITTING, the oldest first, and nothing that has ended."""
    async with seeded.database.transaction() as tx:
        young = await open_one(tx, at=later(hours=1))
        old = await submitting(tx)
        await expire(tx, await open_one(tx))
        assert await ids(await reads.open_requests(tx)) == [old.request.id, young.request.id]


async def test_lists_filter_and_put_the_open_first(seeded):
    """By status, tenant, requester; the newest first, ended ones last."""
    async with seeded.database.transaction() as tx:
        ended = await expire(tx, await open_one(tx, at=later(hours=3)), at=later(hours=30))
        first = await open_one(tx)
        second = await open_one(tx, at=later(hours=2), requester="alice")
        everything = [second.request.id, first.request.id, ended.request.id]
        assert await ids(await reads.requests(tx)) == everything
        assert await ids(await reads.requests(tx, limit=1)) == everything[:1]
        assert await ids(await reads.requests(tx, status=MintStatus.EXPIRED)) == everything[2:]
        assert await ids(await reads.requests(tx, requester="rita")) == everything[1:]
        assert await ids(await reads.requests(tx, stuck=True)) == everything[:2]
        assert await reads.requests(tx, tenant="other") == []


async def test_an_inbox_holds_what_its_owner_may_decide(seeded):
    """Entitled by tier or by a stage's grant, not the requester, not decided by them before."""
    async with seeded.database.transaction() as tx:
        small = await open_one(tx)
        large = await approve(tx, await open_one(tx, units=50_000, at=later(minutes=1)), satisfied=False)
        inbox = {
            name: set(await ids(await reads.requests(tx, decidable_by=name)))
            for name in ("alice", "bob", "carol", "dave", "rita", "adam")
        }
        both = {small.request.id, large.request.id}
        assert inbox == {
            "alice": {small.request.id},
            "bob": both,
            "carol": {large.request.id},
            "dave": set(),
            "rita": set(),
            "adam": set(),
        }
        await run_stage(tx, small)
        assert set(await ids(await reads.requests(tx, decidable_by="carol"))) == both


async def test_a_request_is_found_by_its_track_number(seeded):
    """Clients know only the track number."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        assert await reads.request_by_track_number(tx, record.request.track_number) == record
        assert await reads.request_by_track_number(tx, "MK-NOTHING") is None
        assert await reads.request(tx, "mr_NOTHING") is None


async def test_a_timeline_tells_the_whole_story(seeded):
    """Steps and deliveries in the order of their moments, without the bulk that only auditors need."""
    async with seeded.database.transaction() as tx:
        record = await run_stage(tx, await open_one(tx))
        record = await approve(tx, record, at=later(hours=5))
        record = await submit(tx, record, at=later(hours=5))
        await submissions.conclude(tx, record=record, result=confirmed(record), at=later(hours=6))
        entries = await reads.timeline(tx, record.request.id)
    steps = [entry["kind"] for entry in entries if not entry["kind"].startswith("delivery.")]
    assert steps == [
        "request.opened",
        "stage.opened",
        "stage.reminder",
        "decision.approve",
        "submission.stored",
        "submission.concluded",
    ]
    moments = [entry["at"] for entry in entries]
    assert moments == sorted(moments)
    assert all("envelope" not in entry.get("details", {}) for entry in entries)
    assert {entry["kind"] for entry in entries} >= {
        "delivery.opened",
        "delivery.reminder",
        "delivery.stalled",
    }


async def test_moments_come_back_in_utc(seeded):
    """Whatever the server's time zone, records speak UTC."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        read = await reads.request(tx, record.request.id)
    assert read.created_at.utcoffset().total_seconds() == 0
