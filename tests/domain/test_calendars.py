"""Business calendars: what is open, how much of a time is, and where a threshold is crossed."""

import functools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendars import ALWAYS, MOST_HOLIDAYS, NEVER, BusinessCalendar, WeeklyHours
from domain.errors import InvalidInput
from domain.quiet_hours import DAYS

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

OFFICE = {day: [["09:00", "12:00"], ["13:00", "17:00"]] for day in DAYS[:5]}
NIGHTS = {day: [["01:00", "04:00"]] for day in DAYS}


def berlin(*moment, fold=0):
    """A moment by Berlin's clock."""
    return datetime(*moment, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).astimezone(UTC)


def office(**fields):
    """Berlin's office hours with a lunch break."""
    return BusinessCalendar.parse(OFFICE, "Europe/Berlin", **fields)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ((2026, 6, 10, 8, 59), False),
        ((2026, 6, 10, 9, 0), True),
        ((2026, 6, 10, 12, 0), False),
        ((2026, 6, 10, 12, 59), False),
        ((2026, 6, 10, 13, 0), True),
        ((2026, 6, 10, 17, 0), False),
        ((2026, 6, 13, 10, 0), False),
    ],
)
def test_open_is_from_the_first_minute_to_before_the_last(at, is_open):
    """A lunch break and a weekend are closed; the end of an interval is closed already."""
    assert office().is_open(berlin(*at)) is is_open


def test_elapsed_leaves_out_the_night_the_break_and_the_weekend():
    """From Friday 11:30 to Monday 9:30: half an hour, the afternoon, half an hour."""
    assert office().elapsed(berlin(2026, 6, 12, 11, 30), berlin(2026, 6, 15, 9, 30)) == 5 * HOUR
    assert office().cutoff(berlin(2026, 6, 15, 9, 30), 5 * HOUR) == berlin(2026, 6, 12, 11, 30)


def test_a_day_may_end_at_24_00():
    """An interval reaches midnight and the next day's goes on from there."""
    calendar = BusinessCalendar.parse({"mon": [["20:00", "24:00"]], "tue": [["00:00", "02:00"]]}, "UTC")
    assert calendar.is_open(datetime(2026, 6, 8, 23, 59, 59, tzinfo=UTC))
    assert calendar.elapsed(datetime(2026, 6, 8, tzinfo=UTC), datetime(2026, 6, 10, tzinfo=UTC)) == 6 * HOUR


def test_the_hour_that_is_skipped_in_spring_does_not_count():
    """Three hours of the clock are two of real time."""
    calendar = BusinessCalendar.parse(NIGHTS, "Europe/Berlin")
    night = berlin(2026, 3, 29, 0, 0), berlin(2026, 3, 29, 12, 0)
    assert calendar.elapsed(*night) == 2 * HOUR
    assert calendar.cutoff(night[1], 2 * HOUR) == berlin(2026, 3, 29, 1, 0)


def test_the_hour_that_is_shown_twice_in_autumn_counts_twice():
    """Three hours of the clock are four of real time."""
    calendar = BusinessCalendar.parse(NIGHTS, "Europe/Berlin")
    night = berlin(2026, 10, 25, 0, 0), berlin(2026, 10, 25, 12, 0)
    assert calendar.elapsed(*night) == 4 * HOUR
    assert calendar.is_open(berlin(2026, 10, 25, 2, 30, fold=1))
    assert calendar.cutoff(night[1], 2 * HOUR) == berlin(2026, 10, 25, 2, 0, fold=1)


def test_an_edge_inside_the_repeated_hour_opens_twice():
    """What the clock shows decides: closed after 2:30, open once more when it shows 2:00 again."""
    calendar = BusinessCalendar.parse({"sun": [["01:00", "02:30"]]}, "Europe/Berlin")
    assert calendar.elapsed(berlin(2026, 10, 25, 0, 0), berlin(2026, 10, 25, 12, 0)) == 2 * HOUR
    assert not calendar.is_open(berlin(2026, 10, 25, 2, 45))
    assert calendar.is_open(berlin(2026, 10, 25, 2, 15, fold=1))


@pytest.mark.parametrize(
    ("day", "country", "subdivision", "closed"),
    [
        (date(2026, 12, 25), "DE", None, True),
        (date(2026, 1, 6), "DE", None, False),
        (date(2026, 1, 6), "DE", "BY", True),
        (date(2026, 7, 3), "US", None, True),
        (date(2026, 12, 25), None, None, False),
    ],
)
def test_a_countrys_holidays_are_closed(day, country, subdivision, closed):
    """Epiphany is one in Bavaria only; without a country there are none."""
    calendar = office(country=country, subdivision=subdivision)
    noon = datetime(day.year, day.month, day.day, 11, tzinfo=ZoneInfo("Europe/Berlin"))
    assert calendar.is_open(noon) is not closed
    assert calendar.elapsed(noon, noon + HOUR) == (timedelta() if closed else HOUR)


