"""Settings of channels, and the token bucket that a rate makes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.channels import Rate, check_settings
from domain.errors import InvalidInput

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOOK = {"url": "https://hooks.example/mint", "secret": "env:HOOK_SECRET"}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("in-app", {}),
        ("slack", {"channel": "#mint"}),
        ("telegram", {"chat_id": "-1"}),
        ("pagerduty", {"routing_key": "file:/run/key", "severity": "error"}),
        ("pagerduty", {}),
        ("webhook", HOOK),
        ("webhook", HOOK | {"url": "http://127.0.0.1:8080/x"}),
        ("webhook", HOOK | {"url": "http://[::1]/x"}),
        ("webhook", HOOK | {"url": "http://localhost/x"}),
    ],
)
def test_settings_that_can_work_are_taken(kind, settings):
    """They are stored as they were given."""
    assert check_settings(kind, settings) == settings


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("fax", {}, "unknown channel kind"),
        ("slack", {}, "needs the setting 'channel'"),
        ("slack", {"channel": "#mint", "chanel": "#x"}, "has no setting 'chanel'"),
        ("in-app", {"per_minute": "5"}, "it has none"),
        ("webhook", {"url": "https://x.example"}, "needs the setting 'secret'"),
        ("webhook", HOOK | {"secret": "whsec_abc"}, "must be a reference"),
        ("pagerduty", {"routing_key": "0123456789abcdef"}, "must be a reference"),
        ("pagerduty", {"severity": "loud"}, "severity must be one of"),
        ("webhook", HOOK | {"url": "http://hooks.example/mint"}, "https://"),
        ("webhook", HOOK | {"url": "http://127.0.0.1.example/x"}, "https://"),
        ("webhook", HOOK | {"url": "ftp://127.0.0.1/x"}, "https://"),
        ("webhook", HOOK | {"url": "https://user:pw@hooks.example"}, "user or a password"),
        ("webhook", HOOK | {"url": "https://hooks.example:port/"}, "not a URL"),
        ("webhook", HOOK | {"url": "https:///x"}, "not a URL"),
        ("webhook", HOOK | {"url": "https://hooks.example/a b"}, "not a URL"),
        ("email", {"burst": "5"}, "needs per_minute"),
        ("email", {"per_minute": "0"}, "whole number"),
        ("email", {"per_minute": "-1"}, "whole number"),
        ("email", {"per_minute": "1.5"}, "whole number"),
        ("email", {"per_minute": "60", "burst": "9" * 5000}, "whole number"),
    ],
)
def test_settings_that_can_not_work_are_refused_when_they_are_set(kind, settings, said):
    """One line says what is wrong."""
    with pytest.raises(InvalidInput, match=said):
        check_settings(kind, settings)


def test_a_rate_is_stored_as_numbers():
    """What the command line hands over as text."""
    assert check_settings("email", {"per_minute": "60", "burst": "5"}) == {"per_minute": 60, "burst": 5}
    assert Rate.of({"per_minute": 60}) == Rate(60, 1)
    assert Rate.of({}) is None


@given(
    per_minute=st.integers(1, 600),
    burst=st.integers(1, 50),
    pauses=st.lists(st.integers(0, 5000), min_size=1, max_size=200),
)
def test_no_minute_sees_more_than_the_burst_and_the_rate(per_minute, burst, pauses):
    """Whenever messages come: their moments never lie behind them, keep their order, and keep to the rate."""
    rate, free_at, now, slots = Rate(per_minute, burst), NOW, NOW, []
    for pause in pauses:
        now += timedelta(milliseconds=pause)
        slot, free_at = rate.take(free_at, now)
        assert slot >= now
        slots.append(slot)
    assert slots == sorted(slots)
    for first, slot in enumerate(slots):
        within = [other for other in slots[first:] if other < slot + timedelta(minutes=1)]
        assert len(within) <= burst + per_minute


def test_after_a_pause_the_burst_goes_at_once():
    """Three at once, then one a second."""
    rate, free_at, seconds = Rate(60, 3), NOW - timedelta(hours=1), []
    for _ in range(5):
        slot, free_at = rate.take(free_at, NOW)
        seconds.append((slot - NOW).total_seconds())
    assert seconds == [0, 0, 0, 1, 2]
