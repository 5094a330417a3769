"""What happens to the message of a delivery that is given up: it goes over the next channel.

First come the stage's own channels after the one that failed, and around to those before it; then the
tenant's others. A channel is passed by when this stage's message is with that person (or group) over
it already, when it was tried in this chain, or when it can't reach them; so a chain ends. The people
behind a group are those of the stage's tiers. When nothing is left, the request's audit chain says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from activities.notifications.facts import one_line
from activities.notifications.outcome import Outcome
from db.reads.records import request as read_request
from db.reads.wanted import unwanted
from db.session import Database, Transaction
from db.writes import deliveries, fallbacks
from db.writes.fallbacks import DeadDelivery, Sibling, Substitute
from db.writes.routing import Channel, Person, Routing, routing
from domain.channels import GROUP_KINDS, IN_APP
from domain.errors import Unavailable
from domain.records import RequestRecord

log = logging.getLogger("mintkeeper.relay")

LONGEST_REASON = 200

_NEEDED = {"slack": "channel", "telegram": "chat_id", "webhook": "url"}


async def give_up(tx: Transaction, outcome: Outcome) -> None:
    """Let a delivery be dead, with what takes its place in the same transaction."""
    await fallbacks.hold_request(tx, outcome.job.id)
    await deliveries.dead(tx, id=outcome.job.id, error=outcome.text)
    await _replace(tx, outcome.job.id, outcome.at)


async def give_up_exhausted(database: Database, now: datetime) -> None:
    """The same for those whose last attempt was lost with its relay; each in a transaction of its own."""
    async with database.transaction() as tx:
        lost = await fallbacks.exhausted(tx, now)
    for id in lost:
        try:
            await _take_up(database, id, now, replaced=True)
        except Unavailable:
            raise
        except Exception:
            # one that nothing can replace must not keep all others from being sent
            log.exception("nothing can take the place of a message", extra={"delivery_id": id})
            await _take_up(database, id, now, replaced=False)


async def _take_up(database: Database, id: str, now: datetime, *, replaced: bool) -> None:
    async with database.transaction() as tx:
        await fallbacks.hold_request(tx, id)
        await fallbacks.give_up_exhausted(tx, id, now)
        if replaced:
            await _replace(tx, id, now)


async def _replace(tx: Transaction, id: str, at: datetime) -> None:
    dead = await fallbacks.dead_delivery(tx, id)
    if dead is None or (await unwanted(tx, [id]))[id]:
        return
    record = await read_request(tx, dead.request_id)
    if record is None:
        return
    tiers = dead.policy.stages[dead.stage].notify.tiers()
    people = await routing(tx, record.request, tiers)
    siblings = await fallbacks.of_same_stage(tx, id)
    found = Search(dead, siblings, people, at).substitutes()
    if found:
        await fallbacks.insert(tx, dead, found, note=_note(dead), inbox_text=_inbox_text(record), at=at)
        return
    to_group = dead.channel_kind in GROUP_KINDS
    told = [one for one in siblings if one.state != "dead" and (to_group or one.recipient == dead.recipient)]
    await fallbacks.note_unreached(tx, dead, [one.channel for one in told], at)
    log.error(
        "no channel is left for a message: somebody has to tell them",
        extra={
            "delivery_id": dead.id,
            "request_id": dead.request_id,
            "channel": dead.channel,
            "recipient": dead.recipient,
            "stage": dead.stage,
        },
    )


def _note(dead: DeadDelivery) -> str:
    return f"fallback for {dead.recipient} over {dead.channel} ({one_line(dead.error, LONGEST_REASON)})"


def _inbox_text(record: RequestRecord) -> str:
    return f"{record.status}: {record.request.summary}"


@dataclass(frozen=True)
class Search:
    """Looks for what can take the place of `dead` at `at`; `siblings` are all of its stage's message."""

    dead: DeadDelivery
    siblings: Sequence[Sibling]
    routing: Routing
    at: datetime

    def substitutes(self) -> list[Substitute]:
        """Messages over the first channel that can carry them; none: no channel is left."""
        tried = set(self._tried())
        for channel in self._order():
            if channel.name in tried:
                continue
            if found := [one for one in self._over(channel) if not self._is_told(one)]:
                return found
        return []

    def _order(self) -> list[Channel]:
        named = {channel.name: channel for channel in self.routing.channels}
        of_stage = sorted(set(self.dead.policy.stages[self.dead.stage].channels) & named.keys())
        after = [name for name in of_stage if name > self.dead.channel]
        before = [name for name in of_stage if name < self.dead.channel]
        others = sorted(named.keys() - set(of_stage))
        return [named[name] for name in after + before + others]

    def _tried(self) -> Iterator[str]:
        """The channels of this chain of fallbacks."""
        by_id = {sibling.id: sibling for sibling in self.siblings}
        link: Sibling | None = by_id.get(self.dead.id)
        while link is not None:
            yield link.channel
            link = by_id.get(link.fallback_of or "")

    def _over(self, channel: Channel) -> list[Substitute]:
        if channel.kind in GROUP_KINDS:
            needed = _NEEDED.get(channel.kind)
            reaches = needed is None or channel.settings.get(needed)
            # what leads are told in confidence does not go to a group of others
            return [self._to_group(channel)] if reaches and self.dead.kind != "stalled" else []
        return [
            self._to_person(channel, one) for one in self._people() if channel.kind == IN_APP or one.email
        ]

    def _people(self) -> Iterable[Person]:
        people = self.routing
        of_stage = people.recipients(self.dead.policy.stages[self.dead.stage].notify.tiers())
        wanted = people.leads if self.dead.kind == "stalled" else of_stage
        if self.dead.channel_kind in GROUP_KINDS:
            return wanted
        return [person for person in wanted if person.name == self.dead.recipient]

    def _to_group(self, channel: Channel) -> Substitute:
        recipient = channel.target or channel.name
        return Substitute(channel.name, channel.kind, channel.target, recipient, "UTC")

    def _to_person(self, channel: Channel, person: Person) -> Substitute:
        target = person.name if channel.kind == IN_APP else str(person.email)
        until = None if channel.kind == IN_APP else self._quiet_until(person)
        return Substitute(channel.name, channel.kind, target, person.name, person.time_zone, until)

    def _quiet_until(self, person: Person) -> datetime | None:
        # whoever was told already may be told at once; a member of a group may be asleep
        if self.dead.run_id is not None or person.name == self.dead.recipient:
            return None
        urgent_from = self.dead.policy.urgent_from(self.dead.closes_at, self.dead.sla_scale)
        return self.routing.deferred_until(self.at, urgent_from, person)

    def _is_told(self, one: Substitute) -> bool:
        wanted = (one.channel, one.recipient)
        return any(
            (told.channel, told.recipient) == wanted and told.state != "dead" for told in self.siblings
        )
