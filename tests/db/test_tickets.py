"""Tickets and plans in the database: the order of ticket and mint is kept there too, whoever writes."""

import hashlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import reads
from db.writes import submissions, tickets
from domain.errors import Refused, TransitionRefused
from domain.ledger_options import MintPlan
from domain.mint_request import MintStatus
from domain.submission import Proof
from domain.tickets import MOST_REMOVED, Ticket, TicketOutcome
from tests.db.acts import an_approved, made, refused
from tests.db.factories import CHANNEL, a_submission, approve, later, open_one

CHANNELS = text("SELECT state, request_id FROM stellar_channels")
TICKETED = MintPlan(ticket=True)


def a_ticket(record, *, channel=CHANNEL, sequence=1, removes=()):
    """The signed ticket of a record."""
    return Ticket(
        request_id=record.request.id,
        hash=hashlib.sha256(b"ticket" + record.request.id.encode()).hexdigest(),
        channel=channel,
        sequence=sequence,
        max_time=1_800_000_000,
        envelope_xdr="AAAA",
        signed_at_ledger=6,
        removes=removes,
    )


async def stored(tx, record, **values):
    """The channel reserved and the ticket stored."""
    channel = values.get("channel", CHANNEL)
    await submissions.reserve(tx, request_id=record.request.id, accounts=[channel])
    record = await reads.lock_request(tx, record.request.id)
    return await tickets.store_ticket(tx, record=record, ticket=a_ticket(record, **values), at=later(hours=2))


async def concluded(tx, record, outcome):
    """The ticket with an outcome."""
    proof = Proof(kind="landed" if outcome is TicketOutcome.PLACED else "never_landed")
    ended = record.ticket.model_copy(update={"outcome": outcome, "reason": "as said", "proof": proof})
    return await tickets.conclude_ticket(tx, record=record, ticket=ended, at=later(hours=2))


async def placed(tx, **values):
    """An approved request whose ticket stands on the ledger."""
    key = values.pop("key", None)
    record = await approve(tx, await open_one(tx, key=key))
    return await concluded(tx, await stored(tx, record, **values), TicketOutcome.PLACED)


async def mint(tx, record, plan=TICKETED, **values):
    """Store the mint of a record."""
    submission = a_submission(record, **values).model_copy(update={"plan": plan})
    return await submissions.store_submission(tx, record=record, submission=submission, at=later(hours=2))


async def test_a_ticket_is_read_back_as_it_was_stored(seeded):
    """Everything that the proof and a resend need, and then its outcome."""
    record = await made(seeded, placed)
    async with seeded.database.transaction() as tx:
        read = await reads.request(tx, record.request.id)
    assert read.ticket == record.ticket
    assert read == record


async def test_a_mint_after_its_ticket_is_stored(seeded):
    """Same channel account, later sequence, and the plan says that the ticket is used up."""
    record = await made(seeded, placed)
    after = await made(seeded, lambda tx: mint(tx, record, sequence=2))
    assert (after.status, after.submission.plan) == (MintStatus.SUBMITTING, TICKETED)


WRONG_MINTS = [
    (TicketOutcome.PLACED, {"sequence": 1}, "has not landed before"),
    (None, {"sequence": 2}, "has not landed before"),
    (TicketOutcome.NEVER_LANDED, {"sequence": 2}, "has not landed before"),
    (TicketOutcome.LOST, {"sequence": 2}, "has not landed before"),
]


@pytest.mark.parametrize(("outcome", "values", "words"), WRONG_MINTS)
async def test_no_mint_is_stored_unless_its_ticket_landed_before(seeded, outcome, values, words):
    """Whatever the code believes: without a placed ticket of a lower sequence no envelope is kept."""

    async def prepare(tx):
        record = await stored(tx, await an_approved(tx))
        return record if outcome is None else await concluded(tx, record, outcome)

    record = await made(seeded, prepare)
    with pytest.raises(DBAPIError, match=words):
        await made(seeded, lambda tx: mint(tx, record, **values))


async def test_a_mint_without_ticket_uses_none_up(seeded):
    """Its last operation would fail for certain."""

    async def both(tx):
        record = await an_approved(tx)
        await submissions.reserve(tx, request_id=record.request.id, accounts=[CHANNEL])
        return await mint(tx, record)

    with pytest.raises(TransitionRefused, match="exactly if there is one"):
        await made(seeded, both)


async def test_a_mint_that_would_leave_its_ticket_is_refused(seeded):
    """It was built before the ticket came: built anew, it uses it up. The database insists, too."""
    record = await made(seeded, placed)
    with pytest.raises(TransitionRefused, match="exactly if there is one"):
        await made(seeded, lambda tx: mint(tx, record, plan=MintPlan(), sequence=2))
    said = await refused(
        seeded.database,
        "INSERT INTO submissions (request_id, hash, channel, sequence, max_time, envelope_xdr,"
        " signed_at_ledger, stored_at) VALUES (:id, repeat('b', 64), :channel, 2, 1, 'AAAA', 1, now())",
        id=record.request.id,
        channel=CHANNEL,
    )
    assert "exactly if there is one" in said


async def test_a_sequence_serves_a_ticket_or_a_mint_but_once(seeded):
    """An account read from a node that lags shows a number that a ticket has used."""
    first = await made(seeded, placed)
    reason = {"reason": "no trustline", "at": later(hours=3)}
    await made(seeded, lambda tx: submissions.fail_before_signing(tx, record=first, **reason))

    async def another(tx):
        record = await an_approved(tx)
        await submissions.reserve(tx, request_id=record.request.id, accounts=[CHANNEL])
        return await mint(tx, record, plan=MintPlan(), sequence=1)

    with pytest.raises(DBAPIError, match="submissions_sequence_used_once"):
        await made(seeded, another)

    async def another_ticket(tx):
        return await stored(tx, await an_approved(tx), sequence=1)

    with pytest.raises(DBAPIError, match="tickets_sequence_used_once"):
        await made(seeded, another_ticket)


