"""Which destinations asked for a pause, so that a thousand messages do not ask the same question.

A provider that limits one message limits those behind it too. They are given back untried until the
pause is over; from then on that destination gets its messages one at a time, since each of several
at once would meet the limit anew and use up its own patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from domain.records import DeliveryJob

ACCOUNT_WIDE = frozenset({"email"})
"""Kinds whose limit is the sender's own; the others limit each channel or chat."""

Destination = tuple[str, str]


class Holds:
    """What this relay has learned about destinations; another relay learns it by itself."""

    def __init__(self) -> None:
        self._until: dict[Destination, datetime] = {}
        self._turns: dict[Destination, asyncio.Lock] = {}

    def hold(self, job: DeliveryJob, until: datetime) -> None:
        """The job's destination asked for a pause."""
        destination = _destination(job)
        self._until[destination] = until
        self._turns.setdefault(destination, asyncio.Lock())

    def until(self, job: DeliveryJob, now: datetime) -> datetime | None:
        """When the destination's pause ends; None: there is none."""
        until = self._until.get(_destination(job))
        return until if until is not None and until > now else None

    @asynccontextmanager
    async def turn(self, job: DeliveryJob) -> AsyncIterator[None]:
        """Alone with a destination that once asked for a pause; at once with any other."""
        lock = self._turns.get(_destination(job))
        if lock is None:
            yield
        else:
            async with lock:
                yield


def _destination(job: DeliveryJob) -> Destination:
    if job.channel_kind in ACCOUNT_WIDE:
        return (job.channel_kind, "")
    # PagerDuty and webhooks have their address in the channel's settings
    return (job.channel_kind, job.target or f"{job.tenant}/{job.channel}")
