"""How well channel accounts are used, and what a mint costs Horizon, with 100 requests always in flight.

The network allows a channel account one transaction a ledger; a public Horizon allows 3,600 requests an hour.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.desk import Desk, open_desk
from domain.mint_request import MintStatus
from starter.local.stack import StackOptions, running_stack

IN_FLIGHT = 100
WARM_UP_LEDGERS = 2
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class ChannelUse:
    """`per_channel_and_ledger` is 1 at best; `horizon_requests_per_mint` counts those of all parts."""

    channels: int
    ledger_seconds: float
    ledgers: int
    mints: int
    per_channel_and_ledger: float
    horizon_requests_per_mint: float
    horizon_requests: dict[str, int]


async def measure(directory: Path, channels: int, ledger_seconds: float, ledgers: int) -> dict[str, object]:
    """Keep requests in flight on a stack of its own for so many ledgers; what the ledger shows of them."""
    options = StackOptions(directory, sla_scale=1, ledger_interval=ledger_seconds, channels=channels)
    async with (
        running_stack(options) as stack,
        open_desk(stack, directory) as desk,
        httpx.AsyncClient(base_url=stack.addresses.horizon_url) as horizon,
        _in_flight(desk),
    ):
        first = await _newest(horizon) + WARM_UP_LEDGERS
        await _until(horizon, first)
        before = await _requests(horizon)
        await _until(horizon, first + ledgers)
        after = await _requests(horizon)
        mints = await _mints(horizon, first + 1, first + ledgers)
    asked = {route: count for route, count in (after - before).items() if count}
    return asdict(
        ChannelUse(
            channels=channels,
            ledger_seconds=ledger_seconds,
            ledgers=ledgers,
            mints=mints,
            per_channel_and_ledger=round(mints / (channels * ledgers), 3),
            horizon_requests_per_mint=round(sum(asked.values()) / max(mints, 1), 2),
            horizon_requests=asked,
        )
    )


@asynccontextmanager
async def _in_flight(desk: Desk) -> AsyncIterator[None]:
    """Clients that submit, approve and wait for the end, one request after the other."""
    clients = [asyncio.create_task(_client(desk)) for _ in range(IN_FLIGHT)]
    try:
        yield
    finally:
        for client in clients:
            client.cancel()
        ends = await asyncio.gather(*clients, return_exceptions=True)
        broken = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
        if broken:
            raise RuntimeError(f"{len(broken)} clients failed: {broken[0]!r}")


async def _client(desk: Desk) -> None:
    while True:
        [order] = await desk.orders(1)
        handle = await desk.submit(order)
        await desk.approve(order.request)
        result = await handle.result()
        if result.status is not MintStatus.CONFIRMED:
            raise RuntimeError(f"{order.request.id} ended {result.status}: {result.reason}")


async def _until(horizon: httpx.AsyncClient, ledger: int) -> None:
    while await _newest(horizon) < ledger:  # noqa: ASYNC110 - another process closes ledgers
        await asyncio.sleep(LOOK_SECONDS)


async def _newest(horizon: httpx.AsyncClient) -> int:
    """The newest ledger, by a route that does not count as a question to Horizon."""
    return int((await horizon.get("/sandbox/stats")).json()["newest_ledger"])


async def _requests(horizon: httpx.AsyncClient) -> Counter[str]:
    return Counter((await horizon.get("/sandbox/stats")).json()["requests"])


async def _mints(horizon: httpx.AsyncClient, first: int, last: int) -> int:
    """Payments in these ledgers: nothing else pays on a stack of its own."""
    pages = [await horizon.get(f"/ledgers/{ledger}") for ledger in range(first, last + 1)]
    return sum(page.json()["operation_count"] for page in pages)