async def test_a_request_does_not_end_while_its_ticket_may_land(seeded):
    """Its channel account would go to another request, with a transaction still alive."""
    record = await made(seeded, lambda tx: an_approved_with_ticket(tx))
    with pytest.raises(Refused, match="may still land"):
        await made(
            seeded,
            lambda tx: submissions.fail_before_signing(tx, record=record, reason="x", at=later(hours=3)),
        )
    message = await refused(
        seeded.database,
        "UPDATE mint_requests SET status = 'FAILED', ended_at = now(), version = version + 1 WHERE id = :id",
        id=record.request.id,
    )
    assert "ticket may still land" in message


async def an_approved_with_ticket(tx):
    """A request whose ticket is stored and undecided."""
    return await stored(tx, await an_approved(tx))


@pytest.mark.parametrize(("outcome", "state"), [
    (TicketOutcome.NEVER_LANDED, "FREE"), (TicketOutcome.FAILED, "FREE"), (TicketOutcome.LOST, "FROZEN"),
])  # fmt: skip
async def test_what_becomes_of_the_channel(seeded, outcome, state):
    """Given back after a proof, frozen when somebody else signs for it."""

    async def failed(tx):
        record = await concluded(tx, await an_approved_with_ticket(tx), outcome)
        return await submissions.fail_before_signing(tx, record=record, reason="x", at=later(hours=3))

    record = await made(seeded, failed)
    async with seeded.database.transaction() as tx:
        rows = await tx.rows(CHANNELS)
    assert [(row.state, row.request_id) for row in rows] == [
        (state, record.request.id if state == "FROZEN" else None)
    ]


@pytest.mark.parametrize("change", [
    "hash = repeat('0', 64)", "sequence = 9", "max_time = 1", "envelope_xdr = 'BBBB'", "removes = '{}'",
    "channel = 'GOTHER'", "outcome = 'FAILED'", "outcome = NULL, reason = NULL, proof = NULL",
])  # fmt: skip
async def test_a_stored_ticket_never_changes(seeded, change):
    """Neither its envelope nor, once it is proved, its outcome."""
    record = await made(seeded, lambda tx: placed(tx, removes=("mr_other",)))
    message = await refused(
        seeded.database,
        f"UPDATE tickets SET {change} WHERE request_id = :id",
        id=record.request.id,
    )
    assert "never changes" in message or "is concluded" in message


@pytest.mark.parametrize("statement", ["DELETE FROM tickets", "TRUNCATE tickets"])
async def test_tickets_are_kept(seeded, statement):
    """The next worker must find what may be on the ledger."""
    await made(seeded, placed)
    assert "is refused" in await refused(seeded.database, statement)


async def test_the_plan_of_a_submission_never_changes(seeded):
    """An envelope is judged by what it was signed for."""
    record = await made(seeded, placed)
    await made(seeded, lambda tx: mint(tx, record, sequence=2))
    assert "is refused" in await refused(
        seeded.database, "UPDATE submissions SET plan = '{}' WHERE request_id = :id", id=record.request.id
    )


async def left_behind(tx, number):
    """A request that failed after its ticket was placed, on its own channel account."""
    record = await placed(tx, key=f"gone-{number}", channel=f"GCHANNEL{number:02}")
    return await submissions.fail_before_signing(tx, record=record, reason="x", at=later(hours=3))


async def claim(seeded, request_id, left):
    """Claim what a request's ticket may remove."""
    return await made(seeded, lambda tx: tickets.claim_left_behind(tx, request_id=request_id, left=left))


async def test_left_behind_tickets_are_claimed_by_one(seeded):
    """At most ten, of requests that have ended; nobody else's claim takes them again."""
    gone = [await made(seeded, lambda tx, number=number: left_behind(tx, number)) for number in range(12)]
    first = await made(seeded, lambda tx: placed(tx, key="first", channel="GFIRST"))
    second = await made(seeded, lambda tx: placed(tx, key="second", channel="GSECOND"))
    names = [record.request.id for record in [*gone, first, second]] + ["unknown"]
    one = await claim(seeded, first.request.id, names)
    two = await claim(seeded, second.request.id, names)
    assert (len(one), len(two)) == (MOST_REMOVED, 2)
    assert sorted([*one, *two]) == sorted(record.request.id for record in gone)
    assert await claim(seeded, second.request.id, names) == []


@pytest.mark.parametrize(("outcome", "again"), [
    (TicketOutcome.NEVER_LANDED, True), (TicketOutcome.LOST, True), (TicketOutcome.PLACED, False),
])  # fmt: skip
async def test_a_claim_ends_with_the_transaction_that_carried_it(seeded, outcome, again):
    """What did not land has removed nothing."""
    gone = (await made(seeded, lambda tx: left_behind(tx, 1))).request.id
    remover = await made(seeded, lambda tx: an_approved_with_ticket(tx))
    other = await made(seeded, lambda tx: placed(tx, key="other", channel="GOTHER"))
    assert await claim(seeded, remover.request.id, [gone]) == [gone]
    assert await claim(seeded, other.request.id, [gone]) == []
    await made(seeded, lambda tx: concluded(tx, remover, outcome))
    assert await claim(seeded, other.request.id, [gone]) == ([gone] if again else [])
