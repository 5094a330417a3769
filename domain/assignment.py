"""Who works on a request that nobody took: who may get it, in which order, and why somebody doesn't."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from domain.calendars import ALWAYS, BusinessCalendar
from domain.mint_request import utc_text
from domain.records import RequestRecord

_NEVER = datetime.min.replace(tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unfit(StrEnum):
    """Why somebody does not get a request; stable words for audit and CLI."""

    INACTIVE = "inactive"
    NO_APPROVER = "no_approver"
    REQUESTER = "requester"
    OFF_TOPIC = "off_topic"
    TIER_NOT_ELIGIBLE = "tier_not_eligible"
    HAS_APPROVED = "has_approved"
    OUT_OF_OFFICE = "out_of_office"
    AT_MAX_LOAD = "at_max_load"
    OUTSIDE_WORKING_HOURS = "outside_working_hours"


@dataclass(frozen=True)
class Obstacle:
    """One reason, with what people read."""

    reason: Unfit
    words: str


@dataclass(frozen=True)
class Candidate:
    """What is known of a user when a request is to be assigned."""

    name: str
    active: bool = True
    is_approver: bool = True
    tier: int | None = None
    primary_topic: str | None = None
    topics: frozenset[str] = frozenset()
    """Additional ones."""
    load: int = 0
    """Assigned requests that have not ended."""
    max_load: int | None = None
    last_assigned_at: datetime | None = None
    absent_until: datetime | None = None
    """The end of the absence that lasts now."""
    working: BusinessCalendar = ALWAYS


@dataclass(frozen=True)
class Matter:
    """What of a request decides who may get it."""

    topic: str
    requester: str
    tiers: frozenset[int]
    """Those that may decide it now."""
    approved_by: frozenset[str] = frozenset()
    """Whose authority was used already."""

    @classmethod
    def of(cls, record: RequestRecord) -> Matter:
        """Of a request as it stands."""
        used = {name for given in record.approvals for name in (given.approver, given.on_behalf_of) if name}
        return cls(
            topic=record.request.topic,
            requester=record.request.requester,
            tiers=frozenset(record.rule.eligible_tiers(record.granted_tiers)),
            approved_by=frozenset(used),
        )


@dataclass(frozen=True)
class Place:
    """Where somebody stands: the rank among those who fit, counted from 1, or what stands in the way."""

    candidate: Candidate
    rank: int | None
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Who gets a request."""

    candidate: Candidate | None
    """None: nobody can have it now."""
    only_closed: bool = False
    """Somebody would fit at another hour of the day, so it just waits."""


def obstacles(candidate: Candidate, matter: Matter, at: datetime) -> Iterator[Obstacle]:
    """Everything that keeps a request from somebody at `at`; the working hours come last."""
    if not candidate.active:
        yield Obstacle(Unfit.INACTIVE, "is not active")
    if not candidate.is_approver:
        yield Obstacle(Unfit.NO_APPROVER, "is no approver")
    if candidate.name.casefold() == matter.requester.casefold():
        yield Obstacle(Unfit.REQUESTER, "asked for it")
    if matter.topic not in (candidate.primary_topic, *candidate.topics):
        yield Obstacle(Unfit.OFF_TOPIC, f"does not work on {matter.topic}")
    if candidate.tier not in matter.tiers:
        eligible = ", ".join(map(str, sorted(matter.tiers))) or "none"
        yield Obstacle(
            Unfit.TIER_NOT_ELIGIBLE, f"tier {candidate.tier} may not decide it yet: {eligible} may"
        )
    if candidate.name in matter.approved_by:
        yield Obstacle(Unfit.HAS_APPROVED, "has approved it already")
    if candidate.absent_until is not None and at < candidate.absent_until:
        yield Obstacle(Unfit.OUT_OF_OFFICE, f"is out of office until {utc_text(candidate.absent_until)}")
    if candidate.max_load is not None and candidate.load >= candidate.max_load:
        yield Obstacle(Unfit.AT_MAX_LOAD, f"has {candidate.load} open requests, at most {candidate.max_load}")
    if not candidate.working.is_open(at):
        hours = candidate.working.hours.text()
        yield Obstacle(Unfit.OUTSIDE_WORKING_HOURS, f"works {hours} ({candidate.working.zone.key})")


def is_primary(candidate: Candidate, topic: str) -> bool:
    """Tell whether the topic is the one that they belong to."""
    return candidate.primary_topic == topic


def order(candidate: Candidate, topic: str) -> tuple[bool, int, datetime, str]:
    """Sorts those who fit: primary topic, lowest load, longest without an assignment, name."""
    since = candidate.last_assigned_at or _NEVER
    return (not is_primary(candidate, topic), candidate.load, since, candidate.name)


def choose(candidates: Iterable[Candidate], matter: Matter, at: datetime) -> Choice:
    """The first of those who fit at `at`."""
    fit, only_closed = [], False
    for candidate in candidates:
        first = next(obstacles(candidate, matter, at), None)
        if first is None:
            fit.append(candidate)
        only_closed |= first is not None and first.reason is Unfit.OUTSIDE_WORKING_HOURS
    best = min(fit, key=lambda one: order(one, matter.topic), default=None)
    return Choice(best, only_closed=best is None and only_closed)


def explain(candidates: Iterable[Candidate], matter: Matter, at: datetime) -> list[Place]:
    """Everybody's place: those who fit in their order, then the others by name with all their obstacles."""
    fit: list[Candidate] = []
    others: list[Place] = []
    for candidate in sorted(candidates, key=lambda one: one.name):
        found = tuple(obstacles(candidate, matter, at))
        if found:
            others.append(Place(candidate, None, found))
        else:
            fit.append(candidate)
    fit.sort(key=lambda one: order(one, matter.topic))
    return [Place(candidate, rank) for rank, candidate in enumerate(fit, 1)] + others


def why_nobody(candidates: Sequence[Candidate], matter: Matter, at: datetime) -> str:
    """Say in one line why nobody gets it: how many fail at which rule first."""
    counts: dict[Unfit, int] = {}
    for candidate in candidates:
        first = next(obstacles(candidate, matter, at), None)
        if first is not None:
            counts[first.reason] = counts.get(first.reason, 0) + 1
    told = ", ".join(f"{counts[reason]} {reason.replace('_', ' ')}" for reason in Unfit if reason in counts)
    return f"no approver can take it: {told}" if told else "there is no approver who could take it"


def due_after(hours: int, sla_scale: int) -> timedelta:
    """How long a request may be unassigned: hours of the SLA, of which each lasts 1/scale real hours."""
    return timedelta(hours=hours) / sla_scale


def stint(since: datetime) -> int:
    """Names one time of being unassigned: microseconds from the epoch to its begin."""
    return (since - _EPOCH) // timedelta(microseconds=1)
