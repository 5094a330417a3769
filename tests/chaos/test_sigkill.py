"""Workers that are killed with SIGKILL: exactly one payment, or a proved time-out; never late, never two."""

import asyncio
import random
import re
import signal
from datetime import datetime

from domain.approvals import Verdict
from domain.mint_request import TERMINAL, MintStatus
from domain.steps import SETTLE
from starter.decisions import send_signal
from tests.chaos import points
from tests.chaos.processes import PATIENCE, Crew, DoomedWorker, crew_of, kill
from tests.chaos.reckoning import reckon

WINDOW = 3600
"""Seconds of ledger time that nobody waits for: long enough for any machine, and jumped over where wanted."""

ANOTHER_AFTER = 3.0
"""Seconds after which one more request is sent to a worker that has not come to its point: the first may
have been held up by an earlier death."""

REQUESTS = 20
KILLS = 5
SEED = 20261122
SHORT_WINDOW = 10
"""Seconds of ledger time that an envelope may well outlive when its worker dies."""

LAST_BREATH = 0.1
"""Seconds that a worker has at most once the chosen number of its requests have ended."""


async def approved(desk, **changes):
    """Submit a request of an amount of its own and leave the approval with it, worker or not."""
    ticket = await desk.submit(amount=10_000_000 + len(desk.tickets), **changes)
    await send_signal(desk.client, ticket.id, Verdict.APPROVE, desk.sign(ticket, "alice"))
    return ticket


async def newest_close(desk) -> int:
    """Close time of the newest ledger, in Unix seconds."""
    page = await desk.ledger.server.ledgers().order(desc=True).limit(1).call()
    [ledger] = page["_embedded"]["records"]
    return int(datetime.fromisoformat(ledger["closed_at"]).timestamp())


async def jump(desk):
    """Let ledger time pass every bound there is."""
    at = await newest_close(desk) + WINDOW + 1
    (await desk.ledger.control.post("/sandbox/close", params={"at": at})).raise_for_status()


async def go_on(desk):
    """Let ledgers close again."""
    await desk.ledger.clear_faults()


async def until_settling(worker: DoomedWorker):
    """Wait until the worker is in `settle`, or has died."""
    while worker.returncode is None:
        if any(step.startswith(SETTLE) for step, _ in worker.steps):
            return
        await asyncio.sleep(0.02)


async def until_decided(desk, ticket):
    """Wait until the ledger has the stored envelope, or can never have it."""
    submission = (await desk.record(ticket)).submission
    async with asyncio.timeout(PATIENCE):
        while await newest_close(desk) <= submission.max_time:
            if any(paid["transaction_hash"] == submission.hash for paid in await desk.ledger.payments()):
                return
            await asyncio.sleep(0.05)


async def fall(desk, worker: DoomedWorker, release=None):
    """Let a worker serve until it has died at its point; returns the request that took it there, if one did.

    It gets a fresh request, and more if need be; `release` is called once one of them is in `settle`.
    """
    async with asyncio.timeout(PATIENCE):
        while worker.returncode is None:
            await approved(desk)
            if release is not None:
                await until_settling(worker)
                await release(desk)
            await worker.dead(ANOTHER_AFTER)
    assert worker.returncode == -signal.SIGKILL
    step, victim = worker.steps[-1]
    assert step == worker.point
    # the watcher belongs to no request
    return next((ticket for ticket in desk.tickets if ticket.handle.id == victim), None)


async def fall_at_each(desk, crew: Crew, places, *faults, release=None):
    """A worker for each point, one after the other, under these faults of the ledger."""
    for place in places:
        for fault in faults:
            await desk.ledger.fault(**fault)
        await fall(desk, await crew.doom(place), release)
        await desk.ledger.clear_faults()


def kinds(steps):
    """Steps without their place in an attempt: `submit` and `settle` share the looks and the proof."""
    return {re.sub(r"^(submit|settle)\.|(@\w+)?#\d+$", "", step) for step in steps}


