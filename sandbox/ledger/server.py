"""Running the sandbox ledger: as a coroutine, or for the length of an ``async with`` in a test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from sandbox.ledger.clock import run_clock
from sandbox.ledger.http.app import build_app
from sandbox.ledger.node import Node, SandboxOptions

__all__ = ["SandboxOptions", "running_sandbox", "serve"]

_HOST = "127.0.0.1"
_SHUTDOWN_SECONDS = 0.2


async def serve(options: SandboxOptions, on_ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set; ``on_ready`` gets the base URL once requests are answered.

    Raises:
        OSError: the port is taken.
        sqlite3.Error: the data file cannot be read or written.
        WrongNetworkError: the data file belongs to another network.
    """
    async with _running(options) as (base_url, clock):
        on_ready(base_url)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({stopped, clock}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if clock in done:
            clock.result()


@contextlib.asynccontextmanager
async def running_sandbox(options: SandboxOptions) -> AsyncIterator[str]:
    """A sandbox ledger that runs inside this process; gives its base URL. Raises as `serve`."""
    async with _running(options) as (base_url, _):
        yield base_url


@contextlib.asynccontextmanager
async def _running(options: SandboxOptions) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """The base URL, and the task that closes ledgers."""
    listener = socket.create_server((_HOST, options.port))
    base_url = f"http://{_HOST}:{listener.getsockname()[1]}"
    with contextlib.closing(listener):
        node = Node(options)
        runner = web.AppRunner(build_app(node, base_url), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        clock = asyncio.create_task(run_clock(node))
        try:
            yield base_url, clock
        finally:
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)
            await runner.cleanup()
            node.stop()
