"""What one attempt came to, and when to try again: the rules, without any clock or connection.

* A provider that refused for good, or a message that can't be built: dead.
* Refused for now: again after the provider's own `Retry-After`, else after the policy's back-off,
  doubled with each attempt; dead once the policy's attempts are used up. A refusal that names its
  own time is no fault of the message and uses up none of them, within MOST_UNCOUNTED.
* The next attempt would come after the end of its run, when nobody needs it any more: dead at once, so
  that another channel can tell them in time.
* The answer was lost: once more after the back-off, then dead. Told twice is better than forgotten,
  and the message carries its delivery id, by which a repeat is recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from activities.notifications.channels import (
    Accepted,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
)
from activities.notifications.facts import LONGEST_REASON, one_line
from domain.records import DeliveryJob, DeliveryState

LONGEST_BACKOFF = 3600

LONGEST_RETRY_AFTER = 86_400
"""Seconds. A provider may ask for any number; few requests live longer than this."""

MOST_UNCOUNTED = 20
"""From this attempt on, one that meets a rate limit counts as well."""


@dataclass(frozen=True)
class Outcome:
    """One attempt of `job`, ended at `at`.

    `state` PENDING means: given back untried. `text` is the error, the reason of a skip, or the
    channel's note, always one line. `retry_at` is set for FAILED, AMBIGUOUS and PENDING. `counted` is
    false when the attempt used up none of the policy's. `ack_sha256` is that of the acknowledgement token
    which the message carried, empty if it carried none.
    """

    job: DeliveryJob
    state: DeliveryState
    at: datetime
    text: str = ""
    provider_id: str = ""
    retry_at: datetime | None = None
    counted: bool = True
    ack_sha256: str = ""


def accepted(job: DeliveryJob, answer: Accepted, at: datetime) -> Outcome:
    """The provider took the message."""
    return Outcome(job, DeliveryState.ACCEPTED, at, answer.note, one_line(answer.provider_id or ""))


def skipped(job: DeliveryJob, why: str, at: datetime) -> Outcome:
    """Nobody needs the message any more; nothing was sent."""
    return Outcome(job, DeliveryState.SKIPPED, at, why)


def given_back(job: DeliveryJob, at: datetime, until: datetime | None = None) -> Outcome:
    """Nothing was tried: whoever claims the row next, not before `until`, starts where this one did."""
    return Outcome(job, DeliveryState.PENDING, at, retry_at=until or at)


def dead(job: DeliveryJob, error: str, at: datetime) -> Outcome:
    """Given up; `mintkeeper deliveries retry` revives it."""
    return Outcome(job, DeliveryState.DEAD, at, one_line(error, LONGEST_REASON))


def for_all(said: Outcome, jobs: Sequence[DeliveryJob]) -> list[Outcome]:
    """The outcome of one message as that of each delivery that it was sent for."""
    text = said.text
    if said.state is DeliveryState.ACCEPTED and len(jobs) > 1:
        about = len({job.request_id for job in jobs})
        text = "; ".join(filter(None, [f"one message for {about} request{'s' * (about > 1)}", text]))
    return [replace(said, job=job, text=text) for job in jobs]


def after_error(job: DeliveryJob, error: DeliveryError, at: datetime, *, doubtful: bool) -> Outcome:
    """What follows from a channel's error; `doubtful`: an earlier attempt lost its answer too."""
    is_last = job.attempt >= job.max_attempts
    text = one_line(error.message, LONGEST_REASON)
    found = dead(job, text, at)
    if isinstance(error, DeliveryAmbiguous) and not (doubtful or is_last):
        found = Outcome(job, DeliveryState.AMBIGUOUS, at, text, retry_at=at + backoff(job))
    elif isinstance(error, DeliveryFailed):
        if error.retry_after is not None and job.attempt < MOST_UNCOUNTED:
            retry_at = at + pause(error.retry_after)
            found = Outcome(job, DeliveryState.FAILED, at, text, retry_at=retry_at, counted=False)
        elif not is_last:
            found = Outcome(job, DeliveryState.FAILED, at, text, retry_at=at + backoff(job))
    if found.retry_at is not None and comes_too_late(job, found.retry_at):
        return dead(job, text, at)
    return found


def comes_too_late(job: DeliveryJob, retry_at: datetime) -> bool:
    """Tell whether the run of a stage's message is over by then; any other message is never too late."""
    return job.stage is not None and retry_at >= job.expires_at


def pause(retry_after: float) -> timedelta:
    """The wait that a provider asked for, in seconds, within reason."""
    return timedelta(seconds=min(retry_after, LONGEST_RETRY_AFTER))


def backoff(job: DeliveryJob) -> timedelta:
    """The wait after the job's attempt: the policy's seconds, doubled with each attempt."""
    doublings = min(job.attempt - 1, MOST_UNCOUNTED)
    return timedelta(seconds=min(job.backoff_seconds * 2**doublings, LONGEST_BACKOFF))
