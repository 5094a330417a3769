"""The SLA report as people and spreadsheets read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.text import Text

from commands.render import plain_table, print_rich
from db.reads.sla_history import Moment
from domain.sla_report import SlaFigures, SlaLine, SlaOutcome, SlaReport, TenantSla

COLUMNS = (
    "tenant",
    "topic",
    "status",
    "type",
    "sla_hours",
    "calendar",
    "requests",
    "overdue",
    "longest_hours",
    "average_hours",
)


def lines_of(report: SlaReport, tenant: str | None) -> list[tuple[str, SlaLine]]:
    """Every line with its tenant's code, of one tenant or of all."""
    return [
        (code, line)
        for code, own in sorted(report.tenants.items())
        if tenant in (None, code)
        for line in own.lines
    ]


def as_csv(report: SlaReport, tenant: str | None) -> str:
    """The lines as RFC 4180 has them, with a header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for code, line in lines_of(report, tenant):
        fields = line.model_dump(mode="json")
        writer.writerow([{"tenant": code, **fields}[name] for name in COLUMNS])
    return text.getvalue()


def print_report(report: SlaReport, tenant: str | None, moments: Sequence[Moment]) -> None:
    """The table, and the figures below it."""
    headings = ("topic", "status", "threshold", "calendar", "requests", "overdue", "longest", "average")
    several = tenant is None and len(report.tenants) > 1
    rows = [
        ([code] if several else [])
        + [
            line.topic,
            line.status.value,
            _hours(line.sla_hours),
            line.calendar or "always",
            str(line.requests),
            str(line.overdue) if line.sla_hours is not None else "",
            _hours(line.longest_hours),
            _hours(line.average_hours),
        ]
        for code, line in lines_of(report, tenant)
    ]
    plain_table((("tenant",) if several else ()) + headings, rows, "no requests, and no SLA")
    figures: SlaFigures = report if tenant is None else report.tenants.get(tenant, TenantSla())
    print_rich(Text(figures_text(figures)))
    checks = "1 check" if len(moments) == 1 else f"{len(moments)} checks"
    print_rich(Text(f"chart: {checks}; --svg FILE draws it"))


def figures_text(figures: SlaFigures) -> str:
    """The figures in a few lines."""
    first = figures.frt_avg_minutes
    averages = [
        f"{status} {_hours(hours)}"
        for status, hours in figures.avg_time_in_status_hours.items()
        if hours is not None
    ]
    overdue = [f"{status} {number}" for status, number in figures.overdue_by_status.items()]
    return "\n".join(
        [
            f"overdue: {figures.overdue_total}" + (f" ({', '.join(overdue)})" if overdue else ""),
            f"open: {figures.open_total}, of them without a first response: {figures.unanswered}",
            f"first response after {first:g} min on average"
            if first is not None
            else "no first response yet",
            f"time in status on average: {', '.join(averages) or 'nothing to average'}",
        ]
    )


def outcome_text(outcome: SlaOutcome) -> str:
    """What a check found and did."""
    failed = (
        f"; {outcome.alerts_failed} could not be raised: see the worker's log"
        if outcome.alerts_failed
        else ""
    )
    return f"{figures_text(outcome)}\nalerts raised by this check: {outcome.alerts}{failed}"


def _hours(hours: float | None) -> str:
    return "" if hours is None else f"{hours:g} h"
