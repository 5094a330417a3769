"""``python -m sandbox.ledger``: the sandbox ledger alone, until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.ledger.rules import MAX_LEDGER_OPERATIONS
from sandbox.ledger.server import SandboxOptions, serve

DEFAULT_NETWORK = "Standalone Network ; February 2017"


def parse(arguments: Sequence[str] | None = None) -> SandboxOptions:
    """Options from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.ledger", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--network-passphrase", default=DEFAULT_NETWORK)
    parser.add_argument(
        "--interval", type=float, default=1.0, help="seconds between ledgers, 0 closes at once"
    )
    parser.add_argument("--manual-close", action="store_true", help="close only on POST /sandbox/close")
    parser.add_argument("--queue-rule", choices=("one", "many"), default="one")
    parser.add_argument(
        "--ledger-capacity", type=int, default=MAX_LEDGER_OPERATIONS, help="operations a ledger takes"
    )
    parser.add_argument("--data", type=Path, help="SQLite file to keep the ledger in")
    return SandboxOptions(**vars(parser.parse_args(arguments)))


async def _run(options: SandboxOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(options, lambda url: print(url, flush=True), stop)  # noqa: T201  (what the caller waits for)


if __name__ == "__main__":
    asyncio.run(_run(parse()))
    sys.exit(0)
