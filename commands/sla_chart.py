"""The picture of the SLA: how many requests were overdue when, by status (SVG)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from db.reads.sla_history import Moment
from domain.mint_request import MintStatus

WIDTH: Final = 1080
HEIGHT: Final = 480
LEFT: Final = 70
RIGHT: Final = 1040
TOP: Final = 94
BOTTOM: Final = 380

_MOST_POINTS: Final = 480
"""One for every second pixel; of what falls together the worst is drawn."""

_GAP: Final = timedelta(minutes=30)
"""Checks further apart than this, and than twice the usual, are not joined: nobody looked meanwhile."""

_MOST_TICKS: Final = 8
_STEPS: Final = tuple(
    timedelta(minutes=minutes)
    for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10080, 20160, 43200)
)
_ROUND: Final = (1, 2, 5)


@dataclass(frozen=True)
class Series:
    """The line of a status; `paths` are its unbroken parts, each a list of points."""

    name: str
    paths: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    """Parts of one check only, which no line shows."""
    latest: int


@dataclass(frozen=True)
class Tick:
    """A mark of an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class _Frame:
    begin: datetime
    end: datetime
    most: int

    def x(self, at: datetime) -> float:
        return round(LEFT + (RIGHT - LEFT) * ((at - self.begin) / (self.end - self.begin)), 1)

    def y(self, number: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * number / self.most, 1)


def draw(moments: Sequence[Moment], begin: datetime, end: datetime, tenant: str | None) -> str:
    """The picture as one SVG document: no scripts, light or dark as the reader's system."""
    seen = {status for moment in moments for status in moment.overdue}
    statuses = [status.value for status in MintStatus if status.value in seen]
    step = round_step(max((moment.total for moment in moments), default=0))
    top = max(-(-max((moment.total for moment in moments), default=0) // step), 1) * step
    frame = _Frame(begin, end, top)
    parts = list(unbroken(thinned(moments, begin, end)))
    return _template().render(
        tenant=tenant or "all tenants",
        begin=f"{begin:%Y-%m-%d %H:%M}",
        end=f"{end:%Y-%m-%d %H:%M}",
        checks=len(moments),
        total=_series("all", parts, frame, None),
        areas=[_area(part, frame) for part in parts if len(part) > 1],
        series=[_series(status, parts, frame, status) for status in statuses] if len(statuses) > 1 else [],
        only=statuses[0] if len(statuses) == 1 else "",
        days=_days(frame),
        numbers=[Tick(frame.y(number), str(number)) for number in range(0, top + 1, step)],
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
    )


def round_step(most: int) -> int:
    """A round number of which at most six reach `most`."""
    size = 1
    while True:
        for digit in _ROUND:
            if most <= 6 * digit * size:
                return digit * size
        size *= 10


def thinned(
    moments: Sequence[Moment], begin: datetime, end: datetime, points: int = _MOST_POINTS
) -> list[Moment]:
    """At most so many, evenly spread: of those that fall together the worst, so that no peak is lost."""
    kept: dict[int, Moment] = {}
    for moment in moments:
        slot = int(points * ((moment.at - begin) / (end - begin)))
        if slot not in kept or moment.total >= kept[slot].total:
            kept[slot] = moment
    return list(kept.values())


def unbroken(moments: Sequence[Moment]) -> Iterable[list[Moment]]:
    """Stretches in which somebody looked all the time."""
    between = sorted(after.at - before.at for before, after in itertools.pairwise(moments))
    gap = max(_GAP, 2 * between[len(between) // 2]) if between else _GAP
    part: list[Moment] = []
    for moment in moments:
        if part and moment.at - part[-1].at > gap:
            yield part
            part = []
        part.append(moment)
    if part:
        yield part


def _series(name: str, parts: Sequence[Sequence[Moment]], frame: _Frame, status: str | None) -> Series:
    def number(moment: Moment) -> int:
        return moment.total if status is None else moment.overdue.get(status, 0)

    points = [[(frame.x(moment.at), frame.y(number(moment))) for moment in part] for part in parts]
    return Series(
        name,
        tuple(" ".join(f"{x},{y}" for x, y in part) for part in points if len(part) > 1),
        tuple(part[0] for part in points if len(part) == 1),
        number(parts[-1][-1]) if parts else 0,
    )


def _area(part: Sequence[Moment], frame: _Frame) -> str:
    line = " ".join(f"{frame.x(moment.at)},{frame.y(moment.total)}" for moment in part)
    return f"{frame.x(part[0].at)},{BOTTOM} {line} {frame.x(part[-1].at)},{BOTTOM}"


def _days(frame: _Frame) -> list[Tick]:
    span = frame.end - frame.begin
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), span / _MOST_TICKS)
    epoch = datetime(1970, 1, 1, tzinfo=frame.begin.tzinfo)
    at = frame.begin + (epoch - frame.begin) % step
    ticks = []
    while at <= frame.end:
        ticks.append(Tick(frame.x(at), f"{at:%d %b}" if step >= timedelta(days=1) else f"{at:%d %b %H:%M}"))
        at += step
    return ticks


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("sla.svg.j2")
