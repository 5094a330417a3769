"""Faults that can be switched on: what networks, gateways and lagging databases do to a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sandbox.ledger.outages import OUTAGES
from sandbox.ledger.rules import MAX_LEDGER_OPERATIONS
from sandbox.ledger.state import REMEMBERED_LEDGERS

# Happen to so many requests (`count`, default 1) and are over.
ONE_SHOT: Final = (
    "drop_after_accept",
    "timeout_then_land",
    "timeout_never_land",
    "try_again_later",
    "rate_limit",
    "reset",
    "unavailable",
    "problem",
)
# Last until they are deleted.
LASTING: Final = ("ingestion_lag", "surge_fee", "crowd", "stop_closing", "two_views")
_DEFAULTS: Final = {
    "count": 1,
    "after_ledgers": 1,
    "ledgers": 1,
    "operations": MAX_LEDGER_OPERATIONS,
    "fee_per_operation": 1000,
    "retry_after": 1,
}


class UnknownFaultError(ValueError):
    """What was asked for is no fault; the text says why."""


@dataclass(slots=True)
class Fault:
    """A fault that is switched on; ``count`` requests are left to suffer it, 0 means it lasts.

    ``after_ledgers`` and ``ledgers`` count ledgers, ``operations`` those of a crowd in every ledger,
    ``fee_per_operation`` is in stroops, ``retry_after`` in seconds, ``problem`` what is answered, ``path`` a
    prefix of the paths it applies to, ``since_ledger`` the newest ledger when it was switched on.
    """

    kind: str
    count: int
    after_ledgers: int
    ledgers: int
    operations: int
    fee_per_operation: int
    retry_after: int
    problem: str
    path: str
    since_ledger: int


class Faults:
    """The faults switched on at present, oldest first."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def add(self, wanted: Mapping[str, Any], ledger: int) -> Fault:
        """Switch a fault on.

        Raises:
            UnknownFaultError: unknown kind or field, or a value out of range.
        """
        kind = wanted.get("kind")
        if kind not in ONE_SHOT + LASTING:
            raise UnknownFaultError(f"kind must be one of {', '.join(ONE_SHOT + LASTING)}")
        unknown = set(wanted) - {"kind", "path", "problem", *_DEFAULTS}
        if unknown:
            raise UnknownFaultError(f"unknown field {', '.join(sorted(unknown))}")
        numbers = {name: _number(wanted, name) for name in _DEFAULTS}
        if kind in LASTING:
            numbers["count"] = 0
        if numbers["ledgers"] > REMEMBERED_LEDGERS:
            raise UnknownFaultError(f"ledgers must be at most {REMEMBERED_LEDGERS}")
        path = wanted.get("path", "/")
        if not isinstance(path, str) or not path.startswith("/"):
            raise UnknownFaultError("path must start with /")
        problem = wanted.get("problem", "service_unavailable")
        if problem not in OUTAGES:
            raise UnknownFaultError(f"problem must be one of {', '.join(OUTAGES)}")
        fault = Fault(kind=str(kind), problem=problem, path=path, since_ledger=ledger, **numbers)
        self._active.append(fault)
        return fault

    def find(self, kind: str) -> Fault | None:
        """The oldest active fault of a kind, left as it is."""
        return next((fault for fault in self._active if fault.kind == kind), None)

    def take(self, kind: str, path: str = "/") -> Fault | None:
        """The oldest active fault of a kind that applies to ``path``, used up by one."""
        for fault in self._active:
            if fault.kind == kind and path.startswith(fault.path):
                fault.count -= 1
                if fault.count == 0:
                    self._active.remove(fault)
                return fault
        return None

    def clear(self, kind: str | None = None) -> None:
        """Switch off all faults, or those of one kind."""
        self._active = [fault for fault in self._active if kind is not None and fault.kind != kind]

    def describe(self) -> list[dict[str, Any]]:
        """The active faults as plain values."""
        return [asdict(fault) for fault in self._active]


def _number(wanted: Mapping[str, Any], name: str) -> int:
    value = wanted.get(name, _DEFAULTS[name])
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnknownFaultError(f"{name} must be a whole number above 0")
    return value
