"""A worker may die at any step, or two may work at once: one payment, or a proof and none."""

import asyncio

import pytest

from domain.submission import Outcome
from tests.support.minting import Minting, tried
from tests.support.mortal import Killed, Life, MortalDatabase, MortalHorizon

MOST_STEPS = 150
"""More than any of these runs takes, so that the loops below end."""

ROUNDS = 4


async def die_and_recover(
    minting: Minting, number: int, key: str = "", first_looks: float = 0.0, **rules
) -> tuple[Life, Outcome]:
    """Let a worker die at its step `number`; another one brings the request to its end."""
    request = await minting.approved(f"dies-at-{number}{key}")
    life = Life(number)
    doomed = minting.activities(
        horizon=MortalHorizon(minting.horizon, life),
        database=MortalDatabase(minting.database, life),
        rules=minting.ledger.rules(**rules),
        first_looks=first_looks,
    )
    before = len(await minting.ledger.payments())
    try:
        await minting.mint(request, doomed)
    except Killed:
        await minting.ledger.close()
    healthy = minting.activities(rules=minting.ledger.rules(**rules))
    result = await minting.mint(request, healthy)
    paid = len(await minting.ledger.payments()) - before
    assert paid == (1 if result.outcome is Outcome.CONFIRMED else 0), life.steps[-1]
    assert (await minting.record(request)).result == result
    assert set((await minting.channel_states()).values()) == {"FREE"}
    return life, result.outcome


async def die_everywhere(minting: Minting, often: dict[str, int], **options) -> set[Outcome]:
    """Die once at each step until a worker survives; returns how requests ended.

    Ledgers close at their own pace, so no run takes quite the steps of another. A round in which nobody died
    as `often` at a step as it has to be is followed by another one.
    """
    outcomes: set[Outcome] = set()
    for turn in range(ROUNDS):
        deaths = await _one_round(minting, f"-{turn}", outcomes, **options)
        if all(deaths.count(step) >= times for step, times in often.items()):
            return outcomes
    raise AssertionError(f"in {ROUNDS} rounds nobody died as often as {often}; in the last one at {deaths}")


async def _one_round(minting: Minting, key: str, outcomes: set[Outcome], **options) -> list[str]:
    deaths: list[str] = []
    for number in range(MOST_STEPS):
        life, outcome = await die_and_recover(minting, number, key, **options)
        outcomes.add(outcome)
        if not life.over:
            return deaths
        deaths.append(life.steps[number])
    raise AssertionError("no worker survived: the steps do not end")


@pytest.mark.parametrize("first_looks", [0.0, 60.0])
async def test_death_at_every_step_of_the_plain_path(minting, first_looks):
    """Wherever it dies, the next worker finds what is done and the holder is paid exactly once."""
    often = {
        "before commit": 2,
        "before send": 1,
        "after send": 1,
        "before transaction": 1,
        "after commit": 1,
    }
    assert await die_everywhere(minting, often, first_looks=first_looks) == {Outcome.CONFIRMED}


async def test_death_at_every_step_of_a_fee_bump(minting):
    """A bump that was stored but not sent, or sent but not noted, is neither lost nor doubled."""
    await minting.ledger.fault("surge_fee", fee_per_operation=5_000)
    # who knew the going price would bid it at once
    await minting.ledger.fault("unavailable", path="/fee_stats", count=10_000)
    assert await die_everywhere(minting, {"after send": 2}) == {Outcome.CONFIRMED}


async def test_death_at_every_step_of_a_proof(minting):
    """Dying while proving leaves the proof to the next worker, and never a payment."""
    await minting.ledger.fault("timeout_never_land", count=10_000)
    outcomes = await die_everywhere(minting, {"after account": 3}, window_seconds=15)
    assert outcomes == {Outcome.TIMEOUT_FAILED}


@pytest.mark.parametrize(
    "kind", ["none", "drop_after_accept", "timeout_then_land", "ingestion_lag", "surge_fee"]
)
async def test_two_workers_at_once_pay_once(minting, kind):
    """Both may sign, but only the envelope stored first is ever sent."""
    if kind != "none":
        await minting.ledger.fault(kind)
    for number in range(3):
        request = await minting.approved(f"both-{number}")
        # different windows make different envelopes, of which only the stored one may be on the ledger
        windows = (3600, 3000)
        workers = [minting.activities(rules=minting.ledger.rules(window_seconds=each)) for each in windows]
        results = await asyncio.gather(*(minting.mint(request, worker) for worker in workers))
        assert results[0] == results[1]
        assert results[0].outcome is Outcome.CONFIRMED
    await minting.ledger.clear_faults()
    await minting.ledger.close(3)
    assert len(await minting.ledger.payments()) == 3


async def test_two_workers_prove_the_same_time_out(minting):
    """The first conclusion stands; the other worker answers it."""
    await minting.ledger.fault("timeout_never_land", count=10_000)
    request = await minting.approved()
    workers = [minting.hurried() for _ in range(2)]
    results = await asyncio.gather(*(minting.mint(request, worker) for worker in workers))
    assert results[0] == results[1] == (await minting.record(request)).result
    assert results[0].outcome is Outcome.TIMEOUT_FAILED


async def test_a_worker_that_wakes_up_late_does_no_harm(minting):
    """It slept between storing and sending; meanwhile the envelope was proved dead and stays dead."""
    request = await minting.approved()
    await minting.ledger.fault("timeout_never_land", count=1)
    await minting.submit(request)
    stored = (await minting.record(request)).submission
    await minting.ledger.close(seconds=3601)
    proved = await tried(lambda: minting.settle(request))
    follower = await minting.approved("follower")
    result = await minting.mint(follower)
    await minting.horizon.send(stored.envelope_xdr)
    await minting.ledger.close(2)
    assert (proved.outcome, result.outcome) == (Outcome.TIMEOUT_FAILED, Outcome.CONFIRMED)
    assert len(await minting.ledger.payments()) == 1
