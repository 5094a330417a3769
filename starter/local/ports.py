"""Ports that a local stack keeps over restarts, so that a part comes back at the same address."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"
"""Everything local binds to loopback: the Temporal dev server has no authentication."""


def keep_ports(file: Path, names: list[str]) -> dict[str, int]:
    """Answer one port a name: the kept one if it is still free, else a new one, kept from now on."""
    kept: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    ports: dict[str, int] = {}
    with ExitStack() as held:
        for name in names:
            ports[name] = _hold(held, kept.get(name, 0))
    file.write_text(json.dumps(ports, indent=2) + "\n")
    return ports


def _hold(held: ExitStack, wanted: int) -> int:
    """Bind a port until `held` closes, so that no two names get the same one."""
    for port in (wanted, 0):
        listener = held.enter_context(socket.socket())
        # a port whose last connections are still in TIME_WAIT counts as free
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            continue
        return int(listener.getsockname()[1])
    msg = f"no free port on {HOST}"
    raise OSError(msg)
