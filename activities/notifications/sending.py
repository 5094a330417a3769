"""Claimed deliveries, from their turn in the lane to what came of them."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from activities.notifications import outcome
from activities.notifications.asking import Asker
from activities.notifications.channels import (
    ChannelClient,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
    Message,
)
from activities.notifications.channels.base import TIME_LIMIT
from activities.notifications.digest import compose_together
from activities.notifications.holds import Holds
from activities.notifications.letter import Links
from activities.notifications.outcome import Outcome
from domain.ack import link_sha256
from domain.errors import MintkeeperError
from domain.records import DeliveryJob

log = logging.getLogger("mintkeeper.relay")

LEASE_SECONDS = 60
"""How long a claimed row is ours. A relay that dies leaves its rows to the others after that."""

LATEST_START = LEASE_SECONDS - 1.5 * TIME_LIMIT
"""Seconds after the claim from which no call may begin: it could outlast the lease."""

# SendGrid's client blocks a thread; the event loop's pool has as few as five.
WIDTHS = {"email": 4}
WIDTH = 20
"""Calls at a time to one kind of channel."""


@dataclass(frozen=True)
class Claimed:
    """A delivery that is ours until its lease ends, with `others` that share its one message.

    `doubtful`: an earlier attempt lost its answer. `since` is the moment before the claim.
    """

    job: DeliveryJob
    doubtful: bool = False
    since: float = field(default_factory=time.monotonic)
    others: tuple[DeliveryJob, ...] = ()

    @property
    def jobs(self) -> tuple[DeliveryJob, ...]:
        """All deliveries that share the message."""
        return (self.job, *self.others)

    @property
    def age(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self.since


class Sender:
    """Sends over the clients, a bounded number of calls at a time to each kind of channel."""

    def __init__(self, channels: Mapping[str, ChannelClient], links: Links, asker: Asker) -> None:
        self._channels = channels
        self._links = links
        self._asker = asker
        self._lanes = {kind: asyncio.Semaphore(WIDTHS.get(kind, WIDTH)) for kind in channels}
        self._holds = Holds()
        self._closed = False

    def close(self) -> None:
        """Let calls under way finish and begin no other: what still waits is given back."""
        self._closed = True

    async def deliver(self, claimed: Claimed) -> list[Outcome]:
        """Wait for a free lane, then send, skip or give back; one outcome for each delivery."""
        job = claimed.job
        lane = self._lanes.get(job.channel_kind)
        if lane is None:
            error = f"no client for the channel kind {job.channel_kind!r} of channel {job.channel!r}"
            return [outcome.dead(job, error, _now()) for job in claimed.jobs]
        with self._asker.waiting(claimed.jobs, claimed.since):
            async with self._holds.turn(job), lane:
                return await self._in_turn(claimed)

    async def _in_turn(self, claimed: Claimed) -> list[Outcome]:
        if held_until := self._holds.until(claimed.job, _now()):
            return [_put_off(job, held_until) for job in claimed.jobs]
        try:
            why = await self._asker.why_pointless(claimed.jobs)
        except (MintkeeperError, SQLAlchemyError):
            return _given_back(claimed)
        if why is None or self._closed or claimed.age > LATEST_START:
            return _given_back(claimed)
        pointless = [outcome.skipped(job, why[job.id], _now()) for job in claimed.jobs if why[job.id]]
        wanted = [job for job in claimed.jobs if not why[job.id]]
        if not wanted:
            return pointless
        return pointless + await self._send(
            wanted, claimed.doubtful, self._channels[claimed.job.channel_kind]
        )

    async def _send(
        self, jobs: Sequence[DeliveryJob], doubtful: bool, channel: ChannelClient
    ) -> list[Outcome]:
        """Send one message for all of `jobs`; what comes of it holds for each of them."""
        try:
            # a token must never reach a log, and some channels are one
            ack_links = {
                job.id: "" if channel.in_log else self._links.acknowledge(job, _now()) for job in jobs
            }
            links = replace(self._links, in_log=channel.in_log)
            message, broken = compose_together(jobs, links, ack_links)
        except Exception as error:  # noqa: BLE001 - whatever a template raises, another attempt raises again
            error_text = f"cannot be rendered: {type(error).__name__}: {error}"
            return [outcome.dead(job, error_text, _now()) for job in jobs]
        dead = [outcome.dead(job, broken[job.id], _now()) for job in jobs if job.id in broken]
        told = [job for job in jobs if job.id not in broken]
        if message is None:
            return dead
        # the one with most patience decides whether all of them are tried again
        first = max(told, key=lambda job: job.max_attempts - job.attempt)
        said = outcome.for_all(
            _without_codes(await self._hand_over(first, doubtful, channel, message), told, links), told
        )
        return dead + [_with_token(each, message, ack_links[each.job.id]) for each in said]

    async def _hand_over(
        self, job: DeliveryJob, doubtful: bool, channel: ChannelClient, message: Message
    ) -> Outcome:
        try:
            return outcome.accepted(job, await channel.send(message), _now())
        except DeliveryError as error:
            if isinstance(error, DeliveryFailed) and error.retry_after is not None:
                self._holds.hold(job, _now() + outcome.pause(error.retry_after))
            return outcome.after_error(job, error, _now(), doubtful=doubtful)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it, so nobody knows what was sent
            lost = DeliveryAmbiguous(f"internal error in {job.channel_kind} ({type(error).__name__})")
            return outcome.after_error(job, lost, _now(), doubtful=doubtful)


def _given_back(claimed: Claimed) -> list[Outcome]:
    return [outcome.given_back(job, _now()) for job in claimed.jobs]


def _put_off(job: DeliveryJob, until: datetime) -> Outcome:
    if outcome.comes_too_late(job, until):
        return outcome.dead(job, f"{job.channel} asks for a pause until {until:%Y-%m-%d %H:%M} UTC", _now())
    return outcome.given_back(job, _now(), until)


def _without_codes(said: Outcome, jobs: Sequence[DeliveryJob], links: Links) -> Outcome:
    """The outcome as it may be stored: a provider's error can repeat the message, and with it a code."""
    codes = [links.code(str(job.facts["code_id"])) for job in jobs if job.facts.get("code_id")]
    return replace(said, text=functools.reduce(lambda text, code: text.replace(code, "…"), codes, said.text))


def _with_token(said: Outcome, message: Message, ack_link: str) -> Outcome:
    """The outcome with the token that the message carried: a digest has no room for some."""
    beside = [*(message.blocks or ()), *message.ack_buttons]
    carried = ack_link and (ack_link in message.text or any(ack_link in str(part) for part in beside))
    return replace(said, ack_sha256=link_sha256(ack_link)) if carried else said


def _now() -> datetime:
    return datetime.now(UTC)
