"""Acknowledgements in the database: one statement, once, never changed."""

import hashlib

import pytest
from sqlalchemy import text

from db import reads
from db.writes import acks, requests
from domain.ack import AckClaim, AckRefusal, action_hash
from domain.errors import TransitionRefused
from domain.mint_request import MintStatus
from tests.db.acts import expire, refused, run_stage
from tests.db.factories import later, open_one

TOKEN = hashlib.sha256(b"token").hexdigest()


async def claim_of(tx, record, recipient="#mint"):
    """What the first message lets its recipient say."""
    query = text("SELECT id FROM deliveries WHERE request_id = :id AND recipient = :recipient AND stage = 0")
    delivery = await tx.scalar(query, {"id": record.request.id, "recipient": recipient})
    return AckClaim(
        tenant="acme",
        delivery_id=delivery,
        expires_utc=record.expires_at,
        rule_id=record.policy.id,
        action_hash=action_hash("acme", record.policy.id, record.request.id),
        jti=delivery[::-1],
        sub=recipient,
        purpose="ack",
        request_id=record.request.id,
        stage=0,
        iat=0,
    )


async def acknowledged(tx, record, at=None):
    """The record after its first message was acknowledged."""
    claim = await claim_of(tx, record)
    return await acks.record_ack(tx, record=record, claim=claim, token_sha256=TOKEN, at=at or later(hours=1))


async def states(tx, record):
    """State by kind of the messages that go out."""
    query = text("SELECT kind, state FROM deliveries WHERE request_id = :id AND channel_kind <> 'in-app'")
    return {(row.kind, row.state) for row in await tx.execute(query, {"id": record.request.id})}


async def test_an_ack_is_state_receipt_event_and_skipped_messages_together(seeded):
    """All of it in one statement; the record read back is the one returned."""
    async with seeded.database.transaction() as tx:
        record = await acknowledged(tx, await open_one(tx))
        assert await reads.request(tx, record.request.id) == record
        assert (record.acknowledged_by, record.acknowledged_at) == ("#mint", later(hours=1))
        receipt = await reads.ack_receipt(tx, await claim_of(tx, record))
        assert (receipt.acknowledged_at, receipt.token_sha256) == (later(hours=1), TOKEN)
        assert await states(tx, record) == {("opened", "skipped")}
        [event] = [entry for entry in await reads.timeline(tx, record.request.id) if entry["kind"] == "ack"]
    assert event["actor"] == "#mint"
    assert event["details"]["tokenSha256"] == TOKEN


async def test_an_ack_written_twice_is_written_once(seeded):
    """The repeated step changes nothing and returns the record as it stands."""
    async with seeded.database.transaction() as tx:
        before = await open_one(tx)
        first = await acknowledged(tx, before)
        assert await acknowledged(tx, before, at=later(hours=2)) == first
        rows = await tx.scalar(text("SELECT count(*) FROM acks"))
    assert rows == 1


async def test_a_stage_that_runs_after_all_ends_the_ack(seeded):
    """Whoever was on it has been given up on; what they recorded stays."""
    async with seeded.database.transaction() as tx:
        record = await acknowledged(tx, await open_one(tx))
        record = await run_stage(tx, record)
        assert (record.acknowledged_by, record.acknowledged_at) == (None, None)
        assert await reads.request(tx, record.request.id) == record
        assert ("reminder", "pending") in await states(tx, record)
        assert await reads.ack_receipt(tx, await claim_of(tx, record)) is not None


async def test_the_expiry_of_an_acknowledged_request_tells_everybody(seeded):
    """Messages about the end are no messages of a stage."""
    async with seeded.database.transaction() as tx:
        record = await expire(tx, await acknowledged(tx, await open_one(tx)))
        assert record.status is MintStatus.EXPIRED
        assert record.acknowledged_by == "#mint"
        assert ("expired", "pending") in await states(tx, record)


async def test_an_ended_request_takes_no_ack(seeded):
    """A terminal state never changes."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        claim = await claim_of(tx, record)
        ended = await expire(tx, record)
        with pytest.raises(TransitionRefused):
            await acks.record_ack(tx, record=ended, claim=claim, token_sha256=TOKEN, at=later(hours=25))


async def test_an_alert_of_the_audit_is_sent_though_somebody_is_on_it(seeded):
    """It is about mintkeeper itself, and belongs to no stage."""
    async with seeded.database.transaction() as tx:
        record = await acknowledged(tx, await open_one(tx))
        await requests.report_stalled(
            tx, record=record, step="audit.late:1", kind="audit.late", message="late", at=later(hours=5)
        )
        assert ("stalled", "pending") in await states(tx, record)


async def test_a_refusal_is_recorded_once(seeded):
    """The same token tried a thousand times is one event."""
    async with seeded.database.transaction() as tx:
        record = await open_one(tx)
        for _ in range(3):
            await acks.record_ack_refusal(
                tx,
                tenant="acme",
                request_id=record.request.id,
                reason=AckRefusal.BAD_SIGNATURE,
                message="not ours",
                actor_claimed="mallory",
                envelope_sha256=TOKEN,
                at=later(hours=1),
            )
        kinds = [entry["kind"] for entry in await reads.timeline(tx, record.request.id)]
    assert kinds.count("ack.refused") == 1


async def test_acknowledgements_are_never_changed_by_hand(seeded):
    """Not the receipts, and not half of who-and-when."""
    async with seeded.database.transaction() as tx:
        record = await acknowledged(tx, await open_one(tx))
    for statement in ("UPDATE acks SET recipient = 'alice'", "DELETE FROM acks", "TRUNCATE acks"):
        assert "never change" in await refused(seeded.database, statement)
    half = "UPDATE mint_requests SET acknowledged_by = NULL, version = version + 1 WHERE id = :id"
    assert "mint_requests_acknowledged" in await refused(seeded.database, half, id=record.request.id)
