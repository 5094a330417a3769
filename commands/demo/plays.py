"""The six plays: what happens to each request of the CSV file, and how it must end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from commands.demo.people import People
from domain.mint_request import MintRequest, MintStatus
from starter.requests import Wanted

_FAULT = "timeout_never_land"
_FAULT_COUNT = 1_000_000
"""More often than anybody sends before the time bound."""
_REMINDED, _ESCALATED = 1, 2


@dataclass
class Part:
    """One request of a play: how it must end, and what was done last."""

    request: MintRequest
    expected: MintStatus
    story: str
    news: str = "submitted"


@dataclass
class Theatre:
    """What the plays share."""

    people: People
    horizon_url: str
    tell: Callable[[Part], None]
    parts: list[Part] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What went otherwise than its play says."""
    ledger: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something is under way to it, so that the ledger that one play breaks hurts no other."""
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)
    """The play whose approval can't wait is over: the ledger may break now."""

    def add(self, request: MintRequest, expected: MintStatus, story: str) -> Part:
        """A new request enters."""
        part = Part(request, expected, story)
        self.parts.append(part)
        self.tell(part)
        return part

    def news(self, part: Part, text: str) -> None:
        """Something was done."""
        part.news = text
        self.tell(part)

    async def approve(self, part: Part, *approvers: str) -> None:
        """Approve, and wait for the ledger's word; the caller holds `ledger`."""
        signed = await self.people.approve(part.request, approvers)
        self.news(part, f"approved by {' and '.join(signed)}")
        await self.people.until_status(part.request, part.expected)
        self.news(part, f"ended as {part.expected}")


Play = Callable[[Theatre, Wanted], Awaitable[None]]


async def approved(theatre: Theatre, wanted: Wanted) -> None:
    """Approved at once by tier 1, and confirmed."""
    request = await theatre.people.submit(wanted)
    part = theatre.add(request, MintStatus.CONFIRMED, "approved at once")
    async with theatre.ledger:
        await theatre.approve(part, "alice", "carol")


async def reminded(theatre: Theatre, wanted: Wanted) -> None:
    """Nobody acts before the reminder, which also entitles tier 2: carol approves."""
    request = await theatre.people.submit(wanted)
    part = theatre.add(request, MintStatus.CONFIRMED, "reminded, then approved by tier 2")
    await theatre.people.until(request, lambda record: record.escalation_level >= _REMINDED)
    theatre.news(part, "tier 1 was reminded, tier 2 may decide")
    async with theatre.ledger:
        await theatre.approve(part, "carol", "alice")


async def taken_over(theatre: Theatre, wanted: Wanted) -> None:
    """Nobody acts before the escalation: carol of tier 2 claims the request and approves."""
    request = await theatre.people.submit(wanted)
    part = theatre.add(request, MintStatus.CONFIRMED, "escalated, taken over by tier 2")
    try:
        await theatre.people.until(request, lambda record: record.escalation_level >= _ESCALATED)
        await theatre.people.claim(request, "carol")
        theatre.news(part, "escalated; carol has claimed it")
        async with theatre.ledger:
            await theatre.approve(part, "carol", "alice")
    finally:
        theatre.taken_over.set()


async def expired(theatre: Theatre, wanted: Wanted) -> None:
    """Nobody acts at all; the request expires, is submitted again, approved and confirmed."""
    people = theatre.people
    request = await people.submit(wanted)
    part = theatre.add(request, MintStatus.EXPIRED, "forgotten until it expired")
    await people.until_status(request, MintStatus.EXPIRED)
    theatre.news(part, "expired: only a new request can mint now")
    # asked for again only when the ledger works: the new request has a deadline of its own
    async with theatre.ledger:
        again = await people.resubmit(wanted, request)
        second = theatre.add(again, MintStatus.CONFIRMED, f"re-submission of {request.track_number}")
        await theatre.approve(second, "alice", "carol")


async def rejected(theatre: Theatre, wanted: Wanted) -> None:
    """Rejected with a reason."""
    request = await theatre.people.submit(wanted)
    part = theatre.add(request, MintStatus.REJECTED, "rejected with a reason")
    await theatre.people.reject(request, "bob", "the invoice behind this request was paid already")
    await theatre.people.until_status(request, MintStatus.REJECTED)
    theatre.news(part, "rejected by bob")


async def timed_out(theatre: Theatre, wanted: Wanted) -> None:
    """Approved, but every gateway answer is a time-out and nothing lands: proved, never late."""
    await theatre.taken_over.wait()
    async with theatre.ledger:
        request = await theatre.people.submit(wanted)
        part = theatre.add(request, MintStatus.TIMEOUT_FAILED, "approved, but the ledger never takes it")
        async with _broken_ledger(theatre.horizon_url):
            await theatre.people.approve(request, ("alice", "carol"))
            theatre.news(part, "approved; waiting for its time bound")
            await theatre.people.until_status(request, MintStatus.TIMEOUT_FAILED)
    theatre.news(part, "proved: it can never land")


PLAYS: tuple[Play, ...] = (approved, reminded, taken_over, expired, rejected, timed_out)
"""In the order of the CSV file's rows."""


@asynccontextmanager
async def _broken_ledger(horizon_url: str) -> AsyncIterator[None]:
    """While the block runs, whatever is submitted meets a time-out and is lost."""
    async with httpx.AsyncClient(base_url=horizon_url, trust_env=False) as client:
        (
            await client.post("/sandbox/faults", json={"kind": _FAULT, "count": _FAULT_COUNT})
        ).raise_for_status()
        try:
            yield
        finally:
            await client.delete("/sandbox/faults", params={"kind": _FAULT})
