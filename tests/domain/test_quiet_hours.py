"""Quiet hours: when they end, on ordinary days and on those on which the clock is changed."""

import functools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.quiet_hours import DAYS, LONGEST, NO_QUIET_HOURS, QuietHours, deferred_until

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

# a moment near which the clock of the zone is changed, or an ordinary one
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("America/St_Johns", datetime(2006, 10, 29, 2, 31, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 5, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 6, 10, 12, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 6, 10, 12, tzinfo=UTC)),
    ("UTC", datetime(2026, 6, 10, 12, tzinfo=UTC)),
]

times = st.builds(
    lambda hour, minute: f"{hour:02}:{minute:02}",
    # most edges near the hours at which clocks are changed
    st.one_of(st.integers(0, 4), st.integers(0, 23)),
    st.one_of(st.sampled_from([0, 15, 30, 45]), st.integers(0, 59)),
)


def hours(*windows):
    """Quiet hours out of `(days, from, to, zone)`."""
    return QuietHours.parse([a_window(*window) for window in windows])


def a_window(days, begin, end, zone):
    """A window as it is stored; `days` separated by blanks."""
    return {"days": days.split(), "from": begin, "to": end, "zone": zone}


EVERY_DAY = " ".join(DAYS)
NIGHTS = (EVERY_DAY, "22:00", "07:00", "Europe/Berlin")


def berlin(*moment, fold=0):
    """A moment by Berlin's clock."""
    return datetime(*moment, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)


def utc(day, hour, minute):
    """A moment near Berlin's spring jump, March 2026."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


JUMP = utc(29, 1, 0)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ((2026, 6, 10, 21, 59), None),
        ((2026, 6, 10, 22, 0), (2026, 6, 11, 7, 0)),
        ((2026, 6, 11, 0, 30), (2026, 6, 11, 7, 0)),
        ((2026, 6, 11, 6, 59), (2026, 6, 11, 7, 0)),
        ((2026, 6, 11, 7, 0), None),
    ],
)
def test_a_window_crosses_midnight_and_its_end_is_free(at, until):
    """From its first minute to the minute before its end."""
    assert hours(NIGHTS).until(berlin(*at)) == (berlin(*until) if until else None)


def test_a_day_names_the_day_on_which_the_window_begins():
    """Friday's night goes on into Saturday; Saturday has none of its own."""
    friday = hours(("fri", "22:00", "07:00", "Europe/Berlin"))
    assert friday.until(berlin(2026, 6, 13, 6, 0)) == berlin(2026, 6, 13, 7, 0)
    assert friday.until(berlin(2026, 6, 13, 23, 0)) is None
    assert friday.until(berlin(2026, 6, 12, 6, 0)) is None


def test_windows_that_touch_or_overlap_are_joined():
    """Nights and a whole weekend: from Friday night to Monday morning."""
    weekend = hours(NIGHTS, ("sat sun", "00:00", "24:00", "Europe/Berlin"))
    assert weekend.until(berlin(2026, 6, 12, 23, 0)) == berlin(2026, 6, 15, 7, 0)
    touching = hours(("wed", "08:00", "09:00", "Europe/Berlin"), ("wed", "09:00", "10:00", "Europe/Berlin"))
    assert touching.until(berlin(2026, 6, 10, 8, 30)) == berlin(2026, 6, 10, 10, 0)


def test_the_end_is_given_in_utc():
    """What is stored does not depend on the zone of the window."""
    assert hours(NIGHTS).until(berlin(2026, 6, 10, 23, 0)).tzinfo is UTC


@pytest.mark.parametrize(
    ("begin", "end", "first", "last"),
    [
        ("22:00", "02:30", utc(28, 21, 0), JUMP),
        ("02:30", "07:00", JUMP, utc(29, 5, 0)),
        ("22:00", "07:00", utc(28, 21, 0), utc(29, 5, 0)),
        ("03:00", "07:00", JUMP, utc(29, 5, 0)),
        ("22:00", "02:00", utc(28, 21, 0), JUMP),
    ],
)
def test_an_edge_that_spring_skips_is_the_jump(begin, end, first, last):
    """Berlin's 02:00 to 03:00 is no time at all that night: neither early nor late."""
    window = hours((EVERY_DAY, begin, end, "Europe/Berlin"))
    assert window.until(first - MINUTE) is None
    assert window.until(first) == last
    assert window.until(last - MINUTE) == last
    assert window.until(last) is None


