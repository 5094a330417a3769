"""Which of the claimed messages their channels have room for now.

A channel with a rate has a token bucket that all relays share. What is claimed while it is empty gets
a moment of its own and is put off until then; when that comes it is claimed again and needs nothing
more, so each message waits once, in the order in which they came. Messages of a policy's last stage
go before those that already wait: they change places with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from activities.notifications.outcome import comes_too_late
from db.session import Transaction
from db.writes import buckets
from db.writes.buckets import Turn
from domain.channels import Rate
from domain.records import DeliveryJob

GRACE = timedelta(seconds=10)
"""A moment is good for so long. Were it good for ever, all that a stopped relay missed would go at once."""

Together = Sequence[DeliveryJob]
"""Deliveries that go out as one message."""

Slots = list[tuple[str, datetime]]


async def admit(
    tx: Transaction, messages: Sequence[Together], now: datetime
) -> tuple[list[Together], list[DeliveryJob]]:
    """Those of the just claimed messages that may go now, in their order; the others are put off.

    Beside them the deliveries whose moment would come when their run is over: another channel has to tell.
    """
    limited = sorted((jobs for jobs in messages if Rate.of(jobs[0].settings)), key=_channel)
    put_off: Slots = []
    # always in the same order of channels, so that two relays can't wait for each other
    for (tenant, channel), group in groupby(limited, key=_channel):
        put_off += await _admit_to(tx, tenant, channel, [jobs[0] for jobs in group], now)
    if not put_off:
        return list(messages), []
    later = dict(put_off)
    held = [(job, later[jobs[0].id]) for jobs in messages if jobs[0].id in later for job in jobs]
    too_late = [job for job, slot in held if comes_too_late(job, slot)]
    await buckets.put_off(tx, [(job.id, slot) for job, slot in held if not comes_too_late(job, slot)])
    return [jobs for jobs in messages if jobs[0].id not in later], too_late


async def _admit_to(
    tx: Transaction, tenant: str, channel: str, jobs: Sequence[DeliveryJob], now: datetime
) -> Slots:
    """The moments of those that can't go now."""
    rate = Rate.of(jobs[0].settings)
    turns = await buckets.turns(tx, [job.id for job in jobs])
    in_need = [turn for job in jobs if not _has_room(turn := turns[job.id], now)]
    if rate is None or not in_need:
        return []
    in_need.sort(key=lambda turn: not turn.last_stage)
    slots = await _take(tx, tenant, channel, rate, in_need, now)
    slots = await _overtake(tx, tenant, channel, slots, sum(turn.last_stage for turn in in_need), now)
    await buckets.take(tx, [(id, slot) for id, slot in slots if slot <= now])
    return [(id, slot) for id, slot in slots if slot > now]


def _has_room(turn: Turn, now: datetime) -> bool:
    return turn.slot_at is not None and not turn.used and turn.slot_at <= now <= turn.slot_at + GRACE


async def _take(
    tx: Transaction, tenant: str, channel: str, rate: Rate, in_need: Sequence[Turn], now: datetime
) -> Slots:
    free_at = await buckets.lock_bucket(tx, tenant, channel, now)
    slots: Slots = []
    for turn in in_need:
        slot, free_at = rate.take(free_at, now)
        slots.append((turn.id, slot))
    await buckets.advance_bucket(tx, tenant, channel, free_at)
    return slots


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


def _channel(jobs: Together) -> tuple[str, str]:
    return (jobs[0].tenant, jobs[0].channel)
