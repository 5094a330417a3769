"""One claimed delivery, from its turn in the lane to what came of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from activities.notifications import outcome
from activities.notifications.channels import (
    ChannelClient,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
    Message,
)
from activities.notifications.channels.base import TIME_LIMIT
from activities.notifications.holds import Holds
from activities.notifications.letter import Links, compose
from activities.notifications.outcome import Outcome
from domain.ack import link_sha256
from domain.errors import MintkeeperError
from domain.records import DeliveryJob

log = logging.getLogger("mintkeeper.relay")

LEASE_SECONDS = 60
"""How long a claimed row is ours. A relay that dies leaves its rows to the others after that."""

LATEST_START = LEASE_SECONDS - 1.5 * TIME_LIMIT
"""Seconds after the claim from which no call may begin: it could outlast the lease."""

FRESH_SECONDS = 1.0
"""For so long it is believed that a message is wanted; after that it is asked again."""

# SendGrid's client blocks a thread; the event loop's pool has as few as five.
WIDTHS = {"email": 4}
WIDTH = 20
"""Calls at a time to one kind of channel."""

Look = Callable[[str], Awaitable[str]]
"""Why nobody needs the delivery of that id any more, empty if somebody does; may raise Unavailable."""


@dataclass(frozen=True)
class Claimed:
    """A delivery that is ours until its lease ends; `doubtful`: an earlier attempt lost its answer."""

    job: DeliveryJob
    doubtful: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self.since


class Sender:
    """Sends over the clients, a bounded number of calls at a time to each kind of channel."""

    def __init__(self, channels: Mapping[str, ChannelClient], links: Links, look: Look) -> None:
        self._channels = channels
        self._links = links
        self._look = look
        self._lanes = {kind: asyncio.Semaphore(WIDTHS.get(kind, WIDTH)) for kind in channels}
        self._holds = Holds()
        self._closed = False

    def close(self) -> None:
        """Let calls under way finish and begin no other: what still waits is given back."""
        self._closed = True

    async def deliver(self, claimed: Claimed) -> Outcome:
        """Wait for a free lane, then send, skip or give back."""
        job = claimed.job
        lane = self._lanes.get(job.channel_kind)
        if lane is None:
            error = f"no client for the channel kind {job.channel_kind!r} of channel {job.channel!r}"
            return outcome.dead(job, error, _now())
        async with self._holds.turn(job), lane:
            if self._closed or claimed.age > LATEST_START:
                return outcome.given_back(job, _now())
            if held_until := self._holds.until(job, _now()):
                return outcome.given_back(job, _now(), held_until)
            try:
                why = await self._why_pointless(claimed)
            except (MintkeeperError, SQLAlchemyError):
                return outcome.given_back(job, _now())
            if why:
                return outcome.skipped(job, why, _now())
            return await self._send(claimed, self._channels[job.channel_kind])

    async def _why_pointless(self, claimed: Claimed) -> str:
        """Why nobody needs the message any more; empty: somebody does."""
        if claimed.age <= FRESH_SECONDS:
            return claimed.job.unwanted
        return await self._look(claimed.job.id)

    async def _send(self, claimed: Claimed, channel: ChannelClient) -> Outcome:
        job = claimed.job
        try:
            # a token must never reach a log, and some channels are one
            ack_link = "" if channel.in_log else self._links.acknowledge(job, _now())
            message = compose(job, self._links, ack_link)
        except Exception as error:  # noqa: BLE001 - whatever a template raises, another attempt raises again
            return outcome.dead(job, f"cannot be rendered: {type(error).__name__}: {error}", _now())
        said = await self._hand_over(claimed, channel, message)
        return replace(said, ack_sha256=link_sha256(ack_link))

    async def _hand_over(self, claimed: Claimed, channel: ChannelClient, message: Message) -> Outcome:
        job = claimed.job
        try:
            return outcome.accepted(job, await channel.send(message), _now())
        except DeliveryError as error:
            if isinstance(error, DeliveryFailed) and error.retry_after is not None:
                self._holds.hold(job, _now() + outcome.pause(error.retry_after))
            return outcome.after_error(job, error, _now(), doubtful=claimed.doubtful)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it, so nobody knows what was sent
            lost = DeliveryAmbiguous(f"internal error in {job.channel_kind} ({type(error).__name__})")
            return outcome.after_error(job, lost, _now(), doubtful=claimed.doubtful)


def _now() -> datetime:
    return datetime.now(UTC)