def test_a_window_inside_the_hour_that_spring_skips_does_not_happen():
    """It has no moment that night, and is there again the next."""
    window = hours((EVERY_DAY, "02:15", "02:45", "Europe/Berlin"))
    assert all(window.until(JUMP + minute * MINUTE) is None for minute in range(-90, 90))
    assert window.until(utc(30, 0, 15)) == utc(30, 0, 45)


@pytest.mark.parametrize(
    ("begin", "end", "first", "last"),
    [
        ("22:00", "02:30", berlin(2026, 10, 24, 22, 0), berlin(2026, 10, 25, 2, 30, fold=1)),
        ("02:30", "07:00", berlin(2026, 10, 25, 2, 30), berlin(2026, 10, 25, 7, 0)),
        ("02:15", "02:45", berlin(2026, 10, 25, 2, 15), berlin(2026, 10, 25, 2, 45, fold=1)),
        # the clock is set back to 02:00, which is no moment before 02:00
        ("22:00", "02:00", berlin(2026, 10, 24, 22, 0), berlin(2026, 10, 25, 2, 0)),
        ("03:00", "07:00", berlin(2026, 10, 25, 3, 0), berlin(2026, 10, 25, 7, 0)),
    ],
)
def test_an_edge_that_autumn_repeats_begins_early_and_ends_late(begin, end, first, last):
    """Whoever sleeps by the clock is not woken in the hour that comes twice."""
    window = hours((EVERY_DAY, begin, end, "Europe/Berlin"))
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    assert window.until(first - MINUTE) is None
    assert window.until(first) == last
    assert window.until(last - MINUTE) == last
    assert window.until(last) is None


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"zone": "Europe/Nowhere"}, "zone"),
        ({"zone": ""}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"zone": None}, "zone"),
        ({"zone": 7}, "zone"),
        ({"from": "24:00"}, "from"),
        ({"from": "7:00"}, "from"),
        ({"from": "22:00\n"}, "from"),
        ({"from": "２２:00"}, "from"),
        ({"from": None}, "from"),
        ({"to": "07:60"}, "to"),
        ({"to": 7}, "to"),
        ({"to": "22:00"}, "to"),
        ({"days": []}, "days"),
        ({"days": None}, "days"),
        ({"days": "mon"}, "days"),
        ({"days": ["monday"]}, "days"),
        ({"days": [1]}, "days"),
        ({"until": "07:00"}, "until"),
    ],
)
def test_what_is_wrong_is_named(changed, field):
    """An error says which field, so that it can be mended."""
    with pytest.raises(InvalidInput) as refused:
        QuietHours.parse([a_window(*NIGHTS) | changed])
    assert refused.value.field == field


@pytest.mark.parametrize(
    "windows",
    [
        [(EVERY_DAY, "00:00", "24:00", "Europe/Berlin")],
        [(EVERY_DAY, "07:00", "22:00", "Europe/Berlin"), NIGHTS],
        [(EVERY_DAY, "12:00", "12:01", "UTC"), (EVERY_DAY, "12:01", "12:00", "UTC")],
        # they leave nothing free in summer only
        [(EVERY_DAY, "00:00", "12:00", "UTC"), (EVERY_DAY, "13:00", "02:00", "Europe/London")],
    ],
)
def test_windows_that_cover_the_whole_week_are_refused(windows):
    """Nothing would ever be sent."""
    with pytest.raises(InvalidInput, match="left free"):
        hours(*windows)


def test_no_more_windows_than_anybody_can_read():
    """A list without end is refused."""
    with pytest.raises(InvalidInput, match="at most 20"):
        hours(*[("mon", "01:00", "02:00", "UTC")] * 21)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "days": st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
                "from": times,
                "to": times,
                "zone": st.sampled_from([zone for zone, _ in CHANGES]),
            }
        ).filter(lambda window: window["from"] != window["to"]),
        max_size=3,
    )
)
def test_what_is_stored_reads_the_same(windows):
    """Through the database and back nothing changes."""
    try:
        parsed = QuietHours.parse(windows)
    except InvalidInput:
        return
    assert QuietHours.parse(parsed.raw()) == parsed
    assert [(w["from"], w["to"], w["zone"]) for w in parsed.raw()] == [
        (w["from"], w["to"], w["zone"]) for w in windows
    ]


