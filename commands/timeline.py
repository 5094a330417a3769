"""The picture of a simulation: a lane for each reader, quiet hours shaded, tiers granted as bands (SVG)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from domain.simulation import Message, Simulation, StageForecast, local, sent_at

WIDTH: Final = 1080
LEFT: Final = 190
RIGHT: Final = 1015
"""The span of time lies between them."""

_AXIS_TOP: Final = 104
_ROW: Final = 26
_MARK: Final = 24
_LONGEST_LABEL: Final = 22
_LONGEST_LINE: Final = 150
_MOST_TICKS: Final = 9
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, however they are escaped."""
_STEPS: Final = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14400, 43200, 86400)
)


@dataclass(frozen=True)
class Tick:
    """A moment on the axis, in UTC and on the readers' clocks."""

    x: float
    utc: str
    local: str


@dataclass(frozen=True)
class Mark:
    """A stage's number above the lanes; marks that would overlap are put in several rows."""

    x: float
    row: int
    stage: int
    no_route: bool
    title: str


@dataclass(frozen=True)
class Dot:
    """A message: where it is due and, if quiet hours hold it back, where it is sent."""

    due: float
    sent: float
    deferred: bool
    alert: bool
    title: str


@dataclass(frozen=True)
class Span:
    """A stretch of time, with what it means."""

    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Lane:
    """One reader."""

    name: str
    zone: str
    quiet: Sequence[Span]
    dots: Sequence[Dot]


@dataclass(frozen=True)
class _Scale:
    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(LEFT + (RIGHT - LEFT) * min(max(share, 0.0), 1.0), 1)

    def span(self, begins_at: datetime, ends_at: datetime, title: str) -> Span:
        begin = self.x(begins_at)
        return Span(begin, round(self.x(ends_at) - begin, 1), title)


def draw(simulation: Simulation) -> str:
    """The picture as one SVG document: no scripts, light or dark as the reader's system."""
    latest = [sent_at(stage, message) for stage in simulation.stages for message in stage.messages]
    # what is deferred beyond the expiry is drawn where it ends
    scale = _Scale(simulation.started_at, max(simulation.expires_at, *latest, simulation.started_at))
    zone = _usual_zone(simulation)
    marks = _marks(simulation, scale)
    lanes = [_lane(simulation, scale, name) for name in _recipients(simulation)]
    grants = [
        scale.span(stage.runs_at, simulation.expires_at, f"tier {stage.grants} may decide")
        for stage in simulation.stages
        if stage.grants
    ]
    top = _AXIS_TOP + _MARK * (1 + max(mark.row for mark in marks)) + 12
    bottom = top + _ROW * (len(lanes) + len(grants))
    picture = _template().render(
        simulation=simulation,
        zone=zone,
        ticks=_ticks(scale, zone),
        marks=marks,
        lanes=lanes,
        grants=grants,
        urgent=scale.span(simulation.urgent_from, simulation.expires_at, "urgent: nothing is held back"),
        expiry=scale.x(simulation.expires_at),
        expires=_moment(simulation.expires_at, zone),
        starts=_moment(simulation.started_at, zone),
        legend=[_legend(stage, zone) for stage in simulation.stages],
        width=WIDTH,
        left=LEFT,
        right=RIGHT,
        axis=_AXIS_TOP,
        mark=_MARK,
        row=_ROW,
        top=top,
        bottom=bottom,
        height=bottom + 90 + 20 * len(simulation.stages),
    )
    return _NO_XML.sub("\ufffd", picture)


def style_sha256() -> str:
    """SHA-256 (base64) of the picture's style element, by which a content policy can allow it."""
    style = (_TEMPLATES / "timeline.css.j2").read_text(encoding="utf-8")
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


_TEMPLATES: Final = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("timeline.svg.j2")


def _usual_zone(simulation: Simulation) -> str:
    """The zone of most readers; UTC where there are only groups."""
    zones = [message.time_zone for message in _messages(simulation) if message.time_zone != "UTC"]
    return max(sorted(set(zones)), key=zones.count, default="UTC")


def _messages(simulation: Simulation) -> Iterable[Message]:
    return (message for stage in simulation.stages for message in stage.messages)


def _recipients(simulation: Simulation) -> list[str]:
    return list(dict.fromkeys(message.recipient for message in _messages(simulation)))


def _marks(simulation: Simulation, scale: _Scale) -> list[Mark]:
    last_in_row: list[float] = []
    found: list[Mark] = []
    for stage in simulation.stages:
        x = scale.x(stage.runs_at)
        free = (row for row, last in enumerate(last_in_row) if x - last >= _MARK)
        row = next(free, len(last_in_row))
        last_in_row[row : row + 1] = [x]
        found.append(Mark(x, row, stage.stage, stage.no_route, f"stage {stage.stage}: {stage.name}"))
    return found


def _lane(simulation: Simulation, scale: _Scale, name: str) -> Lane:
    own = [
        (stage, message)
        for stage in simulation.stages
        for message in stage.messages
        if message.recipient == name
    ]
    zone = own[0][1].time_zone
    quiet = [
        scale.span(found.begins_at, found.ends_at, _from_to(found.begins_at, found.ends_at, zone))
        for found in simulation.quiet
        if found.recipient == name
    ]
    # who is held back is drawn last, above the message that is not
    dots = sorted((_dot(scale, stage, message) for stage, message in own), key=lambda dot: dot.deferred)
    return Lane(_short(name), zone, quiet, dots)


def _dot(scale: _Scale, stage: StageForecast, message: Message) -> Dot:
    at = sent_at(stage, message)
    what = "alert" if message.alert else stage.name
    held = ", held back by quiet hours" if message.deferred_until else ""
    title = f"{what} by {message.channel}, {_moment(at, message.time_zone)}{held}"
    return Dot(scale.x(stage.runs_at), scale.x(at), message.deferred_until is not None, message.alert, title)


def _ticks(scale: _Scale, zone: str) -> list[Tick]:
    span = scale.end - scale.start
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), span / _MOST_TICKS)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    at = scale.start + (epoch - scale.start) % step
    found: list[Tick] = []
    day = ""
    while at <= scale.end:
        shown = f"{at:%H:%M}" if f"{at:%a %d %b}" == day else f"{at:%a %d %b %H:%M}"
        found.append(Tick(scale.x(at), shown, f"{local(at, zone):%H:%M}"))
        day = f"{at:%a %d %b}"
        at += step
    return found


def _legend(stage: StageForecast, zone: str) -> str:
    channels = ", ".join(dict.fromkeys(message.channel for message in stage.messages if not message.alert))
    told = ", ".join(dict.fromkeys(message.recipient for message in stage.messages if not message.alert))
    facts = [f"grants tier {stage.grants}"] if stage.grants else []
    facts += ["urgent"] if stage.urgent else []
    reached = f"{channels} to {told}" if told else "nobody can be reached: the next stage runs at once"
    return _short(" · ".join([stage.name, _moment(stage.runs_at, zone), *facts, reached]), _LONGEST_LINE)


def _moment(at: datetime, zone: str) -> str:
    shown = f"{at.astimezone(UTC):%a %d %b %H:%M} UTC"
    return shown if zone == "UTC" else f"{shown} ({local(at, zone):%H:%M %Z})"


def _from_to(begins_at: datetime, ends_at: datetime, zone: str) -> str:
    there = ZoneInfo(zone)
    return f"quiet {begins_at.astimezone(there):%a %H:%M} to {ends_at.astimezone(there):%a %H:%M}"


def _short(text: str, most: int = _LONGEST_LABEL) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
