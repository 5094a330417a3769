"""From reservation to outcome: the one envelope, its fee bumps, and the channel account let go."""

import pytest
from sqlalchemy import text

from db import reads
from db.writes import submissions
from domain.errors import DecisionRefused, NotFound, Refused
from domain.evidence import LedgerEvidence, SeenChannel
from domain.mint_request import MintStatus
from domain.submission import FeeBump, Outcome
from tests.db.acts import comment, decide
from tests.db.factories import (
    CHANNEL,
    a_submission,
    anomaly,
    approve,
    confirmed,
    later,
    open_one,
    submitting,
    timed_out,
)
from tests.support.evidence import used_up


async def test_a_comment_while_signing_does_no_harm(seeded):
    """The envelope is stored although the request was commented on since it was read."""
    async with seeded.database.transaction() as tx:
        approved = await approve(tx, await open_one(tx))
        await submissions.reserve(tx, request_id=approved.request.id, accounts=[CHANNEL])
        await comment(tx, approved)
        stored = await submissions.store_submission(
            tx, record=approved, submission=a_submission(approved), at=later(hours=2)
        )
        assert stored == await reads.request(tx, approved.request.id)
    assert stored.status is MintStatus.SUBMITTING


async def test_a_failed_precheck_gives_the_channel_back(seeded):
    """Nothing was signed: FAILED with the reason, the reservation free again, the result readable."""
    async with seeded.database.transaction() as tx:
        record = await approve(tx, await open_one(tx))
        await submissions.reserve(tx, request_id=record.request.id, accounts=[CHANNEL])
        record = await submissions.fail_before_signing(
            tx, record=record, reason="no trustline", at=later(hours=2)
        )
        assert record == await reads.request(tx, record.request.id)
        assert record.result.proof.kind == "precheck"
        assert await channel_state(tx) == ("FREE", None)


async def channel_state(tx):
    """State and holder of the one channel account."""
    rows = await tx.execute(text("SELECT state, request_id FROM stellar_channels"))
    return tuple(rows.one())


async def test_outcomes_let_the_channel_go(seeded):
    """A time-out frees the channel account, an anomaly freezes it until an operator resolves it."""
    async with seeded.database.transaction() as tx:
        record = await submitting(tx)
        await submissions.conclude(tx, record=record, result=timed_out(record), at=later(hours=3))
        assert await channel_state(tx) == ("FREE", None)
        record = await submitting(tx, sequence=2)
        odd = await submissions.conclude(tx, record=record, result=anomaly(record), at=later(hours=3))
        assert odd == await reads.request(tx, odd.request.id)
        assert await channel_state(tx) == ("FROZEN", odd.request.id)
        assert await submissions.conclude(tx, record=odd, result=anomaly(record), at=later(hours=4)) == odd
        with pytest.raises(DecisionRefused):
            await decide(tx, odd, "failed", "adam")
        evidence = used_up(odd)
        resolved = await decide(tx, odd, "failed", "adam", evidence=evidence)
        assert resolved == await reads.request(tx, odd.request.id)
        assert (resolved.result.outcome, resolved.result.proof.kind) == (Outcome.FAILED, "operator")
        assert resolved.result.proof.evidence_sha256 == evidence.sha256()
        assert LedgerEvidence.model_validate(resolved.result.proof.evidence) == evidence
        assert await channel_state(tx) == ("FREE", None)


async def test_a_channel_account_that_is_gone_stays_frozen(seeded):
    """A resolution frees the channel account only if the evidence has seen it."""
    async with seeded.database.transaction() as tx:
        record = await submitting(tx)
        odd = await submissions.conclude(tx, record=record, result=anomaly(record), at=later(hours=3))
        gone = SeenChannel(account=CHANNEL, ledger=50, sequence=None)
        await decide(tx, odd, "failed", "adam", evidence=used_up(odd, channel=gone))
        assert await channel_state(tx) == ("FROZEN", odd.request.id)


async def test_fee_bumps_are_kept_in_order_and_once(seeded):
    """Each bump is stored before it is sent; the same again changes nothing; none after the end."""
    async with seeded.database.transaction() as tx:
        record = await submitting(tx)
        bumps = [FeeBump(hash=digit * 64, fee=1000, envelope_xdr="BUMP") for digit in "ab"]
        for bump in [*bumps, bumps[0]]:
            await submissions.add_fee_bump(tx, request_id=record.request.id, bump=bump, at=later(hours=2))
        await submissions.note_attempt(
            tx, request_id=record.request.id, hash="a" * 64, answer="PENDING", detail="", at=later(hours=2)
        )
        stored = await submissions.load_submission(tx, record.request.id)
        assert stored.fee_bumps == tuple(bumps)
        record = await reads.lock_request(tx, record.request.id)
        assert record.submission == stored
        await submissions.conclude(tx, record=record, result=confirmed(record), at=later(hours=3))
        late = FeeBump(hash="c" * 64, fee=1000, envelope_xdr="BUMP")
        with pytest.raises(Refused, match="no fee bump"):
            await submissions.add_fee_bump(tx, request_id=record.request.id, bump=late, at=later(hours=3))


async def test_a_channel_is_reserved_for_approved_requests_only(seeded):
    """Unknown and undecided requests get no channel account; all taken means None."""
    async with seeded.database.transaction() as tx:
        pending = await open_one(tx)
        with pytest.raises(Refused, match="needs no channel"):
            await submissions.reserve(tx, request_id=pending.request.id, accounts=[CHANNEL])
        with pytest.raises(NotFound):
            await submissions.reserve(tx, request_id="mr_UNKNOWN", accounts=[CHANNEL])
        first = await submitting(tx)
        assert await submissions.reserve(tx, request_id=first.request.id, accounts=["GB"]) == CHANNEL
        waiting = await approve(tx, await open_one(tx))
        assert await submissions.reserve(tx, request_id=waiting.request.id, accounts=[CHANNEL]) is None