def test_the_end_of_the_day_is_kept_apart_from_its_beginning():
    """24:00 and 00:00 are the same moment of different days, and both can be written."""
    whole = hours(("sat", "00:00", "24:00", "UTC"))
    half = hours(("sat", "12:00", "00:00", "UTC"))
    assert QuietHours.parse(whole.raw()) == whole
    assert QuietHours.parse(half.raw()) == half
    noon = datetime(2026, 6, 13, 12, tzinfo=UTC)
    assert whole.until(noon) == half.until(noon) == datetime(2026, 6, 14, tzinfo=UTC)


@functools.cache
def clock_of(zone, begin, end):
    """Each minute in [begin, end) with the date and the minute of the day that the zone's clocks show."""
    shown = []
    for number in range(int((end - begin) / MINUTE)):
        at = begin + number * MINUTE
        local = at.astimezone(ZoneInfo(zone))
        shown.append((at, local.date(), local.hour * 60 + local.minute))
    return shown


def quiet_minutes(windows, begin, end):
    """Minutes in [begin, end) that are quiet: each window minute by minute from what the clocks show.

    A stretch of a window is everything from its first to its last minute, whatever the clock does
    between them. Shares nothing with the code under test.
    """
    quiet = set()
    for window in windows:
        start = int(window["from"][:2]) * 60 + int(window["from"][3:])
        stop = int(window["to"][:2]) * 60 + int(window["to"][3:])
        length = (stop - start) % 1440
        stretches = {}
        for at, date, minute in clock_of(window["zone"], begin - 3 * DAY, end + 3 * DAY):
            since_start = (minute - start) % 1440
            if since_start < length:
                began = date if since_start <= minute else date - DAY
                stretches.setdefault(began, []).append(at)
        for day, minutes in stretches.items():
            if DAYS[day.weekday()] in window["days"]:
                at, last = minutes[0], minutes[-1]
                while at <= last:
                    quiet.add(at)
                    at += MINUTE
    return quiet


@settings(max_examples=80, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    windows=st.lists(
        st.tuples(st.lists(st.sampled_from(DAYS), min_size=1, unique=True), times, times).filter(
            lambda window: window[1] != window[2]
        ),
        min_size=1,
        max_size=3,
    ),
    minutes=st.lists(st.integers(-1500, 1500), min_size=30, max_size=30),
)
def test_it_is_as_an_independent_count_of_minutes_says(change, windows, minutes):
    """On every day, in every zone, also when the clock is changed: same minutes, same ends."""
    zone, moment = change
    raw = [{"days": days, "from": begin, "to": end, "zone": zone} for days, begin, end in windows]
    try:
        parsed = QuietHours.parse(raw)
    except InvalidInput:
        return
    begin, end = moment - 2 * DAY, moment + 5 * DAY
    quiet = quiet_minutes(raw, begin, end)
    for at in (moment + offset * MINUTE for offset in minutes):
        expected = at
        while expected in quiet:
            expected += MINUTE
        if expected < end:
            assert parsed.until(at) == (expected if expected > at else None)


AT = berlin(2026, 6, 10, 23, 0)
MORNING = berlin(2026, 6, 11, 7, 0)


def test_a_persons_own_hours_stand_in_the_place_of_the_tenants():
    """Both are never added up: who works at night says so."""
    night = hours(NIGHTS)
    day = hours((EVERY_DAY, "08:00", "17:00", "Europe/Berlin"))
    assert deferred_until(AT, night, NO_QUIET_HOURS, None) == MORNING
    assert deferred_until(AT, night, day, None) is None
    assert deferred_until(AT, day, night, None) == MORNING
    assert deferred_until(AT, NO_QUIET_HOURS, NO_QUIET_HOURS, None) is None


@pytest.mark.parametrize(
    ("urgent_from", "until"),
    [
        (MORNING + MINUTE, MORNING),
        (MORNING - MINUTE, MORNING - MINUTE),
        (AT + MINUTE, AT + MINUTE),
        (AT, None),
        (AT - MINUTE, None),
    ],
)
def test_nothing_waits_beyond_the_moment_from_which_it_is_urgent(urgent_from, until):
    """A request never expires with nobody told, however long the night is."""
    assert deferred_until(AT, hours(NIGHTS), NO_QUIET_HOURS, urgent_from) == until


@given(st.integers(0, 10_000_000), st.integers(0, 100_000))
def test_a_wait_is_never_in_the_past_nor_endless(minute, urgent):
    """Whatever is deferred goes out later than it was due, and within a week."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + minute * MINUTE
    until = deferred_until(at, hours(NIGHTS), NO_QUIET_HOURS, at + urgent * MINUTE)
    assert until is None or at < until <= at + min(LONGEST, urgent * MINUTE)
