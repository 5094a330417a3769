"""The rules of the SLA without a database: thresholds, scales, and the report that they add up to."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.calendars import NEVER, BusinessCalendar
from domain.mint_request import MintStatus
from domain.runs import EventKind, is_over
from domain.sla import (
    STATUS_NAMES,
    STATUS_TYPES,
    Cutoff,
    Group,
    Place,
    StatusType,
    Terms,
    Total,
    cutoffs,
    occurrence_of,
)
from domain.sla_report import Findings, SlaOutcome, SlaReport, build_report

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OFFICE = BusinessCalendar.parse({"mon": [["09:00", "17:00"]], "wed": [["09:00", "17:00"]]}, "UTC")
S = MintStatus


def place(status=S.PENDING, topic="eu", tenant="acme"):
    """Where requests stay."""
    return Place(tenant, topic, status)


def findings(terms=None, groups=(), **fields):
    """What was counted."""
    return Findings(
        at=AT,
        terms=terms or {},
        groups=tuple(groups),
        **{"overdue": {}, "stays": {}, "responses": {}} | fields,
    )


def test_every_status_has_a_name_and_a_type():
    """For tenants whose dictionary says nothing of it."""
    assert set(STATUS_NAMES) == set(STATUS_TYPES) == set(MintStatus)
    settlement = {status for status, kind in STATUS_TYPES.items() if kind is StatusType.SETTLEMENT}
    assert settlement == {S.APPROVED, S.SUBMITTING, S.CONFIRMED, S.FAILED, S.TIMEOUT_FAILED}


@pytest.mark.parametrize(
    ("terms", "scale", "cutoff"),
    [
        (Terms(sla_hours=None), 1, None),
        (Terms(sla_hours=6), 1, AT - 6 * HOUR),
        (Terms(sla_hours=6), 12, AT - HOUR / 2),
        (Terms(sla_hours=6, calendar=OFFICE), 1, datetime(2026, 3, 2, 14, tzinfo=UTC)),
        (Terms(sla_hours=6, calendar=OFFICE), 6, AT - HOUR),
        (Terms(sla_hours=2**31 - 1), 1, NEVER),
    ],
)
def test_the_cutoff_is_the_threshold_ago_in_the_topics_time(terms, scale, cutoff):
    """Wednesday noon: six office hours ago it was Monday at two."""
    assert terms.cutoff(AT, scale) == cutoff


def test_there_is_a_cutoff_for_each_scale_of_a_place_with_an_sla():
    """And none for a place without one, or that no dictionary knows."""
    terms = {place(): Terms(sla_hours=6), place(S.APPROVED): Terms()}
    groups = [
        Group(place(), 1, 5, AT),
        Group(place(), 10, 5, AT),
        Group(place(S.APPROVED), 1, 5, AT),
        Group(place(topic="gone"), 1, 5, AT),
    ]
    assert cutoffs(terms, groups, AT) == [
        Cutoff(place(), 1, AT - 6 * HOUR),
        Cutoff(place(), 10, AT - 0.6 * HOUR),
    ]


def test_an_average_of_nothing_is_none():
    """Zero would look like a good figure."""
    assert Total().average(HOUR) is None
    assert (Total(1, 1800) + Total(1, 5400)).average(HOUR) == 1.0
    assert Total(3, 10_000).average(HOUR) == 0.93


def test_two_stays_in_a_status_are_told_apart_to_the_microsecond():
    """By the moment of entry."""
    first, second = AT, AT + timedelta(microseconds=1)
    assert occurrence_of(S.PENDING, first) == f"PENDING:{int(AT.timestamp())}000000"
    assert occurrence_of(S.PENDING, first) != occurrence_of(S.PENDING, second)


@pytest.mark.parametrize("status", MintStatus)
def test_an_overdue_stay_is_over_when_the_status_differs(status):
    """An end can carry an SLA, so that being at an end ends nothing by itself."""
    occurrence = occurrence_of(S.EXPIRED, AT)
    assert is_over(EventKind.SLA_OVERDUE, occurrence, status) is (status is not S.EXPIRED)


def test_the_totals_are_those_of_the_tenants_together():
    """Each tenant's own counts stay apart, also under one topic code."""
    here, there = place(), place(tenant="other")
    report = build_report(
        findings(
            {here: Terms(sla_hours=5), there: Terms(sla_hours=9)},
            [Group(here, 1, 4, AT - 9 * HOUR, 3), Group(there, 1, 2, AT - 10 * HOUR, 1)],
            overdue={here: 3, there: 1},
            stays={here: Total(2, 7200), there: Total(1, 10_800)},
            responses={"acme": Total(1, 600), "other": Total(3, 600)},
        )
    )
    assert report.overdue_by_transition == {"eu:PENDING->*": 4}
    assert report.tenants["acme"].overdue_by_transition == {"eu:PENDING->*": 3}
    assert report.tenants["other"].overdue_by_transition == {"eu:PENDING->*": 1}
    assert (report.overdue_total, report.open_total, report.unanswered) == (4, 6, 4)
    assert (report.tenants["acme"].frt_avg_minutes, report.frt_avg_minutes) == (10.0, 5.0)
    assert report.avg_time_in_status_hours["PENDING"] == 1.67
    assert report.tenants["other"].lines[0].longest_hours == 10.0


def test_an_end_counts_as_open_nowhere():
    """It can be overdue, but nobody works on it; how long it lasts is told only if it has an SLA."""
    timed, untimed = place(S.EXPIRED), place(S.CONFIRMED)
    groups = [Group(timed, 1, 2, AT - 5 * HOUR, 2), Group(untimed, 1, 7, AT - 90 * HOUR, 1)]
    terms = {timed: Terms(sla_hours=4, type=StatusType.BILLING), untimed: Terms()}
    report = build_report(findings(terms, groups, overdue={timed: 2}))
    assert (report.overdue_total, report.open_total, report.unanswered) == (2, 0, 0)
    assert report.by_type["billing"].overdue == 2
    longest = {line.status: line.longest_hours for line in report.tenants["acme"].lines}
    assert longest == {S.EXPIRED: 5.0, S.CONFIRMED: None}


def test_a_status_with_an_sla_has_a_line_before_anybody_is_there():
    """So that the report shows every promise; statuses that say nothing have none."""
    report = build_report(findings({place(): Terms(sla_hours=5), place(S.APPROVED): Terms()}))
    [line] = report.tenants["acme"].lines
    assert (line.status, line.requests, line.overdue, line.longest_hours) == (S.PENDING, 0, 0, None)


def test_the_keys_of_the_report_are_those_of_the_design():
    """Whoever reads them by name finds them in the snapshot and in the workflow's result."""
    promised = {
        "overdue_total",
        "overdue_by_status",
        "overdue_by_transition",
        "frt_avg_minutes",
        "avg_time_in_status_hours",
    }
    report = build_report(findings({place(): Terms(sla_hours=5)}))
    assert promised <= set(report.model_dump()) & set(report.without_lines().model_dump())
    assert SlaReport.model_validate_json(report.model_dump_json()) == report
    assert isinstance(report.without_lines(), SlaOutcome)
    assert "lines" not in report.without_lines().model_dump()["tenants"]["acme"]
