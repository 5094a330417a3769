"""Which of the claimed deliveries their channels have room for now.

A channel with a rate has a token bucket that all relays share. What is claimed while it is empty gets
a moment of its own and is put off until then; when that comes it is claimed again and needs nothing
more, so each row waits once, in the order in which the rows came. Messages of a policy's last stage
go before those that already wait: they change places with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from db.session import Transaction
from db.writes import buckets
from domain.channels import Rate
from domain.records import DeliveryJob

GRACE = timedelta(seconds=10)
"""A moment is good for so long. Were it good for ever, all that a stopped relay missed would go at once."""

Slots = list[tuple[str, datetime]]


async def admit(
    tx: Transaction, messages: Sequence[Sequence[DeliveryJob]], now: datetime
) -> list[Sequence[DeliveryJob]]:
    """Those of the just claimed messages that may go now, in their order; the others are put off.

    A message is the deliveries that share it; the first of them takes the turn for all.
    """
    jobs = [message[0] for message in messages]
    limited = sorted((job for job in jobs if Rate.of(job.settings)), key=_channel)
    put_off: set[str] = set()
    # always in the same order of channels, so that two relays can't wait for each other
    for (tenant, channel), group in groupby(limited, key=_channel):
        put_off |= await _admit_to(tx, tenant, channel, list(group), now)
    for first, *others in messages:
        if others and first.id in put_off:
            await buckets.follow(tx, first.id, [job.id for job in others])
    return [message for message in messages if message[0].id not in put_off]


async def _admit_to(
    tx: Transaction, tenant: str, channel: str, jobs: Sequence[DeliveryJob], now: datetime
) -> set[str]:
    rate = Rate.of(jobs[0].settings)
    turns = await buckets.turns(tx, [job.id for job in jobs])
    in_need = [turn for job in jobs if not _has_room(turn := turns[job.id], now)]
    if rate is None or not in_need:
        return set()
    in_need.sort(key=lambda turn: not turn.last_stage)
    free_at = await buckets.lock_bucket(tx, tenant, channel, now)
    slots: Slots = []
    for turn in in_need:
        slot, free_at = rate.take(free_at, now)
        slots.append((turn.id, slot))
    await buckets.advance_bucket(tx, tenant, channel, free_at)
    urgent = sum(turn.last_stage for turn in in_need)
    slots = await _overtake(tx, tenant, channel, slots, urgent, now)
    await buckets.take(tx, [(id, slot) for id, slot in slots if slot <= now])
    later = [(id, slot) for id, slot in slots if slot > now]
    await buckets.put_off(tx, later)
    return {id for id, _ in later}


def _has_room(turn: buckets.Turn, now: datetime) -> bool:
    return turn.slot_at is not None and not turn.used and turn.slot_at <= now <= turn.slot_at + GRACE


async def _overtake(
    tx: Transaction, tenant: str, channel: str, slots: Slots, urgent: int, now: datetime
) -> Slots:
    """The slots once the first `urgent` of them have changed places with rows that wait for earlier ones."""
    late = [number for number in range(urgent) if slots[number][1] > now]
    if not late:
        return slots
    moved: Slots = []
    waiting = await buckets.waiting(tx, tenant, channel, now, len(late))
    for number, (other, earlier) in zip(late, waiting, strict=False):
        id, slot = slots[number]
        if earlier < slot:
            slots[number] = (id, earlier)
            moved.append((other, slot))
    await buckets.move(tx, moved)
    return slots


def _channel(job: DeliveryJob) -> tuple[str, str]:
    return (job.tenant, job.channel)
