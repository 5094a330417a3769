"""The clock that closes ledgers when nobody does it by hand."""

from __future__ import annotations

import asyncio
import time

from sandbox.ledger.node import Node

_GATHER_SECONDS = 0.02
_IDLE_SECONDS = 1.0


def _close_now(node: Node) -> None:
    """Close at the present second, or one second after the last ledger if that is later."""
    if node.faults.find("stop_closing") is None:
        node.close(max(int(time.time()), node.chain.last.closed_at + 1))


async def run_clock(node: Node) -> None:
    """Close ledgers until cancelled: every ``interval`` seconds, with 0 as soon as something waits.

    Where ledgers are closed by hand, it does nothing but wait to be cancelled.
    """
    if node.options.manual_close:
        await asyncio.Event().wait()
    interval = node.options.interval
    if node.chain.last.sequence == 1:
        _close_now(node)
    due = time.monotonic()
    while True:
        if interval > 0:
            # Ledgers missed while the process was held up are not made up for.
            due = max(due + interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
        else:
            await _wait_for_work(node)
        _close_now(node)


async def _wait_for_work(node: Node) -> None:
    """Until something waits and had a moment for company, at most a second."""
    try:
        await asyncio.wait_for(node.work.wait(), _IDLE_SECONDS)
    except TimeoutError:
        return
    await asyncio.sleep(_GATHER_SECONDS)
    if node.faults.find("stop_closing") is not None:
        node.work.clear()