def test_dates_of_its_own_are_closed_too():
    """By the local day: it begins and ends at the zone's midnight, not at UTC's."""
    calendar = BusinessCalendar.parse({}, "Asia/Kolkata", holidays=["2026-06-10"])
    midnight = datetime(2026, 6, 10, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert calendar.is_open(midnight - MINUTE)
    assert not calendar.is_open(midnight)
    assert calendar.is_open(midnight + 24 * HOUR)
    assert calendar.elapsed(midnight - HOUR, midnight + 25 * HOUR) == 2 * HOUR


def test_without_a_calendar_the_clock_runs_always():
    """Also for a threshold of ten thousand years, which nothing reaches."""
    now = datetime(2026, 6, 10, 12, tzinfo=UTC)
    assert ALWAYS.is_open(now)
    assert ALWAYS.elapsed(now, now + 100 * HOUR) == 100 * HOUR
    assert ALWAYS.cutoff(now, 100 * HOUR) == now - 100 * HOUR
    assert ALWAYS.cutoff(now, timedelta(days=3_650_000)) == NEVER


def test_the_search_for_a_cutoff_comes_to_an_end():
    """A threshold beyond all years is never reached, and the answer comes at once."""
    calendar = BusinessCalendar.parse({"mon": [["09:00", "09:01"]]}, "UTC")
    assert calendar.cutoff(datetime(2026, 6, 10, tzinfo=UTC), timedelta(hours=10_000)) == NEVER


def test_time_does_not_run_backwards():
    """An end before the begin has nothing in between; nothing needed is reached now."""
    now = berlin(2026, 6, 10, 15, 0)
    assert office().elapsed(now, now - HOUR) == timedelta()
    assert office().cutoff(now, timedelta()) == now
    assert ALWAYS.elapsed(now, now - HOUR) == timedelta()


def test_moments_of_one_zone_are_told_apart_by_real_time():
    """Subtracting two local times would lose the hour that was shown twice."""
    zone = ZoneInfo("Europe/Berlin")
    begin, end = datetime(2026, 10, 25, 0, tzinfo=zone), datetime(2026, 10, 25, 12, tzinfo=zone)
    assert ALWAYS.elapsed(begin, end) == 13 * HOUR


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"hours": {"mon": []}}, "hours"),
        ({"hours": {"mon": [], "tue": []}}, "hours"),
        ({"hours": {"monday": [["09:00", "17:00"]]}}, "hours"),
        ({"hours": {"mon": [["9:00", "17:00"]]}}, "hours"),
        ({"hours": {"mon": [["17:00", "09:00"]]}}, "hours"),
        ({"hours": {"mon": [["09:00", "09:00"]]}}, "hours"),
        ({"hours": {"mon": [["09:00", "24:01"]]}}, "hours"),
        ({"hours": {"mon": [["09:00"]]}}, "hours"),
        ({"hours": {"mon": ["09:00", "17:00"]}}, "hours"),
        ({"hours": {"mon": "09:00-17:00"}}, "hours"),
        ({"hours": {"mon": [["09:00", "12:00"], ["11:00", "17:00"]]}}, "hours"),
        ({"hours": {"mon": [["13:00", "17:00"], ["09:00", "12:00"]]}}, "hours"),
        ({"hours": {"mon": [[9, 17]]}}, "hours"),
        ({"hours": {"mon": [[f"{n:02}:00", f"{n:02}:30"] for n in range(13)]}}, "hours"),
        ({"hours": [["09:00", "17:00"]]}, "hours"),
        ({"hours": None}, "hours"),
        ({"time_zone": "Berlin"}, "time_zone"),
        ({"time_zone": None}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"country": "Germany"}, "country"),
        ({"country": "de"}, "country"),
        ({"country": "DE", "subdivision": "XX"}, "subdivision"),
        ({"subdivision": "BY"}, "subdivision"),
        ({"holidays": ["24.12.2026"]}, "holidays"),
        ({"holidays": [20261224]}, "holidays"),
        ({"holidays": [datetime(2026, 12, 24, tzinfo=UTC)]}, "holidays"),
        ({"holidays": [date.fromordinal(738000 + n) for n in range(MOST_HOLIDAYS + 1)]}, "holidays"),
    ],
)
def test_what_makes_no_calendar_is_refused_with_its_field(fields, field):
    """Hours that never open, times that are none, zones and countries that don't exist."""
    with pytest.raises(InvalidInput) as refused:
        BusinessCalendar.parse(**{"hours": OFFICE, "time_zone": "Europe/Berlin"} | fields)
    assert refused.value.field == field
    assert "\n" not in refused.value.message


