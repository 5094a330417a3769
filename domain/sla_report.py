"""The report of `sla_check`: what was counted, as figures for all, for each tenant and for each status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.mint_request import TERMINAL, MintStatus
from domain.sla import STATUS_TYPES, Group, Place, StatusType, Terms, Total

_frozen = ConfigDict(frozen=True)
_HOUR: Final = timedelta(hours=1)


class TypeFigures(BaseModel):
    """Requests in statuses of one type."""

    model_config = _frozen

    open: int = 0
    """How many are there now and not at their end."""
    overdue: int = 0


class SlaFigures(BaseModel):
    """What `sla_check` answers. Averages are over all requests, those that are over included."""

    model_config = _frozen

    overdue_total: int = 0
    overdue_by_status: dict[str, int] = {}
    overdue_by_transition: dict[str, int] = {}
    """By `topic:status->*`; tenants that share a topic's code add up in the total only."""
    frt_avg_minutes: float | None = None
    """From a request's creation to its first response, in minutes of the SLA."""
    avg_time_in_status_hours: dict[str, float | None] = {}
    """Stays that are over, and those of open requests as long as they last already."""
    open_total: int = 0
    unanswered: int = 0
    """Open requests without a first response."""
    by_type: dict[str, TypeFigures] = {}


class SlaLine(BaseModel):
    """One status of one topic."""

    model_config = _frozen

    topic: str
    status: MintStatus
    type: StatusType
    sla_hours: int | None
    calendar: str | None
    """Code of the calendar in whose time the SLA counts; None: the clock runs always."""
    requests: int
    """In the status now."""
    overdue: int
    longest_hours: float | None
    average_hours: float | None


class TenantSla(SlaFigures):
    """The figures of one tenant, and their lines."""

    lines: tuple[SlaLine, ...] = ()


class SlaReport(SlaFigures):
    """All tenants together, and each by itself: the body of a snapshot."""

    at: AwareDatetime
    tenants: dict[str, TenantSla] = {}

    def without_lines(self) -> SlaOutcome:
        """Short enough for a workflow's history."""
        tenants = {
            code: SlaFigures.model_validate(own.model_dump(exclude={"lines"}))
            for code, own in self.tenants.items()
        }
        return SlaOutcome.model_validate({**self.model_dump(exclude={"tenants"}), "tenants": tenants})


class SlaOutcome(SlaFigures):
    """Result of the workflow `SlaCheck`, as the Temporal Web UI shows it."""

    at: AwareDatetime
    tenants: dict[str, SlaFigures] = {}
    alerts: int = 0
    """Stays for which this check was the first to raise SLA_OVERDUE."""
    alerts_failed: int = 0
    """Stays for which it could not; the next check tries again."""


@dataclass(frozen=True)
class Findings:
    """Everything that was counted at one moment; `build_report` makes the report of it."""

    at: datetime
    terms: Mapping[Place, Terms]
    groups: tuple[Group, ...]
    overdue: Mapping[Place, int]
    stays: Mapping[Place, Total]
    responses: Mapping[str, Total]
    """By tenant."""


def build_report(found: Findings) -> SlaReport:
    """The totals, each tenant's figures, and a line for each status of a topic with anything to say."""
    lines = _lines(found)
    tenants = {
        tenant: TenantSla.model_validate(
            {
                **_figures(
                    found, {place: line for place, line in lines.items() if place.tenant == tenant}, tenant
                ),
                "lines": tuple(line for place, line in sorted(lines.items()) if place.tenant == tenant),
            }
        )
        for tenant in sorted({place.tenant for place in found.terms} | {place.tenant for place in lines})
    }
    return SlaReport.model_validate({**_figures(found, lines, None), "at": found.at, "tenants": tenants})


def _lines(found: Findings) -> dict[Place, SlaLine]:
    groups: dict[Place, list[Group]] = defaultdict(list)
    for group in found.groups:
        groups[group.place].append(group)
    places = {place for place, terms in found.terms.items() if terms.sla_hours is not None}
    return {
        place: _line(found, place, groups[place]) for place in sorted(places | {*groups} | {*found.stays})
    }


def _line(found: Findings, place: Place, groups: list[Group]) -> SlaLine:
    terms = found.terms.get(place, Terms(type=STATUS_TYPES[place.status]))
    # an end lasts for ever: how long says nothing, unless somebody gave it an SLA
    timed = place.status not in TERMINAL or terms.sla_hours is not None
    # as numbers: times of any length and scale would not fit into a timedelta
    ages = [terms.calendar.elapsed(group.oldest, found.at) / _HOUR * group.scale for group in groups if timed]
    return SlaLine(
        topic=place.topic,
        status=place.status,
        type=terms.type,
        sla_hours=terms.sla_hours,
        calendar=terms.calendar_code,
        requests=sum(group.number for group in groups),
        overdue=found.overdue.get(place, 0),
        longest_hours=round(max(ages), 2) if ages else None,
        average_hours=found.stays.get(place, Total()).average(_HOUR),
    )


def _figures(found: Findings, lines: Mapping[Place, SlaLine], tenant: str | None) -> dict[str, object]:
    """The figures over `lines`, which are those of one tenant or of all."""
    by_status: dict[str, int] = defaultdict(int)
    by_transition: dict[str, int] = defaultdict(int)
    stays: dict[MintStatus, Total] = defaultdict(Total)
    types: dict[str, TypeFigures] = {kind.value: TypeFigures() for kind in StatusType}
    for place, line in lines.items():
        if line.overdue:
            by_status[place.status.value] += line.overdue
            by_transition[place.transition] += line.overdue
        stays[place.status] += found.stays.get(place, Total())
        is_open = line.requests if place.status not in TERMINAL else 0
        seen = types[line.type]
        types[line.type] = TypeFigures(open=seen.open + is_open, overdue=seen.overdue + line.overdue)
    responses = [total for code, total in found.responses.items() if tenant in (None, code)]
    unanswered = sum(
        group.unanswered
        for group in found.groups
        if tenant in (None, group.place.tenant) and group.place.status not in TERMINAL
    )
    return {
        "overdue_total": sum(by_status.values()),
        "overdue_by_status": dict(by_status),
        "overdue_by_transition": dict(by_transition),
        "frt_avg_minutes": sum(responses, Total()).average(timedelta(minutes=1)),
        "avg_time_in_status_hours": {status.value: stays[status].average(_HOUR) for status in MintStatus},
        "open_total": sum(figures.open for figures in types.values()),
        "unanswered": unanswered,
        "by_type": types,
    }
