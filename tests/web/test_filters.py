"""How pages write amounts, moments and time left."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.sessions import Person, SessionKind
from web.filters import amount, amount_text, countdown, local, short_account, time_left


def person(zone):
    """Somebody of that time zone."""
    return Person("acme", "alice", frozenset(), 1, zone, "ws_1", SessionKind.BROWSER, (), False)


@pytest.mark.parametrize(
    ("stroops", "said"),
    [
        (1, "0.0000001"),
        (10**7, "1.00"),
        (25_000_000_001, "2,500.0000001"),
        (15 * 10**6, "1.50"),
        (2**63 - 1, "922,337,203,685.4775807"),
    ],
)
def test_amounts_are_exact(stroops, said):
    """At least two decimals, at most seven, and never rounded."""
    assert amount_text(stroops) == said


def test_what_comes_from_outside_is_escaped():
    """Neither an asset nor an account brings markup."""
    assert "<b>" not in amount(10**7, "<b>:G")
    assert "<b>" not in short_account("<b>" * 10)
    assert 'title="1.0000000 EURT:GABC"' in amount(10**7, "EURT:GABC")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "overdue"),
        (0, "overdue"),
        (59, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (11_520, "3 h 12 min"),
        (86_399, "23 h 59 min"),
        (97_200, "1 d 3 h"),
    ],
)
def test_time_left_in_words(seconds, said):
    """The two largest units; nothing left is overdue."""
    assert time_left(seconds) == said


def test_moments_are_in_the_persons_zone():
    """With its abbreviation; the year where it isn't this one; an unknown zone is UTC; None is nothing."""
    moment = datetime(2020, 11, 22, 13, 5, tzinfo=UTC)
    assert local(moment, person("Europe/Berlin")) == (
        '<time datetime="2020-11-22T13:05:00Z">22 Nov 2020 14:05 CET</time>'
    )
    assert "13:05 UTC" in local(moment, person("Nowhere/Land"))
    assert "13:05 UTC" in local(moment)
    assert local(None, person("UTC")) == countdown(None) == ""
    this_year = datetime.now(UTC).replace(month=6, day=15)
    assert str(this_year.year) not in local(this_year, person("UTC")).split(">")[1]


def test_a_countdown_says_how_urgent_it_is():
    """Its class is for the eye, its words say the same."""
    now = datetime.now(UTC)
    assert 'class="countdown"' in countdown(now + timedelta(hours=5))
    assert 'class="countdown soon"' in countdown(now + timedelta(minutes=30))
    assert ">overdue<" in countdown(now - timedelta(seconds=1))
