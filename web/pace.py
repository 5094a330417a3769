"""How much one person may send to one request's workflow: it takes so many messages in its life.

Counted in each process, before anything is signed or sent; what a stranger sends never gets here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from domain.errors import AccessRefused
from domain.passes import AccessRefusal
from domain.sessions import Person

BURST: Final = 30
"""So much at once; more than any person has reason to."""

AGAIN_SECONDS: Final = 300.0
"""Then one more each time that so long has passed: some 300 a day, where a workflow takes 2,000 in all."""

MOST_KEPT: Final = 10_000
"""Persons and requests that are remembered; the one that was used longest ago is forgotten first."""


class Pace:
    """What is left to whom."""

    def __init__(self) -> None:
        self._left: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()

    def take(self, person: Person, request_id: str) -> None:
        """Count one message of a person to a request; raises AccessRefused when there were too many."""
        key, now = (person.tenant, person.name, request_id), time.monotonic()
        left, at = self._left.pop(key, (float(BURST), now))
        left = min(left + (now - at) / AGAIN_SECONDS, BURST)
        self._left[key] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._left) > MOST_KEPT:
            self._left.popitem(last=False)
        if left < 1:
            minutes = round(AGAIN_SECONDS / 60)
            raise AccessRefused(
                f"you have sent too much to this request: wait {minutes} minutes",
                AccessRefusal.TOO_MANY_TRIES,
            )
