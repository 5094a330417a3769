"""Hands the rows of the outbox to the providers.

Whoever changes a request writes its messages into `deliveries` in the same transaction; the relay
is the one reader of that outbox. It is a loop beside the Temporal workers and no activity of
theirs, for one reason: a thousand reminders may fall due in the same second and have to be with
their providers within five, on two cores, and an activity a message spends that time on its own
bookkeeping. Nothing is lost by it, since durability is in the rows: one that is claimed carries a
lease, relays beside each other skip what another holds, and what a killed relay held is taken over
when its lease ends, as a message that may or may not have been sent.

No row is held while it waits for a retry: the moment of the next attempt is stored and the row let
go. What to do after which answer is in `outcome`, one attempt in `sending`, the writing of results
in `recorder`, how the loop hears of new rows in `wakeup`, what happens to a message that is given up in
`fallback`, and to one that says what is no longer so in `revising`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from activities.notifications import outcome
from activities.notifications.asking import Asker
from activities.notifications.buckets import admit
from activities.notifications.channels import ChannelClient
from activities.notifications.channels.base import TIME_LIMIT
from activities.notifications.fallback import give_up_exhausted
from activities.notifications.letter import Links
from activities.notifications.recorder import Recorder
from activities.notifications.revising import Reviser
from activities.notifications.sending import LEASE_SECONDS, Claimed, Sender
from activities.notifications.wakeup import Wakeup
from db.session import Database
from db.writes import deliveries, leases
from domain.ack import NO_AUTHORITY, Authority
from domain.errors import Unavailable
from domain.passes import SessionSecret
from domain.records import DeliveryJob

log = logging.getLogger("mintkeeper.relay")

BATCH = 100
"""Rows claimed by one statement."""

MOST_IN_FLIGHT = 300
"""Rows held at a time: enough to keep every lane full, few enough to leave some to other relays."""

FULL = 100
"""With so many rows of one kind of channel held, no more of it are claimed: its provider may be slow, and
the messages over the others must not wait for it."""

LONGEST_NAP = 3.0
"""Seconds after which the loop looks by itself, should the announcement of new rows get lost."""

SHORTEST_NAP = 0.1
"""Seconds between two looks: announcements come singly, rows are best claimed together."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts while the database is out of reach."""

DRAIN_SECONDS = TIME_LIMIT + 2
"""At the end calls under way may take so long; then their rows are left to the lease."""

LAST_WORDS_SECONDS = 5.0
"""At the end the results may take so long to be written; then they too are left to the lease."""


class Relay:
    """Serves the outbox of `database` over one client per kind of channel.

    Whoever built the clients closes them afterwards. `temporal_url` is the base of Temporal's
    own UI (empty: messages do not link to it) and `namespace` the one the workflows run in. `authority`
    signs the links by which recipients say "I am on it"; without keys there are none. Without `secret` no
    message with a one-time code can be sent.
    """

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, ChannelClient],
        *,
        public_url: str,
        temporal_url: str,
        namespace: str = "default",
        authority: Authority = NO_AUTHORITY,
        secret: SessionSecret | None = None,
    ) -> None:
        self._database = database
        links = Links(public_url, temporal_url, namespace, authority, secret)
        self._sender = Sender(channels, links, Asker(database))
        self._reviser = Reviser(database, channels, links)
        self._recorder = Recorder(database)
        self._wakeup = Wakeup(database.url)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._held: Counter[str] = Counter()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the block runs; then finish what is under way and give back the rest."""
        async with self._wakeup.listening(), self._reviser.running():
            claiming = asyncio.create_task(self._claim_for_ever(), name="deliveries relay")
            recording = asyncio.create_task(self._recorder.run(), name="deliveries recorder")
            try:
                yield
            finally:
                await self._drain(claiming, recording)

    async def _claim_for_ever(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            try:
                nap = await self._claim()
            except Unavailable as error:
                log.warning("deliveries wait for the database: %s", error.message)
                nap, pause = pause, min(2 * pause, LONGEST_PAUSE)
            except Exception:
                log.exception("claiming deliveries failed, trying again")
                nap, pause = pause, min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                await asyncio.sleep(SHORTEST_NAP)
            await self._wakeup.wait(nap)

    async def _claim(self) -> float:
        """Claim what is due and start on it; the seconds until there may be more."""
        room = min(BATCH, MOST_IN_FLIGHT - len(self._in_flight))
        if room <= 0:
            return LONGEST_NAP
        full = [kind for kind, held in self._held.items() if held >= FULL]
        now, since = datetime.now(UTC), time.monotonic()
        await give_up_exhausted(self._database, now)
        async with self._database.transaction() as tx:
            claimed = await deliveries.claim_due(
                tx, limit=room, lease_seconds=LEASE_SECONDS, now=now, full=full
            )
            together = _together(claimed)
            admitted, too_late = await admit(tx, together, now)
            again = [job.id for jobs in admitted for job in jobs if job.attempt > 1]
            doubtful = await leases.doubtful(tx, again) if again else frozenset()
            due = None if len(together) == room else await deliveries.next_due(tx, full)
        for job in too_late:
            self._recorder.add(outcome.dead(job, f"{job.channel} has no room before the run is over", now))
        for first, *others in admitted:
            in_doubt = any(job.id in doubtful for job in (first, *others))
            taken = Claimed(first, in_doubt, since, tuple(others))
            task = asyncio.create_task(self._deliver(taken), name=f"delivery {first.id}")
            self._in_flight.add(task)
            self._held[first.channel_kind] += 1
            task.add_done_callback(functools.partial(self._landed, first.channel_kind))
        if len(together) == room:
            return 0.0
        return LONGEST_NAP if due is None else min(max((due - now).total_seconds(), 0.0), LONGEST_NAP)

    async def _deliver(self, claimed: Claimed) -> None:
        # all of them at once, so that they are written in one transaction
        for said in await self._sender.deliver(claimed):
            self._recorder.add(said)

    def _landed(self, kind: str, task: asyncio.Task[None]) -> None:
        if len(self._in_flight) >= MOST_IN_FLIGHT or self._held[kind] == FULL:
            self._wakeup.set()
        self._in_flight.discard(task)
        self._held[kind] -= 1

    async def _drain(self, claiming: asyncio.Task[None], recording: asyncio.Task[None]) -> None:
        self._stopping = True
        self._sender.close()
        self._wakeup.set()
        await asyncio.wait([claiming], timeout=LAST_WORDS_SECONDS)
        claiming.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_SECONDS)
        tasks = {claiming, recording, *self._in_flight}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._recorder.flush()
        except (Unavailable, TimeoutError):
            log.warning("the last results of deliveries could not be written; their leases will end")


def _together(jobs: Sequence[DeliveryJob]) -> list[list[DeliveryJob]]:
    """The deliveries in their order, those that share one message beside each other."""
    found: dict[tuple[object, ...], list[DeliveryJob]] = defaultdict(list)
    for job in jobs:
        found[job.merges_with].append(job)
    return list(found.values())
