"""`stack.json`: how everybody else finds a running local stack."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from starter.local.environment import Addresses
from starter.local.layout import DataDir, write_private
from starter.local.readiness import NAMESPACE


@dataclass(frozen=True)
class DemoWorld:
    """What the demo tenant mints with."""

    tenant: str
    issuer: str
    asset: str
    """`EURT:<issuer>`."""
    destination: str
    password: str
    """Of each of the demo tenant's people, to sign in with."""


def stack_document(
    addresses: Addresses, demo: DemoWorld, sla_scale: int, pids: dict[str, int]
) -> dict[str, object]:
    """The content: a promise to whoever reads it."""
    return {
        **asdict(addresses),
        "temporal_namespace": NAMESPACE,
        "sla_scale": sla_scale,
        "pids": pids,
        "demo": asdict(demo),
    }


def write_stack_file(data: DataDir, document: dict[str, object]) -> None:
    """Replace the file in one step; mode 0600, since a database URL can carry a password."""
    write_private(data.stack_file, json.dumps(document, indent=2) + "\n")
