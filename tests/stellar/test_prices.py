"""What a mint bids: the minimum in quiet times, the going price in a surge, a bump when it is outbid."""

import pytest_asyncio
from sqlalchemy import text
from stellar_sdk import TransactionEnvelope

from activities.stellar.horizon import Horizon
from activities.stellar.prices import HEADROOM, FeePrices
from domain.submission import Outcome
from settings import TESTNET_PASSPHRASE
from tests.support.minting import minting_on

CAPACITY = 10


@pytest_asyncio.fixture(loop_scope="session")
async def narrow(seeded):
    """A network with room for ten operations a ledger."""
    async with minting_on(seeded, channels=2, ledger_capacity=CAPACITY) as minting:
        yield minting


async def crowd(minting, bid: int, ledgers: int = 0):
    """Others want three times the room of every ledger at this bid."""
    await minting.ledger.fault("crowd", operations=3 * CAPACITY, fee_per_operation=bid)
    await minting.ledger.close(ledgers)


def bid_of(submission) -> int:
    """What the envelope itself bids for its one operation."""
    return TransactionEnvelope.from_xdr(submission.envelope_xdr, TESTNET_PASSPHRASE).transaction.fee


async def test_in_quiet_times_the_minimum_is_bid(narrow):
    """Nobody pays more than the base fee, so neither does a mint."""
    request = await narrow.approved()
    assert (await narrow.mint(request)).outcome is Outcome.CONFIRMED
    submission = (await narrow.record(request)).submission
    assert (bid_of(submission), submission.fee_bumps) == (100, ())


async def test_in_a_surge_the_going_price_is_bid_at_once(narrow):
    """The first envelope outbids the crowd, lands in the next ledger, and pays the crowd's price."""
    await crowd(narrow, 700, ledgers=6)
    request = await narrow.approved()
    result = await narrow.mint(request)
    submission = (await narrow.record(request)).submission
    assert (bid_of(submission), submission.fee_bumps) == (HEADROOM * 700, ())
    assert result.proof.landed.fee_charged == 700


async def test_an_envelope_that_is_outbid_is_bumped(narrow):
    """PENDING while ledgers take others: the same inner transaction goes dearer, recorded before."""
    request = await narrow.approved()
    await narrow.submit(request)
    await crowd(narrow, 700)
    result = await narrow.mint(request)
    submission = (await narrow.record(request)).submission
    [bump] = submission.fee_bumps
    assert result.outcome is Outcome.CONFIRMED
    assert (bid_of(submission), result.proof.landed.found_hash) == (100, bump.hash)
    assert bump.fee == 2 * HEADROOM * 700
    assert len(await narrow.ledger.payments()) == 1
    async with narrow.database.transaction() as tx:
        rows = await tx.execute(
            text("SELECT body FROM audit_events WHERE request_id = :id AND kind = 'submission.fee_bumped'"),
            {"id": request.id},
        )
        assert [bump.hash in str(row.body) for row in rows] == [True]


async def test_a_price_above_the_cap_is_waited_out(narrow):
    """No bump above the cap: the envelope stays as it is, until the crowd leaves or the bound is past."""
    request = await narrow.approved()
    await crowd(narrow, 150_000, ledgers=1)
    result = await narrow.mint(request, narrow.hurried())
    submission = (await narrow.record(request)).submission
    assert result.outcome is Outcome.TIMEOUT_FAILED
    assert submission.fee_bumps == ()
    assert bid_of(submission) <= narrow.ledger.rules().max_fee_stroops


async def test_without_statistics_the_minimum_is_bid(narrow):
    """A Horizon that tells no price delays no mint."""
    await narrow.ledger.fault("unavailable", count=100, path="/fee_stats")
    request = await narrow.approved()
    assert (await narrow.mint(request)).outcome is Outcome.CONFIRMED
    assert bid_of((await narrow.record(request)).submission) == 100


async def test_everybody_shares_one_price(narrow):
    """A hundred submissions in the same seconds ask for the statistics once."""
    horizon = Horizon(narrow.ledger.url)
    prices = FeePrices(horizon, narrow.ledger.rules())
    await narrow.ledger.forget_requests()
    assert {await prices.first_bid(1) for _ in range(100)} == {100}
    await horizon.close()
    assert await narrow.ledger.requests_served() == {"GET /fee_stats": 1}
