"""Quiet hours: when a tenant or a person wants no message that can wait.

A window begins on the days it names, when the local clock first shows its `from`, and lasts until the
clock has shown the last moment before its `to`; one that reaches past midnight belongs to the day on
which it begins. Where daylight saving skips an edge, the edge is the moment of the jump; where the
clock is set back inside a window, the window lasts until its end comes for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import InvalidInput

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT_AFTER: Final = "24:00"
"""As an end: the end of the day, so that a whole day can be quiet."""

MOST_WINDOWS: Final = 20
LONGEST: Final = timedelta(days=7)
"""Windows that leave no moment of a week free would hold messages back for ever."""

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
# one of them in winter and one in summer: windows of several zones meet differently
_REFERENCES = (datetime(2026, 1, 7, tzinfo=UTC), datetime(2026, 7, 8, tzinfo=UTC))


@dataclass(frozen=True)
class Window:
    """One stretch of a day: `begin` and `end` are times after the midnight before it begins."""

    days: tuple[str, ...]
    begin: timedelta
    end: timedelta
    zone: ZoneInfo

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Window:
        """Read `{days, from, to, zone}`; raises InvalidInput with the field that is wrong."""
        if unknown := set(raw) - {"days", "from", "to", "zone"}:
            raise InvalidInput(f"quiet hours: unknown field {min(unknown)!r}", min(unknown))
        days = _days(raw.get("days"))
        begin, end = _time(raw.get("from"), "from"), _time(raw.get("to"), "to")
        if begin == end:
            raise InvalidInput("quiet hours: 'to' must differ from 'from'", "to")
        return cls(days, begin, end if end > begin else end + _DAY, _zone(raw.get("zone")))

    def raw(self) -> dict[str, Any]:
        """The window as it is stored; `parse` reads it."""
        # a window from midnight may end at 24:00, every other at a time of the clock
        end = self.end % _DAY if self.begin else self.end
        times = {"from": _clock(self.begin), "to": _clock(end)}
        return {"days": list(self.days), **times, "zone": self.zone.key}

    def end_at(self, at: datetime) -> datetime:
        """The end in UTC of the stretch that holds `at`; `at` itself when none does."""
        today = at.astimezone(self.zone).replace(
            tzinfo=None, fold=0, hour=0, minute=0, second=0, microsecond=0
        )
        found = at
        # a clock that is set back at midnight shows a day that it has left already
        for midnight in (today + days * _DAY for days in range(-2, 2)):
            if DAYS[midnight.weekday()] in self.days:
                begins, ends = _first(midnight + self.begin, self.zone), _last(midnight + self.end, self.zone)
                if begins <= at < ends:
                    found = max(found, ends)
        return found

    def begins(self, since: datetime, before: datetime) -> Iterator[datetime]:
        """When it begins on each of its days around that time, in UTC."""
        day = since.astimezone(self.zone).replace(
            tzinfo=None, fold=0, hour=0, minute=0, second=0, microsecond=0
        )
        while day <= before.astimezone(self.zone).replace(tzinfo=None):
            if DAYS[day.weekday()] in self.days:
                yield _first(day + self.begin, self.zone)
            day += _DAY


@dataclass(frozen=True)
class QuietHours:
    """All windows of a tenant or a person; without any there are no quiet hours."""

    windows: tuple[Window, ...] = ()

    @classmethod
    def parse(cls, raw: Sequence[Mapping[str, Any]]) -> QuietHours:
        """Read and check a list of windows; raises InvalidInput with the field that is wrong."""
        if len(raw) > MOST_WINDOWS:
            raise InvalidInput(f"quiet hours: at most {MOST_WINDOWS} windows are allowed", "quiet_hours")
        hours = cls(tuple(Window.parse(window) for window in raw))
        for reference in _REFERENCES:
            if (hours.until(reference) or reference) - reference >= LONGEST:
                raise InvalidInput("quiet hours: some moment of the week must be left free", "quiet_hours")
        return hours

    def raw(self) -> list[dict[str, Any]]:
        """The windows as they are stored; `parse` reads them."""
        return [window.raw() for window in self.windows]

    def until(self, at: datetime) -> datetime | None:
        """The end of quiet at `at` in UTC, windows that touch or overlap joined; None: it is not quiet."""
        end = at.astimezone(UTC)
        limit = end + LONGEST
        while end < limit:
            later = max((window.end_at(end) for window in self.windows), default=end)
            if later == end:
                break
            end = later
        return end if end > at else None

    def stretches(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Every stretch of quiet from `begin` to before `end`, in order and in UTC, cut off at both."""
        edges = {at for window in self.windows for at in window.begins(begin, end) if begin < at < end}
        found: list[tuple[datetime, datetime]] = []
        for at in sorted({begin.astimezone(UTC), *edges}):
            until = self.until(at)
            if until is not None and (not found or at >= found[-1][1]):
                found.append((at, min(until, end.astimezone(UTC))))
        return found


NO_QUIET_HOURS: Final = QuietHours()


def deferred_until(
    at: datetime, tenant_hours: QuietHours, user_hours: QuietHours, urgent_from: datetime | None
) -> datetime | None:
    """Until when a message due at `at` waits; None: it goes out at once.

    A person's own hours stand in the place of the tenant's. From `urgent_from` on nothing waits any
    more; None: the message never becomes urgent.
    """
    until = (user_hours if user_hours.windows else tenant_hours).until(at)
    if until is None or urgent_from is None:
        return until
    return min(until, urgent_from) if at < urgent_from else None


def _days(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise InvalidInput(f"quiet hours: 'days' must name at least one of {', '.join(DAYS)}", "days")
    for day in raw:
        if day not in DAYS:
            raise InvalidInput(f"quiet hours: {day!r} is no day: write {', '.join(DAYS)}", "days")
    return tuple(day for day in DAYS if day in raw)


def _time(raw: Any, field: str) -> timedelta:
    if field == "to" and raw == MIDNIGHT_AFTER:
        return _DAY
    found = _CLOCK.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise InvalidInput(f"quiet hours: {raw!r} is no time of day such as 22:00", field)
    return timedelta(hours=int(found[1]), minutes=int(found[2]))


def _clock(time: timedelta) -> str:
    hours, minutes = divmod(int(time.total_seconds()) // 60, 60)
    return f"{hours:02}:{minutes:02}"


def _zone(raw: Any) -> ZoneInfo:
    try:
        return ZoneInfo(raw)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise InvalidInput(f"{raw!r} is no IANA time zone such as Europe/Berlin", "zone") from error


def _first(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clock first shows `local`; if it never does, when it jumps over it."""
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return found if _shows(found, local, zone) else _jump(local, zone)


def _last(local: datetime, zone: ZoneInfo) -> datetime:
    """From when on the clock shows nothing before `local` any more."""
    before = local - _TICK
    found = before.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return found + _TICK if _shows(found, before, zone) else _jump(before, zone)


def _shows(at: datetime, local: datetime, zone: ZoneInfo) -> bool:
    return at.astimezone(zone).replace(tzinfo=None) == local


def _jump(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clock is set forward over `local`: searched for, since a zone does not tell."""
    late = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before, after = int(early.timestamp()), int(late.timestamp())
    offset = early.astimezone(zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return datetime.fromtimestamp(after, UTC)
