"""Channel accounts in the database: planned in order, kept by their request, taken back with proof only."""

import pytest
from sqlalchemy import text

from db import reads
from db.reads.stellar_channels import channel_accounts
from db.writes import stellar_channels, submissions
from domain.channel_accounts import ChannelState
from domain.errors import ConfigurationError
from domain.mint_request import MintStatus
from tests.db.acts import made, refused
from tests.db.factories import (
    CHANNEL,
    anomaly,
    approve,
    confirmed,
    later,
    open_one,
    submitting,
    timed_out,
)


def account_of(index: int) -> str:
    """The account of a key index."""
    return f"GFAMILY{index}"


async def plan(seeded, count):
    """Plan accounts; their key indexes."""
    async with seeded.database.transaction() as tx:
        planned = await stellar_channels.plan_channels(tx, count=count, account_of=account_of)
    return [key.index for key in planned]


async def open_all(seeded):
    """Every planned account exists now."""
    async with seeded.database.transaction() as tx:
        known = await channel_accounts(tx)
        await stellar_channels.open_channels(tx, [channel.account for channel in known])


async def by_hand(seeded, statement, **params):
    """Type SQL past every guard, as nothing else can."""
    async with seeded.database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text(statement), params)


async def leak(seeded, record, state="RESERVED"):
    """Let an account be held by a request that has let it go."""
    await by_hand(
        seeded,
        "UPDATE stellar_channels SET state = :state, request_id = :id WHERE account = :account",
        state=state,
        id=record.request.id,
        account=CHANNEL,
    )


async def sweep(seeded):
    """One sweep: accounts returned, and why the suspect ones are not."""
    async with seeded.database.transaction() as tx:
        returned, suspect = await stellar_channels.take_back_channels(tx, later(days=1))
        for channel in suspect:
            await stellar_channels.report_channel(tx, channel, later(days=1))
    return list(returned), [channel.why for channel in suspect]


async def state_of(seeded, account=CHANNEL):
    """State and holder of an account."""
    async with seeded.database.transaction() as tx:
        [found] = [channel for channel in await channel_accounts(tx) if channel.account == account]
    return found.state, found.request_id


async def kinds(seeded, record):
    """Kinds of the request's audit events."""
    async with seeded.database.transaction() as tx:
        rows = await tx.execute(
            text("SELECT kind FROM audit_events WHERE request_id = :id ORDER BY seq"),
            {"id": record.request.id},
        )
        return [row.kind for row in rows]


async def test_planning_again_answers_the_same(seeded):
    """An answer that was lost costs no key index; opened ones are followed by the next."""
    assert await plan(seeded, 3) == await plan(seeded, 3) == [0, 1, 2]
    await open_all(seeded)
    assert await plan(seeded, 2) == [3, 4]


async def test_an_account_with_a_signer_of_its_own_is_not_planned(seeded):
    """It would be two entries of the configuration for one account."""
    async with seeded.database.transaction() as tx:
        await tx.execute(
            text("INSERT INTO stellar_channels (account, state) VALUES (:a, 'FREE')"), {"a": account_of(1)}
        )
    with pytest.raises(ConfigurationError, match="signer of its own"):
        await plan(seeded, 3)


async def test_a_planned_account_is_not_reserved(seeded):
    """It may not exist yet; once it is open the next request gets it."""
    await plan(seeded, 1)
    record = await made(seeded, lambda tx: _approved(tx))
    with pytest.raises(ConfigurationError, match="mintkeeper channels create"):
        await _reserve(seeded, record)
    await open_all(seeded)
    assert await _reserve(seeded, record) == account_of(0)
    assert await state_of(seeded, account_of(0)) == (ChannelState.RESERVED, record.request.id)


async def test_an_account_made_while_workers_run_is_used(seeded):
    """All taken, then one more is made: the waiting request gets it."""
    await plan(seeded, 1)
    await open_all(seeded)
    first, second = [await made(seeded, lambda tx: _approved(tx)) for _ in range(2)]
    assert await _reserve(seeded, first) == account_of(0)
    assert await _reserve(seeded, second) is None
    await plan(seeded, 1)
    await open_all(seeded)
    assert await _reserve(seeded, second) == account_of(1)


async def _approved(tx):
    return await approve(tx, await open_one(tx))


async def _reserve(seeded, record):
    async with seeded.database.transaction() as tx:
        return await submissions.reserve(tx, request_id=record.request.id, accounts=[], family=True)


@pytest.mark.parametrize(("change", "words"), [
    ("UPDATE stellar_channels SET key_index = 7", "keeps its key"),
    ("UPDATE stellar_channels SET account = 'GOTHER'", "keeps its key"),
    ("UPDATE stellar_channels SET state = 'PLANNED'", "exists already"),
    ("DELETE FROM stellar_channels", "never"),
    ("INSERT INTO stellar_channels (account, state, key_index) VALUES ('GOTHER', 'PLANNED', 0)", "key_index"),
    ("INSERT INTO stellar_channels (account, state) VALUES ('GOTHER', 'PLANNED')", "stellar_channels_family"),
])  # fmt: skip
async def test_a_key_index_stays_with_its_account(seeded, change, words):
    """Nobody who types SQL can make a key index serve twice."""
    await plan(seeded, 1)
    await open_all(seeded)
    assert words in await refused(seeded.database, change)


