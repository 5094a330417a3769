"""The SLA of requests: thresholds, and when one is crossed (service.md, SLA).

Hours of the SLA are hours of the topic's business calendar times the request's `sla_scale`: of a request
whose policy runs ten times as fast, an hour of the SLA is six minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.assignment_steps import Behind
from domain.calendars import ALWAYS, BusinessCalendar
from domain.mint_request import MintStatus

_frozen = ConfigDict(frozen=True)
_S = MintStatus

RETENTION: Final = timedelta(days=90)
"""Snapshots older than this are dropped at the next check."""

MOST_ALERTS: Final = 300
"""Stays that one pass of a check alerts about; the oldest come first."""

MOST_PASSES: Final = 30
"""Passes of one check; what is left then comes with the next one."""

CHECK_WORKFLOW: Final = "SlaCheck"

_HOUR: Final = timedelta(hours=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class StatusType(StrEnum):
    """What a status is about; every type can carry an SLA."""

    WORKFLOW = "workflow"
    SETTLEMENT = "settlement"
    BILLING = "billing"


STATUS_TYPES: Final[Mapping[MintStatus, StatusType]] = MappingProxyType(
    dict.fromkeys(MintStatus, StatusType.WORKFLOW)
    | dict.fromkeys(
        (_S.APPROVED, _S.SUBMITTING, _S.CONFIRMED, _S.FAILED, _S.TIMEOUT_FAILED), StatusType.SETTLEMENT
    )
)
"""The type of a status that the tenant's dictionary says nothing of."""

STATUS_NAMES: Final[Mapping[MintStatus, str]] = MappingProxyType(
    {
        _S.PENDING: "Waiting for decisions",
        _S.APPROVED: "Approved, not yet submitted",
        _S.SUBMITTING: "Submitted to the ledger",
        _S.CONFIRMED: "Minted",
        _S.FAILED: "Failed",
        _S.TIMEOUT_FAILED: "Never landed",
        _S.ANOMALY: "Outcome unclear",
        _S.REJECTED: "Rejected",
        _S.CANCELLED: "Cancelled",
        _S.EXPIRED: "Expired",
    }
)
"""What people call a status that the tenant's dictionary says nothing of."""


@dataclass(frozen=True, order=True)
class Place:
    """Where requests stay: a status of a topic of a tenant."""

    tenant: str
    topic: str
    status: MintStatus

    @property
    def transition(self) -> str:
        """The key of `overdue_by_transition`: every way onward is meant."""
        return f"{self.topic}:{self.status}->*"


@dataclass(frozen=True)
class Terms:
    """What a tenant's dictionaries say of a place."""

    sla_hours: int | None = None
    """The smallest of its transitions onward, else the status's own; None: it has no SLA."""
    type: StatusType = StatusType.WORKFLOW
    calendar_code: str | None = None
    calendar: BusinessCalendar = ALWAYS

    def cutoff(self, at: datetime, scale: int) -> datetime | None:
        """Who entered the status then or earlier is overdue at `at`; None: nobody ever is."""
        if self.sla_hours is None:
            return None
        return self.calendar.cutoff(at, self.sla_hours * _HOUR / scale)

    def due(self, since: datetime, scale: int) -> datetime | None:
        """When who entered the status at `since` becomes overdue; None: never, or not within a year."""
        if self.sla_hours is None:
            return None
        return self.calendar.reached(since, self.sla_hours * _HOUR / scale)


@dataclass(frozen=True)
class Group:
    """Requests of one scale that are at one place now."""

    place: Place
    scale: int
    number: int
    oldest: datetime
    unanswered: int = 0


@dataclass(frozen=True)
class Cutoff:
    """Requests of a group that entered their status at `at` or earlier are overdue."""

    place: Place
    scale: int
    at: datetime


@dataclass(frozen=True)
class Total:
    """A sum to average: `seconds` of the SLA over `number` of something."""

    number: int = 0
    seconds: float = 0.0

    def __add__(self, other: Total) -> Total:
        return Total(self.number + other.number, self.seconds + other.seconds)

    def average(self, unit: timedelta) -> float | None:
        """In units, to two decimals; None when there is nothing to average."""
        return round(self.seconds / self.number / unit.total_seconds(), 2) if self.number else None


class SlaStep(BaseModel):
    """Argument of both activities: the moment that is looked at."""

    model_config = _frozen

    at: AwareDatetime
    behind: Behind | None = None
    """Where the last pass of alerts has come to."""


class AlertPass(BaseModel):
    """What one pass has done."""

    model_config = _frozen

    raised: int = 0
    failed: int = 0
    behind: Behind | None = None
    """Set when there may be more."""


def occurrence_of(status: MintStatus, since: datetime) -> str:
    """What tells one stay in a status from the next: the moment of entry, in microseconds since 1970."""
    return f"{status}:{(since - _EPOCH) // timedelta(microseconds=1)}"


def cutoffs(terms: Mapping[Place, Terms], groups: Iterable[Group], at: datetime) -> list[Cutoff]:
    """One for each group whose place has an SLA."""
    found = []
    for group in groups:
        moment = terms.get(group.place, Terms()).cutoff(at, group.scale)
        if moment is not None:
            found.append(Cutoff(group.place, group.scale, moment))
    return found
