"""Wrong ways to the ledger are impossible, even for somebody who types SQL."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.writes import submissions
from tests.db.acts import an_approved, made, refused, time_out
from tests.db.factories import CHANNEL, confirmed, later, open_one, submitting

_SUBMISSION = """
INSERT INTO submissions (request_id, hash, channel, sequence, max_time, envelope_xdr, signed_at_ledger,
    stored_at)
VALUES (:id, repeat('b', 64), :channel, 1, 1, 'AAAA', 1, now())
"""


async def test_a_pending_request_has_no_submission(seeded):
    """Nothing can be signed for a request that is not APPROVED."""
    record = await made(seeded, open_one)
    said = await refused(seeded.database, _SUBMISSION, id=record.request.id, channel=CHANNEL)
    assert "is not APPROVED" in said


async def test_a_submission_needs_its_reservation(seeded):
    """The envelope's channel account must be reserved by the very request."""
    record = await made(seeded, an_approved)
    async with seeded.database.transaction() as tx:
        await tx.execute(text("INSERT INTO stellar_channels (account, state) VALUES ('GFREE', 'FREE')"))
    said = await refused(seeded.database, _SUBMISSION, id=record.request.id, channel="GFREE")
    assert "is not reserved by" in said


async def test_one_submission_a_request(seeded):
    """A second envelope for the same request is refused."""
    record = await made(seeded, submitting)
    said = await refused(
        seeded.database,
        "INSERT INTO submissions SELECT (s).* FROM (SELECT jsonb_populate_record(x,"
        " jsonb_build_object('hash', repeat('a', 64), 'sequence', 99)) AS s FROM submissions x"
        " WHERE request_id = :id) AS copied",
        id=record.request.id,
    )
    assert "is not APPROVED" in said or "submissions_pkey" in said


async def test_confirmed_needs_its_proof(seeded):
    """CONFIRMED without a concluded submission does not commit."""
    record = await made(seeded, submitting)
    said = await refused(
        seeded.database,
        "UPDATE mint_requests SET status = 'CONFIRMED', ended_at = now(), version = version + 1"
        " WHERE id = :id",
        id=record.request.id,
    )
    assert "without a submission that proves it" in said


async def test_an_outcome_needs_its_proof(seeded):
    """An outcome without proof is refused by a CHECK."""
    record = await made(seeded, submitting)
    said = await refused(
        seeded.database,
        "UPDATE submissions SET outcome = 'CONFIRMED', outcome_reason = '', concluded_at = now()"
        " WHERE request_id = :id",
        id=record.request.id,
    )
    assert "submissions_proved" in said


async def test_an_outcome_needs_its_status(seeded):
    """A submission can't be concluded behind the back of its request."""
    record = await made(seeded, submitting)
    said = await refused(
        seeded.database,
        "UPDATE submissions SET outcome = 'CONFIRMED', outcome_reason = '', concluded_at = now(),"
        " proof = '{}' WHERE request_id = :id",
        id=record.request.id,
    )
    assert "SUBMITTING without an open submission" in said


async def test_the_stored_envelope_never_changes(seeded):
    """The one canonical envelope stays, and so does a concluded outcome."""
    record = await made(seeded, submitting)
    said = await refused(
        seeded.database,
        "UPDATE submissions SET envelope_xdr = 'BBBB' WHERE request_id = :id",
        id=record.request.id,
    )
    assert "never changes" in said
    done = await made(seeded, lambda tx: time_out(tx, record))
    said = await refused(
        seeded.database,
        "UPDATE submissions SET outcome_reason = 'other' WHERE request_id = :id",
        id=done.request.id,
    )
    assert "is concluded" in said


async def test_a_sequence_is_used_once_unless_it_never_landed(seeded):
    """(channel, sequence) serves a second request only after a proved time-out."""
    record = await made(seeded, submitting)
    await made(seeded, lambda tx: time_out(tx, record))
    again = await made(seeded, submitting)
    assert (again.submission.channel, again.submission.sequence) == (CHANNEL, 1)
    async with seeded.database.transaction() as tx:
        await submissions.conclude(tx, record=again, result=confirmed(again), at=later(hours=3))
    with pytest.raises(DBAPIError, match="submissions_sequence_used_once"):
        await made(seeded, submitting)


async def test_a_channel_account_has_one_holder(seeded):
    """A reserved channel account names its request, a free one names none."""
    record = await made(seeded, submitting)
    said = await refused(seeded.database, "UPDATE stellar_channels SET state = 'FREE'")
    assert "stellar_channels_holder" in said
    said = await refused(
        seeded.database,
        "INSERT INTO stellar_channels (account, state, request_id) VALUES ('GOTHER', 'RESERVED', :id)",
        id=record.request.id,
    )
    assert "stellar_channels_one_each" in said
