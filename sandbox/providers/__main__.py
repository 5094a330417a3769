"""`python -m sandbox.providers --port N`: the provider console alone, until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from domain.errors import MintkeeperError
from sandbox.providers.server import serve


def main() -> int:
    """Run until SIGINT or SIGTERM; 1 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.providers")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; a free one by default")
    try:
        asyncio.run(_run(parser.parse_args().port))
    except MintkeeperError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


async def _run(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(port, _say_ready, stop)


def _say_ready(url: str) -> None:
    sys.stderr.write(f"ready {url}\n")


if __name__ == "__main__":
    sys.exit(main())
