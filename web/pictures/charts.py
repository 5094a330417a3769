"""Charts of the dashboard, as shapes that a template draws: classes for colours, so that they suit dark mode.

They are as wide as a phone, on which they stay readable, and know the table that says the same in numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from commands.sla_chart import round_step, thinned, unbroken
from db.reads.sla_history import Moment
from domain.mint_request import MintStatus

WIDTH: Final = 360
_PLOT_TOP, _PLOT_HEIGHT = 12, 130
_AXIS: Final = 34
"""Left of it the numbers stand."""
_ROW, _BAR = 42, 12
_POINTS: Final = 160
COLOURS: Final = 7
"""Classes `c0` to `c6` of charts.css."""


@dataclass(frozen=True)
class Table:
    """The same in numbers; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    """A piece of a bar."""

    colour: int
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Row:
    """A name, its bar beneath it, and a text at the end of the line."""

    name: str
    text: str
    y: float
    parts: tuple[Part, ...]
    limit: float | None = None
    """Where a mark stands that should not be passed."""


@dataclass(frozen=True)
class Tick:
    """A mark of an axis."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Line:
    """A line in unbroken pieces, each a list of points; a piece of one point is a dot."""

    colour: int
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """Everything that the macro of charts.html needs."""

    id: str
    title: str
    told: str
    """The picture in a sentence, for who can't see it."""
    height: float
    table: Table
    legend: tuple[tuple[int, str], ...] = ()
    rows: tuple[Row, ...] = ()
    columns: tuple[Part, ...] = ()
    lines: tuple[Line, ...] = ()
    across: tuple[Tick, ...] = ()
    up: tuple[Tick, ...] = ()

    @property
    def empty(self) -> bool:
        """There is nothing to draw."""
        return not (self.rows or self.columns or self.lines)


@dataclass(frozen=True)
class Bar:
    """What a row of `bars` shows: `values` one for each name of the legend, not below zero."""

    name: str
    values: tuple[float, ...]
    text: str
    limit: float | None = None
    colours: tuple[int, ...] = ()


def bars(
    id_: str, title: str, told: str, wanted: Sequence[Bar], table: Table, legend: tuple[str, ...] = ()
) -> Chart:
    """Horizontal bars, one beneath the other, each of one or more parts."""
    most = max((max(sum(bar.values), bar.limit or 0) for bar in wanted), default=0) or 1
    rows = tuple(_row(bar, place, most, legend) for place, bar in enumerate(wanted))
    names = tuple(enumerate(legend)) if len(legend) > 1 else ()
    return Chart(id_, title, told, max(_ROW * len(rows), 1), table, names, rows=rows)


def _row(bar: Bar, place: int, most: float, legend: Sequence[str]) -> Row:
    scale, x, y, parts = WIDTH / most, 0.0, place * _ROW + 20.0, []
    for number, value in enumerate(bar.values):
        width = round(value * scale, 1)
        if width:
            title = f"{bar.name}: {value:g}" + (f" {legend[number]}" if len(legend) > 1 else "")
            colour = bar.colours[number] if bar.colours else number
            parts.append(Part(colour % COLOURS, round(x, 1), y, width, _BAR, title))
        x += width
    limit = None if bar.limit is None else round(min(bar.limit * scale, WIDTH - 1), 1)
    return Row(bar.name, bar.text, place * _ROW + 14.0, tuple(parts), limit)


def columns(
    id_: str,
    title: str,
    told: str,
    wanted: Sequence[tuple[str, Sequence[int]]],
    table: Table,
    legend: tuple[str, ...] = (),
) -> Chart:
    """Upright bars in the order given, such as days or ledgers; each number of a column is a part of it."""
    step, top = _numbers(max((sum(values) for _, values in wanted), default=0))
    slot = (WIDTH - _AXIS) / max(len(wanted), 1)
    parts = [
        part
        for place, (name, values) in enumerate(wanted)
        for part in _column(name, values, _AXIS + place * slot, slot, top, legend)
    ]
    names = tuple(enumerate(legend)) if len(legend) > 1 else ()
    across = _named([name for name, _ in wanted], slot)
    up = _up(step, top)
    return Chart(id_, title, told, _height(), table, names, columns=tuple(parts), across=across, up=up)