async def test_a_channel_is_released_at_the_end_of_its_request_only(seeded):
    """Freeing it while the request is on its way does not commit, whoever tries."""
    record = await made(seeded, submitting)
    said = await refused(seeded.database, "UPDATE stellar_channels SET state = 'FREE', request_id = NULL")
    assert "until that has ended" in said
    odd = await made(seeded, lambda tx: _conclude(tx, record, anomaly(record)))
    assert odd.status is MintStatus.ANOMALY
    assert "until that has ended" in await refused(
        seeded.database, "UPDATE stellar_channels SET state = 'FREE', request_id = NULL"
    )


async def _conclude(tx, record, result):
    return await submissions.conclude(tx, record=record, result=result, at=later(hours=3))


@pytest.mark.parametrize("result", [confirmed, timed_out])
async def test_a_leak_with_a_stored_proof_is_taken_back(seeded, result):
    """The outcome of this very account's submission is proved: nothing can use its sequence any more."""
    record = await made(seeded, submitting)
    await made(seeded, lambda tx: _conclude(tx, record, result(record)))
    await leak(seeded, record)
    assert await sweep(seeded) == ([CHANNEL], [])
    assert await state_of(seeded) == (ChannelState.FREE, None)
    assert (await kinds(seeded, record)).count("channel.returned") == 1
    assert await sweep(seeded) == ([], [])


async def test_a_leak_of_a_request_that_signed_nothing_is_taken_back(seeded):
    """It has ended and stored no envelope: none was sent, and none can be stored any more."""
    record = await made(seeded, lambda tx: _approved(tx))
    async with seeded.database.transaction() as tx:
        await submissions.reserve(tx, request_id=record.request.id, accounts=[CHANNEL])
        await submissions.fail_before_signing(tx, record=record, reason="no trustline", at=later(hours=2))
    await leak(seeded, record)
    assert await sweep(seeded) == ([CHANNEL], [])


async def test_what_a_request_on_its_way_holds_is_no_leak(seeded):
    """APPROVED with a reservation, SUBMITTING, ANOMALY: the sweep neither takes nor reports."""
    await made(seeded, submitting)
    approved = await made(seeded, lambda tx: _approved(tx))
    async with seeded.database.transaction() as tx:
        await submissions.reserve(tx, request_id=approved.request.id, accounts=["GSECOND"])
    odd = await made(seeded, lambda tx: submitting(tx, channel="GTHIRD"))
    await made(seeded, lambda tx: _conclude(tx, odd, anomaly(odd)))
    assert await sweep(seeded) == ([], [])


async def test_a_leak_without_proof_is_only_reported(seeded):
    """Somebody closed the request by hand: the account stays reserved, the leads hear of it once."""
    record = await made(seeded, submitting)
    await by_hand(
        seeded,
        "UPDATE mint_requests SET status = 'TIMEOUT_FAILED', ended_at = now() WHERE id = :id",
        id=record.request.id,
    )
    for _ in range(2):
        assert await sweep(seeded) == ([], ["no proof of the submission's outcome is stored"])
    assert await state_of(seeded) == (ChannelState.RESERVED, record.request.id)
    assert (await kinds(seeded, record)).count("audit.channel") == 1


async def test_a_leak_over_another_account_is_only_reported(seeded):
    """The proof speaks about the account that was submitted over, not about this one."""
    record = await made(seeded, lambda tx: submitting(tx, channel="GOTHER"))
    await made(seeded, lambda tx: _conclude(tx, record, confirmed(record)))
    await by_hand(
        seeded,
        "INSERT INTO stellar_channels (account, state, request_id) VALUES (:account, 'RESERVED', :id)",
        account=CHANNEL,
        id=record.request.id,
    )
    returned, [why] = await sweep(seeded)
    assert (returned, "over channel account GOTHER" in why) == ([], True)
    assert await state_of(seeded) == (ChannelState.RESERVED, record.request.id)


async def test_a_success_without_a_submission_is_only_reported(seeded):
    """CONFIRMED with nothing stored can't be: people must look before the account is used again."""
    record = await made(seeded, lambda tx: _approved(tx))
    async with seeded.database.transaction() as tx:
        await submissions.reserve(tx, request_id=record.request.id, accounts=[CHANNEL])
    await by_hand(
        seeded,
        "UPDATE mint_requests SET status = 'CONFIRMED', ended_at = now() WHERE id = :id",
        id=record.request.id,
    )
    returned, [why] = await sweep(seeded)
    assert (returned, "CONFIRMED without a submission" in why) == ([], True)


async def test_a_frozen_account_whose_anomaly_is_resolved_is_only_reported(seeded):
    """Resolving lets it go; one that stayed frozen is for people to look at."""
    record = await made(seeded, submitting)
    odd = await made(seeded, lambda tx: _conclude(tx, record, anomaly(record)))
    resolved = await made(seeded, lambda tx: _conclude(tx, odd, confirmed(odd)))
    await leak(seeded, resolved, state="FROZEN")
    returned, [why] = await sweep(seeded)
    assert (returned, why) == ([], "it is frozen, but its request is CONFIRMED")


async def test_a_reservation_of_an_anomaly_is_only_reported(seeded):
    """It should be frozen; the sequence is in doubt, so it is certainly not free."""
    record = await made(seeded, submitting)
    odd = await made(seeded, lambda tx: _conclude(tx, record, anomaly(record)))
    await leak(seeded, odd)
    returned, [why] = await sweep(seeded)
    assert (returned, why) == ([], "it is reserved, but its request is ANOMALY")
    async with seeded.database.transaction() as tx:
        assert (await reads.request(tx, odd.request.id)).status is MintStatus.ANOMALY
