"""The life of one request as a picture: what happened, in lanes, and what time will still do to it.

The ordered list beside it says the same in words; who can't see the picture misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from web.happenings import Happening, Lane

WIDTH: Final = 960
LEFT: Final = 104
RIGHT: Final = 944
"""Units of the picture: time runs between them."""

_TOP: Final = 14
_FLAG: Final = 17
"""Height of a row of flags, which name the moments that count."""
_LANE: Final = 34
_NEAR: Final = 15.0
"""Marks that are nearer to each other become one with a number."""
_LETTER: Final = 6.4
"""About the width of a letter of a flag."""
_MOST_TICKS: Final = 8
_LEAST_SPAN: Final = timedelta(seconds=10)
_STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
        172_800, 604_800, 2_592_000,
    )
)  # fmt: skip

_NAMES: Final = {
    Lane.PEOPLE: "People",
    Lane.ESCALATION: "Escalation",
    Lane.MESSAGES: "Messages",
    Lane.LEDGER: "Ledger",
}
_WORST: Final = ("bad", "wait", "good", "plain")
"""A mark that stands for several has the first of these tones that any of them has."""


@dataclass(frozen=True)
class Moment:
    """A vertical line that counts: now, the SLA, the end."""

    at: datetime
    name: str
    tone: str


@dataclass(frozen=True)
class Mark:
    """One or several happenings at about the same time."""

    x: float
    tone: str
    to_come: bool
    count: int
    title: str


@dataclass(frozen=True)
class Flag:
    """The name of a moment above its line."""

    x: float
    row: int
    anchor: str
    name: str
    tone: str


@dataclass(frozen=True)
class Tick:
    """A moment on the axis, by the reader's clock."""

    x: float
    text: str


@dataclass(frozen=True)
class Row:
    """A lane with its marks."""

    y: float
    name: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Picture:
    """Everything that the template draws; all numbers are in units of the picture."""

    width: int
    height: float
    left: int
    right: int
    top: float
    bottom: float
    now: float | None
    rows: Sequence[Row]
    flags: Sequence[Flag]
    ticks: Sequence[Tick]
    summary: str


@dataclass(frozen=True)
class _Scale:
    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(LEFT + (RIGHT - LEFT) * min(max(share, 0.0), 1.0), 1)


def draw(
    found: Sequence[Happening], moments: Sequence[Moment], now: datetime | None, zone: ZoneInfo
) -> Picture:
    """The picture from the first happening to the last moment; `now` is None for what has ended."""
    times = [one.at for one in found] + [moment.at for moment in moments]
    start = min(times)
    scale = _Scale(start, max(*times, start + _LEAST_SPAN))
    named = [*moments, *([Moment(now, "now", "now")] if now is not None else [])]
    flags = _flags(named, scale)
    top = _TOP + _FLAG * (1 + max((flag.row for flag in flags), default=-1))
    rows = [
        Row(
            top + _LANE * (number + 0.5),
            _NAMES[lane],
            _marks([one for one in found if one.lane is lane], scale),
        )
        for number, lane in enumerate(_lanes(found))
    ]
    bottom = top + _LANE * len(rows)
    return Picture(
        width=WIDTH,
        height=bottom + 26,
        left=LEFT,
        right=RIGHT,
        top=top,
        bottom=bottom,
        now=scale.x(now) if now is not None else None,
        rows=rows,
        flags=flags,
        ticks=_ticks(scale, zone),
        summary=_summary(found),
    )


def _lanes(found: Iterable[Happening]) -> list[Lane]:
    used = {one.lane for one in found}
    return [lane for lane in Lane if lane in used]


def _summary(found: Sequence[Happening]) -> str:
    happened = sum(not one.to_come for one in found)
    coming = len(found) - happened
    return f"{happened} things have happened" + (f", {coming} are still to come" if coming else "") + "."


def _marks(found: Sequence[Happening], scale: _Scale) -> list[Mark]:
    groups: list[list[Happening]] = []
    for one in found:
        last = groups[-1] if groups else None
        near = last is not None and scale.x(one.at) - scale.x(last[0].at) < _NEAR
        if last is not None and near and last[0].to_come == one.to_come:
            last.append(one)
        else:
            groups.append([one])
    return [_mark(group, scale) for group in groups]


def _mark(group: Sequence[Happening], scale: _Scale) -> Mark:
    tones = {one.tone for one in group}
    tone = next(tone for tone in _WORST if tone in tones)
    title = "; ".join(one.words for one in group)
    return Mark(scale.x(group[0].at), tone, group[0].to_come, len(group), title)


def _flags(moments: Sequence[Moment], scale: _Scale) -> list[Flag]:
    """Each in the first row in which it overlaps no other."""
    ends: list[float] = []
    flags: list[Flag] = []
    for moment in sorted(moments, key=lambda one: one.at):
        x, width = scale.x(moment.at), len(moment.name) * _LETTER + 12
        anchor = "start" if x + width <= RIGHT else "end"
        begin = x if anchor == "start" else x - width
        row = next((row for row, end in enumerate(ends) if end <= begin), len(ends))
        ends[row : row + 1] = [begin + width]
        flags.append(Flag(x, row, anchor, moment.name, moment.tone))
    return flags


def _ticks(scale: _Scale, zone: ZoneInfo) -> list[Tick]:
    span = scale.end - scale.start
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), span / _MOST_TICKS)
    # steps of an hour and more begin at the reader's midnight
    midnight = scale.start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    at = midnight + -((midnight - scale.start) // step) * step
    found: list[Tick] = []
    day = f"{scale.start.astimezone(zone):%d %b}"
    while at <= scale.end:
        there = at.astimezone(zone)
        clock = f"{there:%H:%M:%S}" if step < timedelta(minutes=1) else f"{there:%H:%M}"
        today = f"{there:%d %b}"
        text = clock if today == day else (today if step >= timedelta(days=1) else f"{today} {clock}")
        day = today
        if LEFT + 12 <= scale.x(at) <= RIGHT - 12:
            found.append(Tick(scale.x(at), text))
        at += step
    return found
