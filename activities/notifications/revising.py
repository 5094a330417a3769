"""Brings messages up to date that were sent before something changed.

Slack's message then says how its request stands and offers nothing to press any more; PagerDuty's
incident is acknowledged or resolved. The step that changes a request marks its messages in the same
transaction, also one that is just being sent, and what changes again within seconds is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from activities.notifications.channels import (
    ChannelClient,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    Message,
    Revisable,
    Standing,
)
from activities.notifications.channels.base import TIME_LIMIT
from activities.notifications.digest import compose_together
from activities.notifications.facts import LONGEST_REASON, one_line
from activities.notifications.letter import Links
from activities.notifications.outcome import pause
from activities.notifications.standing import standing_of
from db.reads.records import requests_of
from db.session import Database
from db.writes import acks, revisions
from db.writes.notices import facts_of
from db.writes.revisions import SentMessage
from domain.ack import link_sha256
from domain.errors import Unavailable
from domain.records import DeliveryJob, RequestRecord

log = logging.getLogger("mintkeeper.relay")

BATCH = 40
"""Messages taken at a time; calls for all of them, however slow, end before the lease does."""

WIDTH = 20
"""Calls beside each other."""

LEASE_SECONDS = 60
MOST_ATTEMPTS = 6
FIRST_BACKOFF = timedelta(seconds=5)

DRAIN_SECONDS = TIME_LIMIT + 2
"""At the end calls under way may take so long; then their messages are left to the lease."""

LONGEST_NAP, SHORTEST_NAP = 3.0, 0.2
"""Seconds between two looks; nothing announces what is due."""

OPEN = Standing.OPEN

Tokens = list[tuple[str, int, str]]


@dataclass(frozen=True)
class Result:
    """What came of one message: done, to be tried `again_at`, or given up with a `note`."""

    message: SentMessage
    tokens: Tokens = field(default_factory=list)
    again_at: datetime | None = None
    note: str = ""


class Reviser:
    """Serves what is marked for revision in `database` over the clients that can change a message."""

    def __init__(self, database: Database, channels: Mapping[str, ChannelClient], links: Links) -> None:
        self._database = database
        self._channels = channels
        self._links = links
        self._stopping = asyncio.Event()
        self._width = asyncio.Semaphore(WIDTH)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs, then finish what is under way."""
        working = asyncio.create_task(self._work(), name="deliveries reviser")
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.wait([working], timeout=DRAIN_SECONDS)
            working.cancel()
            await asyncio.wait([working])

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                nap = await self._turn()
            except Unavailable as error:
                log.warning("messages wait for the database to be brought up to date: %s", error.message)
                nap = LONGEST_NAP
            except Exception:
                log.exception("bringing messages up to date failed, trying again")
                nap = LONGEST_NAP
            try:
                await asyncio.wait_for(self._stopping.wait(), nap)
            except TimeoutError:
                continue

    async def _turn(self) -> float:
        now = datetime.now(UTC)
        async with self._database.transaction() as tx:
            messages = await revisions.claim_due(tx, limit=BATCH, lease_seconds=LEASE_SECONDS, now=now)
            ids = {member.job.request_id for message in messages for member in message.members}
            records = {one.request.id: one for one in await requests_of(tx, sorted(ids))} if ids else {}
            due = None if messages else await revisions.next_due(tx)
        if messages:
            results = await asyncio.gather(*(self._revise(message, records) for message in messages))
            await self._settle(results)
            return SHORTEST_NAP
        wait = LONGEST_NAP if due is None else (due - now).total_seconds()
        return min(max(wait, SHORTEST_NAP), LONGEST_NAP)

    async def _revise(self, message: SentMessage, records: Mapping[str, RequestRecord]) -> Result:
        channel = self._channels.get(message.members[0].job.channel_kind)
        try:
            said, tokens = _compose(message, records, self._links)
            if isinstance(channel, Revisable) and said is not None:
                async with self._width:
                    await channel.revise(message.provider_id, said)
        except DeliveryRefused as error:
            return Result(message, note=one_line(error.message, LONGEST_REASON))
        except DeliveryError as error:
            return _again(message, error)
        except Exception as error:
            log.exception("a message can't be brought up to date")
            return Result(message, note=f"internal error ({type(error).__name__})")
        return Result(message, tokens)

    async def _settle(self, results: Sequence[Result]) -> None:
        async with self._database.transaction() as tx:
            done = [one for one in results if one.again_at is None and not one.note]
            await revisions.revised(tx, [one.message for one in done], datetime.now(UTC))
            if tokens := [token for one in done for token in one.tokens]:
                await acks.note_tokens(tx, tokens)
            for one in results:
                if one.again_at is not None:
                    await revisions.put_off(tx, one.message, one.again_at)
                elif one.note:
                    _tell(one)
                    await revisions.give_up(tx, one.message, f"not brought up to date: {one.note}")


def _again(message: SentMessage, error: DeliveryError) -> Result:
    if message.attempt >= MOST_ATTEMPTS:
        return Result(message, note=one_line(error.message, LONGEST_REASON))
    wait = FIRST_BACKOFF * 2 ** (message.attempt - 1)
    if isinstance(error, DeliveryFailed) and error.retry_after is not None:
        wait = pause(error.retry_after)
    return Result(message, again_at=datetime.now(UTC) + wait)


def _tell(result: Result) -> None:
    first = result.message.members[0].job
    extra = {"delivery_id": first.id, "request_id": first.request_id, "channel": first.channel}
    log.warning("a message stays as it was sent: %s", result.note, extra=extra)


def _compose(
    message: SentMessage, records: Mapping[str, RequestRecord], links: Links
) -> tuple[Message | None, Tokens]:
    """What the message has to say now, and the tokens in it; None: there is nothing to say."""
    members = [member for member in message.members if member.job.request_id in records]
    if not members:
        return None, []
    stands = {member.job.id: standing_of(records[member.job.request_id], member) for member in members}
    # what still waits can still be acknowledged: a digest keeps the links of the others
    ack_links = {
        member.job.id: links.acknowledge(member.job, datetime.now(UTC))
        if stands[member.job.id][0] is OPEN
        else ""
        for member in members
    }
    jobs = [_job_now(member.job, records, stands[member.job.id][1]) for member in members]
    said, _ = compose_together(jobs, links, ack_links)
    tokens = [(job.id, job.attempt, link_sha256(ack_links[job.id])) for job in jobs if ack_links[job.id]]
    return said and replace(said, standing=_furthest([stand for stand, _ in stands.values()])), tokens


def _job_now(job: DeliveryJob, records: Mapping[str, RequestRecord], standing: str) -> DeliveryJob:
    facts = {**facts_of(records[job.request_id]), "standing": standing}
    return job.model_copy(update={"kind": "revised", "facts": facts})


def _furthest(standings: list[Standing]) -> Standing:
    for standing in (Standing.OPEN, Standing.ACKNOWLEDGED):
        if standing in standings:
            return standing
    return Standing.CLOSED
