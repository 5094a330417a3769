"""A worker may die at any step between approval, ticket and mint, or two may work at once: one payment."""

import asyncio

from domain.submission import Outcome
from domain.tickets import TicketOutcome
from tests.stellar.test_death import die_everywhere


async def entries(ledger) -> dict[str, str]:
    """The data entries of the issuer."""
    return (await ledger.server.accounts().account_id(ledger.issuer.public_key).call())["data"]


async def test_death_at_every_step_between_ticket_and_mint(minting, ledger):
    """Wherever it dies, the next worker finds the ticket as it stands: each lands once, none stays."""
    await minting.allow(one_shot_ticket=True)
    often = {"before send": 1, "after send": 1, "after transaction": 1, "before commit": 3}
    assert await die_everywhere(minting, often) == {Outcome.CONFIRMED}
    assert await entries(ledger) == {}


async def test_two_workers_at_once_place_one_ticket(minting, ledger):
    """Both may sign one, but only the ticket stored first is ever sent, and so is the mint."""
    await minting.allow(one_shot_ticket=True)
    for number in range(2):
        request = await minting.approved(f"both-{number}")
        windows = (3600, 3000)
        workers = [minting.activities(rules=ledger.rules(window_seconds=each)) for each in windows]
        results = await asyncio.gather(*(minting.mint(request, worker) for worker in workers))
        assert results[0] == results[1]
        assert results[0].outcome is Outcome.CONFIRMED
    await ledger.close(3)
    assert len(await ledger.payments()) == 2
    assert await entries(ledger) == {}


async def test_two_workers_prove_the_same_lost_ticket(minting, ledger):
    """The first conclusion stands; the other worker finds the request failed by it."""
    await minting.allow(one_shot_ticket=True)
    await ledger.fault("timeout_never_land", count=10_000)
    request = await minting.approved()
    workers = [minting.hurried() for _ in range(2)]
    results = await asyncio.gather(*(minting.mint(request, worker) for worker in workers))
    record = await minting.record(request)
    assert results[0] == results[1] == record.result
    assert record.ticket.outcome is TicketOutcome.NEVER_LANDED
    assert await ledger.payments() == []


async def test_an_option_switched_while_two_workers_mint(minting, ledger):
    """One may have read it before, the other after: whichever is stored first, one payment lands."""
    for number in range(4):
        await minting.allow()
        request = await minting.approved(f"switched-{number}")
        workers = [minting.activities() for _ in range(2)]
        first = asyncio.create_task(minting.mint(request, workers[0]))
        await asyncio.sleep(0.01 * number)
        await minting.allow(one_shot_ticket=True)
        results = [await minting.mint(request, workers[1]), await first]
        assert results[0] == results[1]
        assert results[0].outcome is Outcome.CONFIRMED
    assert len(await ledger.payments()) == 4
    assert await entries(ledger) == {}
