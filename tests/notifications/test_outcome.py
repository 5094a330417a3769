"""When a message is tried again: the rules of `outcome` and `holds`."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from activities.notifications import outcome
from activities.notifications.channels import Accepted, DeliveryAmbiguous, DeliveryFailed, DeliveryRefused
from activities.notifications.holds import Holds
from domain.records import DeliveryJob, DeliveryState

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def a_job(**changed):
    """A message to a Slack channel in its first of three attempts, a minute apart."""
    values = {
        "id": "0" * 64,
        "tenant": "acme",
        "request_id": "mr_01KAN3D0000000000000000000",
        "kind": "opened",
        "channel": "slack-mint",
        "channel_kind": "slack",
        "target": "#mint",
        "recipient": "#mint",
        "time_zone": "UTC",
        "attempt": 1,
        "max_attempts": 3,
        "backoff_seconds": 60,
        "due_at": NOW,
        "rule_id": "p1",
        "expires_at": NOW + timedelta(days=1),
    }
    return DeliveryJob(**values | changed)


def after(error, doubtful=False, **changed):
    """What follows from an error now."""
    return outcome.after_error(a_job(**changed), error, NOW, doubtful=doubtful)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 60), (2, 120), (3, 240), (7, 3600), (1000, 3600)])
def test_the_back_off_doubles_up_to_an_hour(attempt, seconds):
    """The policy's seconds, doubled with each attempt, never more than an hour."""
    said = after(DeliveryFailed("busy"), attempt=attempt, max_attempts=attempt + 1)
    assert (said.state, said.retry_at) == (DeliveryState.FAILED, NOW + timedelta(seconds=seconds))
    assert said.counted


def test_the_providers_own_time_wins_and_costs_no_attempt():
    """`Retry-After` replaces the back-off, even in the last attempt."""
    said = after(DeliveryFailed("limit", retry_after=7.0), attempt=3)
    assert (said.state, said.retry_at) == (DeliveryState.FAILED, NOW + timedelta(seconds=7))
    assert not said.counted


def test_an_absurd_retry_after_is_cut_to_a_day():
    """No number that a provider sends can overflow or put a message off for ever."""
    assert after(DeliveryFailed("limit", retry_after=1e300)).retry_at == NOW + timedelta(days=1)


def test_rate_limits_do_not_go_on_for_ever():
    """From the twentieth attempt on a rate limit counts as a failure."""
    assert after(DeliveryFailed("limit", retry_after=1.0), attempt=20, max_attempts=22).counted
    assert after(DeliveryFailed("limit", retry_after=1.0), attempt=22, max_attempts=22).state == "dead"


@pytest.mark.parametrize(
    ("error", "doubtful", "attempt", "state"),
    [
        (DeliveryAmbiguous("lost"), False, 1, DeliveryState.AMBIGUOUS),
        (DeliveryAmbiguous("lost"), True, 2, DeliveryState.DEAD),
        (DeliveryAmbiguous("lost"), False, 3, DeliveryState.DEAD),
        (DeliveryFailed("busy"), True, 2, DeliveryState.FAILED),
        (DeliveryFailed("busy"), False, 3, DeliveryState.DEAD),
        (DeliveryRefused("no"), False, 1, DeliveryState.DEAD),
    ],
)
def test_what_an_error_leads_to(error, doubtful, attempt, state):
    """One lost answer may be repeated, two never; refused for good is over; attempts are finite."""
    assert after(error, doubtful, attempt=attempt).state is state


def test_a_providers_words_become_one_plain_line():
    """What goes into a row holds neither NUL, which PostgreSQL refuses, nor a second line."""
    assert after(DeliveryRefused("no\0\nERROR forged")).text == "no ERROR forged"
    assert outcome.accepted(a_job(), Accepted("a\0b"), NOW).provider_id == "a b"


async def test_a_destination_that_asked_for_a_pause_gets_one_message_at_a_time():
    """Turns of one destination never overlap once it asked; another destination does not wait."""
    holds, inside, most = Holds(), 0, 0
    holds.hold(a_job(), NOW)

    async def visit():
        nonlocal inside, most
        async with holds.turn(a_job()):
            inside, most = inside + 1, max(most, inside + 1)
            async with holds.turn(a_job(target="#other")):
                await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(visit() for _ in range(5)))
    assert (inside, most) == (0, 1)


def test_a_pause_holds_for_its_destination_only():
    """Slack limits a channel, SendGrid the account; a pause that is over holds nobody."""
    holds, later = Holds(), NOW + timedelta(seconds=5)
    holds.hold(a_job(), later)
    holds.hold(a_job(channel_kind="email", target="carol@acme.test"), later)
    assert holds.until(a_job(), NOW) == later
    assert holds.until(a_job(target="#other"), NOW) is None
    assert holds.until(a_job(channel_kind="email", target="dave@acme.test"), NOW) == later
    assert holds.until(a_job(), later) is None


def test_a_webhook_that_asked_for_a_pause_holds_no_other():
    """Their addresses are in their channels' settings, so the channel tells them apart."""
    holds, later = Holds(), NOW + timedelta(seconds=5)
    holds.hold(a_job(channel_kind="webhook", channel="one", target=""), later)
    assert holds.until(a_job(channel_kind="webhook", channel="one", target=""), NOW) == later
    assert holds.until(a_job(channel_kind="webhook", channel="two", target=""), NOW) is None
    assert holds.until(a_job(channel_kind="webhook", channel="one", target="", tenant="b"), NOW) is None
