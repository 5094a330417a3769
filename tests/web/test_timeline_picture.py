"""The picture of a request's life: marks, flags and ticks that stay inside it and never overlap."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.factories import START
from web.happenings import Happening, Lane
from web.pictures.timeline import LEFT, RIGHT, Moment, draw

BERLIN = ZoneInfo("Europe/Berlin")
SPANS = st.timedeltas(timedelta(0), timedelta(days=400))


def happening(after=timedelta(0), lane=Lane.PEOPLE, **changes):
    """Something that happened so long after the start."""
    return Happening(START + after, lane, "alice did it", **changes)


@given(st.lists(st.tuples(SPANS, st.sampled_from(Lane), st.booleans()), min_size=1, max_size=40), SPANS)
def test_everything_lies_inside(found, end):
    """Whatever happens when: no mark, flag or tick lies outside, and every happening is counted once."""
    told = [happening(at, lane, to_come=coming) for at, lane, coming in sorted(found, key=lambda one: one[0])]
    picture = draw(told, [Moment(START + end, "expires", "bad")], START + end / 2, BERLIN)
    marks = [mark for row in picture.rows for mark in row.marks]
    assert sum(mark.count for mark in marks) == len(told)
    for x in [one.x for one in (*marks, *picture.flags, *picture.ticks)]:
        assert LEFT <= x <= RIGHT
    assert len(picture.ticks) <= 10


@given(st.lists(SPANS, min_size=1, max_size=8))
def test_flags_of_a_row_do_not_overlap(moments):
    """Names of moments that are near to each other stand in rows of their own."""
    named = [Moment(START + at, "tier 2 may decide", "wait") for at in moments]
    picture = draw([happening()], named, None, BERLIN)
    for one in picture.flags:
        others = [flag for flag in picture.flags if flag is not one and flag.row == one.row]
        assert all(abs(flag.x - one.x) > 1 for flag in others)


def test_what_is_near_becomes_one_mark_with_the_worst_tone():
    """Three things in one second are one mark that says how many, and that one of them is bad."""
    told = [happening(tone="good"), happening(tone="bad"), happening()]
    picture = draw(told, [Moment(START + timedelta(days=1), "expires", "bad")], None, BERLIN)
    [mark] = picture.rows[0].marks
    assert (mark.count, mark.tone, mark.title.count("alice did it")) == (3, "bad", 3)


def test_ticks_are_by_the_readers_clock():
    """A day begins at the reader's midnight, and a day's name stands where it begins."""
    picture = draw([happening()], [Moment(START + timedelta(days=1), "expires", "bad")], None, BERLIN)
    assert "23 Nov 00:00" in [tick.text for tick in picture.ticks]