def _column(
    name: str, values: Sequence[int], left: float, slot: float, top: int, legend: Sequence[str]
) -> list[Part]:
    width, parts, below = min(slot * 0.72, 28.0), [], float(_PLOT_TOP + _PLOT_HEIGHT)
    for number, value in enumerate(values):
        height = round(_PLOT_HEIGHT * value / top, 1)
        if height:
            below = round(below - height, 1)
            what = f" {legend[number]}" if len(legend) > 1 else ""
            x = round(left + (slot - width) / 2, 1)
            parts.append(Part(number % COLOURS, x, below, round(width, 1), height, f"{name}: {value}{what}"))
    return parts


def over_time(
    id_: str, title: str, moments: Sequence[Moment], begin: datetime, end: datetime, table: Table
) -> Chart:
    """What was overdue when, all together and by status; where nobody looked, the lines are broken."""
    kept = thinned(moments, begin, end, _POINTS)
    step, top = _numbers(max((moment.total for moment in kept), default=0))
    seen = {status for moment in kept for status in moment.overdue}
    statuses = [status.value for status in MintStatus if status.value in seen]
    names = ["all", *(statuses if len(statuses) > 1 else [])]
    parts = list(unbroken(kept))

    def point(moment: Moment, name: str) -> tuple[float, float]:
        number = moment.total if name == "all" else moment.overdue.get(name, 0)
        x = _AXIS + (WIDTH - _AXIS - 4) * ((moment.at - begin) / (end - begin))
        return round(x, 1), round(_PLOT_TOP + _PLOT_HEIGHT * (1 - number / top), 1)

    lines = tuple(
        _line(number, [[point(moment, name) for moment in part] for part in parts])
        for number, name in enumerate(names)
    )
    peak = max(kept, key=lambda moment: moment.total, default=None)
    told = "no check in this time" if peak is None else f"{kept[-1].total} at the end, at most {peak.total}"
    legend = tuple(enumerate(names)) if len(names) > 1 else ()
    across = _dated(begin, end) if kept else ()
    return Chart(
        *(id_, title, told, _height(), table, legend),
        lines=lines if kept else (),
        across=across,
        up=_up(step, top),
    )


def _line(colour: int, pieces: Sequence[Sequence[tuple[float, float]]]) -> Line:
    return Line(
        colour,
        tuple(" ".join(f"{x},{y}" for x, y in piece) for piece in pieces if len(piece) > 1),
        tuple(piece[0] for piece in pieces if len(piece) == 1),
    )


def _height() -> float:
    return _PLOT_TOP + _PLOT_HEIGHT + 24


def _numbers(most: int) -> tuple[int, int]:
    """A round step, and the first multiple of it that is not below `most`."""
    step = round_step(max(most, 1))
    return step, -(-max(most, 1) // step) * step


def _up(step: int, top: int) -> tuple[Tick, ...]:
    marks = range(0, top + 1, step)
    return tuple(
        Tick(round(_PLOT_TOP + _PLOT_HEIGHT * (1 - mark / top), 1), f"{mark:,}", "end") for mark in marks
    )


def _named(names: Sequence[str], slot: float) -> tuple[Tick, ...]:
    """The first name, the last, and one between: more would overlap on a phone."""
    places = sorted({0, len(names) // 2, len(names) - 1}) if len(names) > 4 else range(len(names))
    return tuple(
        Tick(round(_AXIS + (place + 0.5) * slot, 1), names[place], _anchor(place, len(names)))
        for place in places
        if names
    )


def _anchor(place: int, number: int) -> str:
    if number <= 4:
        return "middle"
    return "start" if place == 0 else "end" if place == number - 1 else "middle"


def _dated(begin: datetime, end: datetime) -> tuple[Tick, ...]:
    style = "%H:%M" if end - begin <= timedelta(days=1) else "%d %b"
    middle = _AXIS + (WIDTH - _AXIS - 4) / 2
    between = begin + (end - begin) / 2
    return (
        Tick(_AXIS, f"{begin:{style}}", "start"),
        Tick(middle, f"{between:{style}}"),
        Tick(WIDTH - 4, f"{end:{style}}", "end"),
    )
