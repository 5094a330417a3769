"""Business calendars: when the clock of an SLA runs, and when a person is at work.

A moment is open when the clock of the zone shows a time inside an interval of that weekday, and the day
is no holiday. Where the clock is set back inside an interval, the hour shown twice counts twice; where
it is set forward, the hour never shown doesn't count: what is measured is always real time.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import InvalidInput
from domain.quiet_hours import DAYS

MOST_INTERVALS: Final = 12
"""Per day."""

MOST_HOLIDAYS: Final = 1000
"""Of a calendar's own."""

FARTHEST: Final = 30
"""Years that a calendar is asked about: what began earlier counts from there, nothing began before."""

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The cutoff of a time that the calendar has not been open for: nothing here is as old."""

_DAY = timedelta(days=1)
_NOTHING = timedelta()
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")

Interval = tuple[timedelta, timedelta]
"""Begin and end as times after midnight."""


@dataclass(frozen=True)
class WeeklyHours:
    """Intervals of each weekday from Monday on, in order; no days at all: open always."""

    days: tuple[tuple[Interval, ...], ...] = ()

    @classmethod
    def parse(cls, raw: Any, field: str = "hours") -> WeeklyHours:
        """Read `{"mon": [["09:00", "17:00"]], …}`; `{}` is always. Raises InvalidInput with `field`."""
        if not isinstance(raw, Mapping):
            raise InvalidInput(f'{field}: write them like {{"mon": [["09:00", "17:00"]]}}', field)
        for day in raw:
            if day not in DAYS:
                raise InvalidInput(f"{field}: {day!r} is no day: write {', '.join(DAYS)}", field)
        days = tuple(_intervals(raw.get(day, ()), day, field) for day in DAYS)
        if raw and not any(days):
            raise InvalidInput(f"{field}: at least one day needs an interval, or it never opens", field)
        return cls(days if raw else ())

    @property
    def always(self) -> bool:
        """Tell whether no moment of the week is closed by them."""
        return not self.days

    def on(self, weekday: int) -> tuple[Interval, ...]:
        """The intervals of a weekday, Monday being 0."""
        return self.days[weekday] if self.days else ((_NOTHING, _DAY),)

    def raw(self) -> dict[str, list[list[str]]]:
        """The hours as they are stored; `parse` reads them."""
        return {
            day: [[_clock(begin), _clock(end)] for begin, end in intervals]
            for day, intervals in zip(DAYS, self.days, strict=False)
            if intervals
        }

    def text(self) -> str:
        """For people: `mon-fri 09:00-12:00 13:00-17:00, sat 10:00-14:00`."""
        parts = []
        for intervals, group in itertools.groupby(enumerate(self.days), key=lambda item: item[1]):
            days = [DAYS[number] for number, _ in group]
            if intervals:
                name = days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}"
                parts.append(
                    " ".join([name, *(f"{_clock(begin)}-{_clock(end)}" for begin, end in intervals)])
                )
        return ", ".join(parts) or "always"


@dataclass(frozen=True)
class BusinessCalendar:
    """Weekly hours by the clock of a zone, without the holidays of a country and those of its own."""

    hours: WeeklyHours
    zone: ZoneInfo
    country: str | None = None
    subdivision: str | None = None
    holidays: frozenset[date] = frozenset()

    @classmethod
    def parse(
        cls,
        hours: Any,
        time_zone: Any,
        country: str | None = None,
        subdivision: str | None = None,
        holidays: Sequence[str | date] = (),
    ) -> BusinessCalendar:
        """Read and check the fields of a stored calendar.

        Raises InvalidInput with the field that is wrong; hours that never open are wrong too. (No
        country makes every day of a weekday a holiday, and a calendar's own dates come to an end.)
        """
        _check_country(country, subdivision)
        own = frozenset(_date(day) for day in holidays)
        if len(own) > MOST_HOLIDAYS:
            raise InvalidInput(f"holidays: at most {MOST_HOLIDAYS} dates of your own are allowed", "holidays")
        return cls(WeeklyHours.parse(hours), _zone(time_zone), country, subdivision, own)

    @property
    def always(self) -> bool:
        """Tell whether no moment is closed."""
        return self.hours.always and not self.holidays and self.country is None

    def is_holiday(self, day: date) -> bool:
        """Tell whether the whole of this local day is closed."""
        return day in self.holidays or (
            self.country is not None and day in _public_holidays(self.country, self.subdivision, day.year)
        )

    def is_open(self, at: datetime) -> bool:
        """Tell whether the clock runs at this moment."""
        local = at.astimezone(self.zone)
        if self.is_holiday(local.date()):
            return False
        clock = local.replace(tzinfo=None) - datetime.combine(local, time())
        return any(begin <= clock < end for begin, end in self.hours.on(local.weekday()))

    def stretches(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Every open stretch from `begin` to before `end`, in order and in UTC, cut off at both.

        Of the last `FARTHEST` years before `end` only: a forged birth in the year 1 must cost nobody minutes.
        """
        begin, end = max(begin, end - FARTHEST * 366 * _DAY).astimezone(UTC), end.astimezone(UTC)
        midnight = _midnight(begin)
        while midnight < end:
            for opens, closes in _stretches(self, midnight):
                if max(opens, begin) < min(closes, end):
                    yield max(opens, begin), min(closes, end)
            midnight += _DAY

    def elapsed(self, begin: datetime, end: datetime) -> timedelta:
        """Open time from `begin` to `end`; none when `end` comes first."""
        if self.always:
            return max(end.astimezone(UTC) - begin.astimezone(UTC), _NOTHING)
        return sum((closes - opens for opens, closes in self.stretches(begin, end)), _NOTHING)

    def cutoff(self, at: datetime, needed: timedelta) -> datetime:
        """The latest moment from which at least `needed` of open time had passed at `at`; else `NEVER`."""
        at = at.astimezone(UTC)
        if self.always or needed <= _NOTHING:
            return at - max(needed, _NOTHING) if needed < at - NEVER else NEVER
        midnight = _midnight(at)
        earliest = max(NEVER, midnight - FARTHEST * 366 * _DAY)
        while midnight >= earliest:
            for opens, closes in reversed(_stretches(self, midnight)):
                length = max(min(closes, at) - opens, _NOTHING)
                if length >= needed:
                    return opens + length - needed
                needed -= length
            midnight -= _DAY
        return NEVER

    def reached(self, begin: datetime, needed: timedelta) -> datetime | None:
        """The first moment at which `needed` open time has passed since `begin`; None: not within a year."""
        if self.always:
            return begin + needed
        for opens, closes in self.stretches(begin, begin + 366 * _DAY):
            if closes - opens >= needed:
                return opens + needed
            needed -= closes - opens
        return None


ALWAYS: Final = BusinessCalendar(WeeklyHours(), ZoneInfo("UTC"))
"""Of a topic without a calendar: the clock runs always."""


@functools.lru_cache(maxsize=50_000)
def _stretches(calendar: BusinessCalendar, midnight: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """The open stretches of a day of UTC."""
    found = []
    for begin, end, offset in _steady(calendar.zone, midnight, midnight + _DAY):
        local = datetime.combine((begin + offset).date(), time(), UTC)
        while local < end + offset:
            if not calendar.is_holiday(local.date()):
                for opens, closes in calendar.hours.on(local.weekday()):
                    stretch = max(local + opens - offset, begin), min(local + closes - offset, end)
                    if stretch[0] < stretch[1]:
                        found.append(stretch)
            local += _DAY
    return tuple(found)


def _steady(zone: tzinfo, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The parts of a day of UTC in which the clock isn't changed, with what it is ahead of UTC."""
    while begin < end:
        offset = _offset(zone, begin)
        early, late = begin, end
        if _offset(zone, end - timedelta(seconds=1)) != offset:
            while late - early > timedelta(seconds=1):
                middle = early + (late - early) // timedelta(seconds=2) * timedelta(seconds=1)
                early, late = (middle, late) if _offset(zone, middle) == offset else (early, middle)
        yield begin, late, offset
        begin = late


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or _NOTHING


def _midnight(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(UTC), time(), UTC)


@functools.lru_cache(maxsize=2048)
def _public_holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    import holidays  # slow to import, and only some calendars name a country

    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))


def _check_country(country: str | None, subdivision: str | None) -> None:
    if subdivision is not None and country is None:
        raise InvalidInput("subdivision: name the country that it is a part of", "subdivision")
    if country is None:
        return
    from holidays.utils import list_supported_countries

    known = list_supported_countries()
    if country not in known:
        raise InvalidInput(f"country: {country!r} is no country code such as DE (ISO 3166)", "country")
    if subdivision is not None and subdivision not in known[country]:
        parts = ", ".join(known[country]) or "none are known"
        raise InvalidInput(f"subdivision: {subdivision!r} is no part of {country}: {parts}", "subdivision")


def _intervals(raw: Any, day: str, field: str) -> tuple[Interval, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > MOST_INTERVALS:
        raise InvalidInput(f"{field}: {day} needs a list of at most {MOST_INTERVALS} intervals", field)
    found = tuple(_interval(interval, day, field) for interval in raw)
    for (_, end), (begin, _) in itertools.pairwise(found):
        if begin < end:
            raise InvalidInput(f"{field}: the intervals of {day} overlap or are out of order", field)
    return found


def _interval(raw: Any, day: str, field: str) -> Interval:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) != 2:
        raise InvalidInput(f'{field}: an interval of {day} is a pair such as ["09:00", "17:00"]', field)
    begin, end = (_time(part, day, field) for part in raw)
    if begin >= end:
        raise InvalidInput(f"{field}: {day}: {raw[0]} must come before {raw[1]} on the same day", field)
    return begin, end


def _time(raw: Any, day: str, field: str) -> timedelta:
    if not isinstance(raw, str) or not _CLOCK.fullmatch(raw):
        raise InvalidInput(f"{field}: {day}: {raw!r} is no time of day such as 09:00", field)
    return timedelta(hours=int(raw[:2]), minutes=int(raw[3:]))


def _clock(moment: timedelta) -> str:
    hours, minutes = divmod(int(moment.total_seconds()) // 60, 60)
    return f"{hours:02}:{minutes:02}"


def _date(raw: Any) -> date:
    try:
        return raw if type(raw) is date else date.fromisoformat(raw)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"holidays: {raw!r} is no date such as 2026-12-24", "holidays") from error


def _zone(raw: Any) -> ZoneInfo:
    try:
        return ZoneInfo(raw)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise InvalidInput(
            f"time_zone: {raw!r} is no IANA time zone such as Europe/Berlin", "time_zone"
        ) from error
