"""Finding a running local stack by its `stack.json`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starter.requests import Wanted

STACK_FILE = "stack.json"


@dataclass(frozen=True)
class Stack:
    """What `stack.json` says about a stack that is alive."""

    temporal_address: str
    temporal_namespace: str
    temporal_ui_url: str
    web_url: str
    horizon_url: str
    network_passphrase: str
    database_url: str
    providers_url: str
    sla_scale: int = 1
    demo: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def tenant(self) -> str:
        """The demo tenant."""
        return self.demo.get("tenant", "acme")

    def fill(self, wanted: Wanted) -> Wanted:
        """Put the demo's accounts in place of the words `CODE:ISSUER` and `DESTINATION`."""
        code, _, issuer = wanted.asset.partition(":")
        return replace(
            wanted,
            asset=f"{code}:{self.demo.get('issuer')}" if issuer == "ISSUER" else wanted.asset,
            destination=self.demo.get("destination", "")
            if wanted.destination == "DESTINATION"
            else wanted.destination,
        )

    def alive(self) -> bool:
        """Tell whether any part of the stack still runs; a file may outlive its stack."""
        return any(_runs(pid) for pid in self.pids.values())

    def overlay(self) -> dict[str, Any]:
        """The settings that the stack replaces."""
        return {
            "database_url": self.database_url,
            "horizon_url": self.horizon_url,
            "network_passphrase": self.network_passphrase,
            "temporal_ui_url": self.temporal_ui_url,
            "public_url": self.web_url,
            "sla_scale": self.sla_scale,
        }


def read_stack(data_dir: Path) -> Stack | None:
    """The stack that runs in `data_dir`, or None: no file, an unreadable one, or nothing alive."""
    try:
        document = json.loads((data_dir / STACK_FILE).read_text(encoding="utf-8"))
        stack = Stack(**{name: document[name] for name in Stack.__dataclass_fields__ if name in document})
    except (OSError, ValueError, TypeError):
        return None
    return stack if stack.alive() else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
