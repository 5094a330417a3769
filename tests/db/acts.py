"""What people and time do to a request, as the activities write it down; and what the database refuses."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.writes import decisions, requests, submissions
from domain.approvals import Decision
from domain.mint_request import MintStatus
from tests.db.factories import ENVELOPE, START, approve, confirmed, later, open_one, submitting, timed_out


async def expire(tx, record, at=None):
    """Close a request whose time is over."""
    return await requests.change_status(
        tx,
        record=record,
        to=MintStatus.EXPIRED,
        step="expire",
        kind="request.expired",
        actor="clock",
        at=at or later(hours=24),
        reason="no decision in time",
    )


async def decide(tx, record, verdict, approver, reason="because", evidence=None):
    """Record a verdict other than approve; a resolution needs evidence."""
    decision = Decision(
        decision_id=f"{verdict}-{record.request.id[-8:]}",
        request_id=record.request.id,
        request_digest=record.request.digest(),
        verdict=verdict,
        approver=approver,
        reason=reason,
        issued_at=START,
        evidence=evidence,
    )
    to = {"reject": MintStatus.REJECTED, "cancel": MintStatus.CANCELLED, "failed": MintStatus.FAILED}[verdict]
    return await decisions.record_verdict(
        tx, record=record, decision=decision, envelope=ENVELOPE, to=to, at=later(hours=3)
    )


async def claim(tx, record):
    """Alice takes it."""
    return await requests.set_assignee(
        tx,
        record=record,
        assignee="alice",
        actor="alice",
        at=later(minutes=5),
        step="claim:1",
        kind="request.claim",
        only_if_unassigned=True,
    )


async def comment(tx, record):
    """Alice says something."""
    return await requests.add_comment(
        tx, record=record, author="alice", text="looking", at=later(minutes=6), comment_id="c1"
    )


async def run_stage(tx, record, stage=1):
    """The reminder is due."""
    return await requests.run_stage(
        tx, record=record, stage=stage, due_at=later(hours=4), at=later(hours=4, seconds=1)
    )


async def an_approved(tx):
    """A request with all its approvals."""
    return await approve(tx, await open_one(tx))


async def a_confirmed(tx):
    """A request that has landed."""
    record = await submitting(tx)
    return await submissions.conclude(tx, record=record, result=confirmed(record), at=later(hours=3))


async def time_out(tx, record):
    """The proof that the envelope never landed."""
    return await submissions.conclude(tx, record=record, result=timed_out(record), at=later(hours=3))


async def refused(database, statement, **params):
    """The message with which the database refuses a statement, at the latest when it commits."""
    with pytest.raises(DBAPIError) as caught:
        async with database.transaction() as tx:
            await tx.execute(text(statement), params)
    return str(caught.value.orig)


async def made(seeded, build):
    """What `build` makes, committed."""
    async with seeded.database.transaction() as tx:
        return await build(tx)
