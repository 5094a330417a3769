"""Ports that a local stack keeps over restarts, so that a part comes back at the same address."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from starter.local.layout import write_private

HOST = "127.0.0.1"
"""Everything local binds to loopback: the Temporal dev server has no authentication."""

_RANGE = range(20_000, 30_000)
"""Below the ports that systems give to outgoing connections: a client that keeps trying to reach a part
that is down would otherwise, sooner or later, be given the part's own port, and the part could not return."""

_TRIES = 200


def keep_ports(file: Path, names: list[str]) -> dict[str, int]:
    """Answer one port a name: the kept one if it is still free, else a new one, kept from now on."""
    kept: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    ports: dict[str, int] = {}
    with ExitStack() as held:
        for name in names:
            ports[name] = _hold(held, kept.get(name))
    write_private(file, json.dumps(ports, indent=2) + "\n")
    return ports


def _hold(held: ExitStack, wanted: int | None) -> int:
    """Bind a port until `held` closes, so that no two names get the same one; raises OSError."""
    for port in _candidates(wanted):
        listener = held.enter_context(socket.socket())
        # a port whose last connections are still in TIME_WAIT counts as free
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            continue
        return port
    msg = f"no free port on {HOST} between {_RANGE.start} and {_RANGE.stop}"
    raise OSError(msg)


def _candidates(wanted: int | None) -> Iterator[int]:
    if wanted is not None:
        yield wanted
    yield from random.SystemRandom().sample(_RANGE, _TRIES)
