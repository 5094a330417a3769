"""Verifies a tenant's chain while the server goes on: page by page, in a thread, within a time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final

from db import reads
from db.session import Database
from domain.audit import GENESIS_HASH, AuditHead
from domain.proven_decisions import DecisionsReport, verify_whole
from domain.records import AuditEvent

PAGE: Final = 1000
LONGEST: Final = 120.0
"""Seconds after which a verification gives up: the exported file has no such limit."""


@dataclass(frozen=True)
class Verification:
    """What was found; `events` were sound, `fault` is what is wrong with the next one.

    `decisions` is None where the chain is broken: nothing is known of them then. `given_up`: out of time.
    """

    head: AuditHead
    events: int
    fault: str | None = None
    decisions: DecisionsReport | None = None
    given_up: bool = False

    @property
    def is_sound(self) -> bool:
        """The whole chain is intact, and every decision proven."""
        return self.decisions is not None and not self.decisions.faults


class _TooLong(Exception):
    """The time is over."""


@dataclass
class _Reader:
    """Reads the chain for a thread, on the server's own loop, which waits for nothing meanwhile."""

    database: Database
    head: AuditHead
    loop: asyncio.AbstractEventLoop
    ends: float = field(default_factory=lambda: time.monotonic() + LONGEST)
    read: int = 0

    def events(self) -> Iterator[AuditEvent]:
        """Up to the head, which is the end however much comes meanwhile."""
        seq = 0
        while seq < self.head.seq:
            if time.monotonic() > self.ends:
                raise _TooLong
            coroutine = page_of(self.database, self.head, seq)
            page = asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()
            if not page:
                return
            yield from page
            seq = self.read = page[-1].seq


async def head_of(database: Database, tenant: str) -> AuditHead:
    """The newest link of a tenant's chain, as the database says."""
    async with database.transaction() as tx:
        head = await reads.audit_head(tx, tenant)
    return head or AuditHead(tenant=tenant, seq=0, hash=GENESIS_HASH)


async def page_of(database: Database, head: AuditHead, after: int) -> list[AuditEvent]:
    """The next events, none behind the head; no connection is held from one page to the next."""
    async with database.transaction() as tx:
        return await reads.audit_events(tx, head.tenant, after, min(PAGE, max(head.seq - after, 0)))


async def exported(database: Database, head: AuditHead) -> AsyncIterator[str]:
    """The chain up to the head as `mintkeeper audit export` writes it, in pieces."""
    after = 0
    while page := await page_of(database, head, after):
        yield "".join(f"{event.model_dump_json()}\n" for event in page)
        after = page[-1].seq


async def verify(database: Database, tenant: str) -> Verification:
    """What `mintkeeper audit verify` checks, and that the chain ends with the database's head."""
    head = await head_of(database, tenant)
    reader = _Reader(database, head, asyncio.get_running_loop())
    try:
        return await asyncio.to_thread(_verify, reader)
    finally:
        # a server that stops cancels this, but not the thread, for which it would wait
        reader.ends = -math.inf


def _verify(reader: _Reader) -> Verification:
    try:
        chain, decisions = verify_whole(reader.events(), reader.head)
        return Verification(reader.head, chain.events, chain.fault, decisions)
    except _TooLong:
        return Verification(reader.head, reader.read, given_up=True)