def test_hours_name_the_field_that_they_are_read_for():
    """A user's working hours are refused as such."""
    with pytest.raises(InvalidInput) as refused:
        WeeklyHours.parse({"mon": []}, "working_hours")
    assert refused.value.field == "working_hours"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "always"),
        (OFFICE, "mon-fri 09:00-12:00 13:00-17:00"),
        (OFFICE | {"sat": [["10:00", "24:00"]]}, "mon-fri 09:00-12:00 13:00-17:00, sat 10:00-24:00"),
        ({"mon": [["09:00", "10:00"]], "wed": [["09:00", "10:00"]]}, "mon 09:00-10:00, wed 09:00-10:00"),
    ],
)
def test_hours_are_stored_as_they_were_read_and_told_in_one_line(raw, text):
    """Days without hours are left out."""
    hours = WeeklyHours.parse(raw)
    assert hours.raw() == raw
    assert WeeklyHours.parse(hours.raw()) == hours
    assert hours.text() == text


# days around which the clock of the zone is changed, or ordinary ones
ZONES = [
    ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 6, 10, tzinfo=UTC)),
]


@st.composite
def calendars(draw):
    """A calendar of a few intervals, and a midnight of UTC near which to look at it."""
    zone, around = draw(st.sampled_from(ZONES))
    hours = {}
    for day in draw(st.sets(st.sampled_from(DAYS), min_size=1)):
        edges = draw(st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True).map(sorted))
        pairs = zip(edges[::2], edges[1::2], strict=False)
        hours[day] = [[f"{a // 4:02}:{a % 4 * 15:02}", f"{b // 4:02}:{b % 4 * 15:02}"] for a, b in pairs]
    holidays = draw(st.sets(st.integers(-3, 3).map(lambda n: (around + timedelta(days=n)).date())))
    return BusinessCalendar.parse(hours, zone, holidays=sorted(holidays)), around


@functools.lru_cache(maxsize=64)
def open_minutes(calendar, around):
    """The slow truth: each minute of six days asked by itself, as a list of sums."""
    begin = around - timedelta(days=3)
    sums = [0]
    for minute in range(6 * 1440):
        sums.append(sums[-1] + calendar.is_open(begin + minute * MINUTE))
    return begin, sums


@settings(max_examples=60, deadline=None)
@given(calendars(), st.tuples(*[st.integers(0, 6 * 1440)] * 3).map(sorted))
def test_elapsed_counts_the_open_minutes_and_adds_up(drawn, minutes):
    """Against every minute asked by itself; parts make the whole."""
    begin, sums = open_minutes(*drawn)
    first, middle, last = (begin + minute * MINUTE for minute in minutes)
    elapsed = drawn[0].elapsed
    assert elapsed(first, last) == (sums[minutes[2]] - sums[minutes[0]]) * MINUTE
    assert elapsed(first, middle) + elapsed(middle, last) == elapsed(first, last)


@settings(max_examples=60, deadline=None)
@given(calendars(), st.integers(0, 6 * 1440), st.integers(1, 3000))
def test_the_cutoff_is_the_latest_moment_that_is_long_enough_ago(drawn, minute, needed):
    """Against every minute asked by itself; one microsecond later would not be enough."""
    begin, sums = open_minutes(*drawn)
    calendar, at = drawn[0], begin + minute * MINUTE
    fits = [m for m in range(minute + 1) if sums[minute] - sums[m] >= needed]
    found = calendar.cutoff(at, needed * MINUTE)
    if fits:
        assert found == begin + fits[-1] * MINUTE
    else:
        assert found < begin
    assert found == NEVER or calendar.elapsed(found, at) == needed * MINUTE
    assert calendar.elapsed(found + timedelta(microseconds=1), at) < needed * MINUTE


def test_when_so_much_open_time_has_passed():
    """Counted forward: over lunch and the night; nothing within a year is None."""
    friday = berlin(2026, 11, 20, 16, 0)
    assert office().reached(friday, 2 * HOUR) == berlin(2026, 11, 23, 10, 0)
    assert office().reached(friday, HOUR) == berlin(2026, 11, 20, 17, 0)
    assert ALWAYS.reached(friday, 30 * HOUR) == friday + 30 * HOUR
    assert office().reached(friday, 10_000 * HOUR) is None
