"""Tells open pages what happens, as it happens.

One poller per process asks for the heads of the audit chains while somebody listens; the hot path neither
knows nor pays. The number of a chain's event is the event's id here, so that who was cut off gets what they
missed, in order and once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from db.reads import live as reads
from db.reads.live import Happened
from db.session import Database
from domain.errors import MintkeeperError, Refused, Unavailable
from domain.sessions import Person
from web.background import Background

log = logging.getLogger("mintkeeper.live")

POLL_SECONDS: Final = 0.25
AGAIN_SECONDS: Final = 1.0
"""Pause while the database is out of reach."""

MOST_EACH: Final = 12
"""So many pages of one person are kept up to date at once."""

MOST_MISSED: Final = 1000
"""Who has missed more is told to load the page anew."""


@dataclass(frozen=True)
class Missed:
    """Something was left out: whatever the page shows may be old. It is right again up to `seq`."""

    seq: int


@dataclass(eq=False)
class Listener:
    """One open page; what it has not taken yet waits in `waiting`."""

    person: Person
    seq: int
    """The last that it was told, or that was not for it."""
    waiting: asyncio.Queue[Happened | Missed | None] = field(
        default_factory=lambda: asyncio.Queue(MOST_MISSED)
    )

    def tell(self, event: Happened) -> None:
        """Let it know, if it may; who does not keep up is told that something was left out."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        if not concerns(self.person, event):
            return
        if self.waiting.full():
            self.miss(event.seq)
        else:
            self.waiting.put_nowait(event)

    def miss(self, seq: int) -> None:
        """It was not told all up to there: that is all it needs to know."""
        self.seq = seq
        self._clear()
        self.waiting.put_nowait(Missed(seq))

    def end(self) -> None:
        """Nothing comes any more."""
        self._clear()
        self.waiting.put_nowait(None)

    def _clear(self) -> None:
        while not self.waiting.empty():
            self.waiting.get_nowait()


def concerns(person: Person, event: Happened) -> bool:
    """Tell whether it is about a request that the person may see; the tenant is right already."""
    return event.request_id is not None and (person.sees_all or event.requester == person.name)


class Hub:
    """Everybody of this process who listens."""

    def __init__(self, database: Database, background: Background) -> None:
        self._database = database
        self._background = background
        self._listeners: set[Listener] = set()
        self._told: dict[str, int] = {}
        """Up to where the listeners of each tenant have been told."""
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    def check_room(self, person: Person) -> None:
        """Raise Refused where the person has MOST_EACH pages open, Unavailable when the server stops."""
        if self._closed:
            raise Unavailable("the server is about to stop: try again in a moment")
        own = [one for one in self._listeners if _who(one.person) == _who(person)]
        if len(own) >= MOST_EACH:
            raise Refused(f"{MOST_EACH} pages of yours are kept up to date already: close some of them")

    @asynccontextmanager
    async def listen(self, person: Person, behind: int | None) -> AsyncIterator[Listener]:
        """Listen from now on, or from behind an event; raises as `check_room` does, and Unavailable."""
        self.check_room(person)
        listener = await self._caught_up(person, behind)
        # nothing may be awaited between having caught up and being told
        self._join(listener)
        try:
            yield listener
        finally:
            self._leave(listener)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for listener in self._listeners:
            listener.end()

    async def _caught_up(self, person: Person, behind: int | None) -> Listener:
        """A listener who has been told as much as those have who listen already."""
        async with self._database.transaction() as tx:
            head = await reads.audit_seq(tx, person.tenant)
        listener = Listener(person, head if behind is None else min(behind, head))
        if head - listener.seq > MOST_MISSED:
            listener.miss(head)
        # asked after every wait: meanwhile the others may have been told more
        while listener.seq < (until := max(head, self._told.get(person.tenant, 0))):
            missed = [] if behind is None else await self._happened(person.tenant, listener.seq, until)
            for event in missed:
                listener.tell(event)
            if not missed:
                listener.seq = until
        return listener

    async def _happened(self, tenant: str, behind: int, until: int) -> list[Happened]:
        async with self._database.transaction() as tx:
            return await reads.happened(tx, tenant, behind, until)

    def _join(self, listener: Listener) -> None:
        self._listeners.add(listener)
        self._told.setdefault(listener.person.tenant, listener.seq)
        if self._polling is None or self._polling.done():
            self._polling = self._background.start(self._poll())

    def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not any(one.person.tenant == listener.person.tenant for one in self._listeners):
            self._told.pop(listener.person.tenant, None)

    async def _poll(self) -> None:
        while self._listeners and not self._closed:
            pause = POLL_SECONDS
            try:
                await self._look()
            except MintkeeperError as error:
                log.warning("open pages are not told anything at the moment: %s", error.message)
                pause = AGAIN_SECONDS
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        async with self._database.transaction() as tx:
            for tenant, head in (await reads.audit_seqs(tx, list(self._told))).items():
                told = self._told.get(tenant, head)
                if head - told > MOST_MISSED:
                    self._skip(tenant, head)
                elif head > told:
                    self._tell(tenant, await reads.happened(tx, tenant, told, head))

    def _tell(self, tenant: str, events: Sequence[Happened]) -> None:
        # the last listener may have left while the events were read
        if tenant in self._told and events:
            self._told[tenant] = events[-1].seq
        for listener in self._of(tenant):
            for event in events:
                listener.tell(event)

    def _skip(self, tenant: str, head: int) -> None:
        if tenant in self._told:
            self._told[tenant] = head
        for listener in self._of(tenant):
            listener.miss(head)

    def _of(self, tenant: str) -> list[Listener]:
        return [one for one in self._listeners if one.person.tenant == tenant]


def _who(person: Person) -> tuple[str, str]:
    return person.tenant, person.name