async def test_sigkill_at_every_step_of_the_submission(desk, tmp_path):
    """Wherever workers die, each request is paid once and in time, or proved never to be paid."""
    async with crew_of(desk, tmp_path, WINDOW) as crew:
        unsent = await fall(desk, await crew.doom(points.UNSENT))
        await jump(desk)
        unheard = await fall(desk, await crew.doom(points.UNHEARD))
        await until_decided(desk, unheard)
        await jump(desk)
        lost = {"kind": "timeout_never_land", "count": 100_000}
        await fall_at_each(desk, crew, points.PROOF, lost, release=jump)
        await fall_at_each(desk, crew, points.RESENT, lost)
        await fall_at_each(desk, crew, points.SUBMIT)
        await fall_at_each(desk, crew, points.WATCHING)
        surge = {"kind": "surge_fee", "fee_per_operation": 5_000}
        # who knew the going price would bid it at once
        unpriced = {"kind": "unavailable", "path": "/fee_stats", "count": 100_000}
        await fall_at_each(desk, crew, points.DEARER, surge, unpriced)
        halt = {"kind": "stop_closing"}
        # an earlier request's ledger would tell the worker what it is to ask
        await fall_at_each(desk, crew, points.UNTOLD, halt)
        await fall_at_each(desk, crew, points.WAITING, halt)
        await fall_at_each(desk, crew, points.LANDED, halt, release=go_on)
        await crew.healthy()
        ends = await reckon(desk)
    assert (await desk.record(unsent)).status is MintStatus.TIMEOUT_FAILED
    assert ends[MintStatus.CONFIRMED] >= len(points.SUBMIT)
    died_at = {worker.point for worker in crew.doomed}
    taken = {step for worker in crew.doomed for step, _ in worker.steps}
    assert kinds(taken) <= kinds(died_at), "a step at which no worker has died"


async def until_ended(desk, tickets, count: int):
    """Wait until one of the requests has begun and so many have ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            records = [record for ticket in tickets if (record := await desk.record(ticket))]
            if records and sum(record.status in TERMINAL for record in records) >= count:
                return
            await asyncio.sleep(0.01)


async def test_sigkill_at_any_moment_under_load(desk, tmp_path):
    """Killed again and again with requests under way and a short window: paid once in time, or proved."""
    moments = random.Random(SEED)
    async with crew_of(desk, tmp_path, SHORT_WINDOW) as crew:
        for _ in range(KILLS):
            worker = await crew.healthy()
            batch = [await approved(desk) for _ in range(REQUESTS // KILLS)]
            await until_ended(desk, batch, moments.randrange(len(batch)))
            await asyncio.sleep(moments.uniform(0, LAST_BREATH))
            assert await kill(worker) == -signal.SIGKILL
        await crew.healthy()
        ends = await reckon(desk)
    assert ends.total() == REQUESTS


async def test_two_workers_serve_the_same_queues(desk, tmp_path):
    """Two healthy processes at once, each with a share of the work: every request is paid exactly once."""
    async with crew_of(desk, tmp_path, WINDOW) as crew:
        workers = {f"{(await crew.healthy()).pid}" for _ in range(2)}
        seen = set()
        async with asyncio.timeout(PATIENCE):
            while len(desk.tickets) < REQUESTS or seen != workers:
                batch = await asyncio.gather(*(approved(desk) for _ in range(REQUESTS // 2)))
                seen.update(*[await submitted_by(ticket) for ticket in batch])
        ends = await reckon(desk)
    assert ends == {MintStatus.CONFIRMED: len(desk.tickets)}


async def submitted_by(ticket):
    """Wait for the request's end; process ids of the workers that ran its activities."""
    await ticket.handle.result()
    history = await ticket.handle.fetch_history()
    starts = [event.activity_task_started_event_attributes for event in history.events]
    return {start.identity.partition("@")[0] for start in starts if start.identity}
