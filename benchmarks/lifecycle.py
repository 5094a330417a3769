"""Throughput of full lifecycles beside the bare workflow, in the same run on the same server.

A lifecycle is submit, signed approval, payment confirmed on the ledger. Its notices stay in-app: the
bare workflow has no counterpart to messages, and `lateness` measures those.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from benchmarks.bare import BARE_QUEUE
from benchmarks.desk import Desk, at_once
from db import reads
from db.writes import publication
from domain.escalation import EscalationPolicy
from domain.mint_request import MintStatus
from domain.steps import MintOrder
from settings import Settings
from starter.local.environment import part_environment

IN_FLIGHT = 50


@dataclass(frozen=True)
class Throughput:
    """Lifecycles per second; each figure is the median of the rounds."""

    lifecycles_per_second: float
    bare_per_second: float
    ratio: float
    ratios: list[float]
    events: int
    history_bytes: int


async def measure(desk: Desk, count: int, rounds: int) -> dict[str, object]:
    """Alternate rounds of bare workflows and full lifecycles; figures per second and their ratio."""
    mints, bares = [], []
    policy = await _quiet_policy(desk)
    async with _bare_worker(desk):
        await _bare_round(desk, count // 5)
        await _mint_round(desk, policy, count // 5)
        for _ in range(rounds):
            bares.append(await _bare_round(desk, count))
            mints.append(await _mint_round(desk, policy, count))
    ratios = [mint / bare for mint, bare in zip(mints, bares, strict=True)]
    events, size = await _history(desk)
    return asdict(
        Throughput(
            lifecycles_per_second=round(statistics.median(mints), 1),
            bare_per_second=round(statistics.median(bares), 1),
            ratio=round(statistics.median(ratios), 2),
            ratios=[round(ratio, 2) for ratio in ratios],
            events=events,
            history_bytes=size,
        )
    )


@asynccontextmanager
async def _bare_worker(desk: Desk) -> AsyncIterator[None]:
    env = part_environment(Settings(), desk.stack.addresses)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.bare", env=env)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _quiet_policy(desk: Desk) -> EscalationPolicy:
    """The default policy with its first notice in-app only, and a requester without an address."""
    async with desk.database.transaction() as tx:
        await tx.execute(text("UPDATE users SET email = NULL WHERE name = 'rita'"))
        default = await reads.current_policy(tx, desk.stack.demo.tenant)
        assert default is not None
        first = default.stages[0].model_copy(update={"channels": ["in-app"]})
        policy = default.model_copy(update={"id": "bench-quiet", "stages": [first, *default.stages[1:]]})
        await publication.publish_policy(tx, policy=policy, actor="bench", at=datetime.now(UTC))
    return policy


async def _bare_round(desk: Desk, count: int) -> float:
    async def one() -> None:
        handle = await desk.client.start_workflow(
            "Bare", "x", id=f"bare-{uuid.uuid4()}", task_queue=BARE_QUEUE, result_type=str
        )
        await handle.signal("go", "now")
        await handle.result()

    started = time.perf_counter()
    await at_once([one] * count, IN_FLIGHT)
    return count / (time.perf_counter() - started)


async def _mint_round(desk: Desk, policy: EscalationPolicy, count: int) -> float:
    orders = await desk.orders(count, policy)
    started = time.perf_counter()
    await at_once([functools.partial(_mint, desk, order) for order in orders], IN_FLIGHT)
    return count / (time.perf_counter() - started)


async def _mint(desk: Desk, order: MintOrder) -> None:
    handle = await desk.submit(order)
    await desk.approve(order.request)
    result = await handle.result()
    if result.status is not MintStatus.CONFIRMED:
        raise RuntimeError(f"{order.request.id} ended {result.status}: {result.reason}")


async def _history(desk: Desk) -> tuple[int, int]:
    """Events and bytes of one plain lifecycle's history, the budget of which is 40 and 24 KiB."""
    [order] = await desk.orders(1)
    await _mint(desk, order)
    history = await desk.client.get_workflow_handle(f"mint-{order.request.id}").fetch_history()
    return len(history.events), sum(event.ByteSize() for event in history.events)
