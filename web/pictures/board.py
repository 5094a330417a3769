"""The dashboard's charts, each from the figures that it shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from db.reads.dashboard import Lateness
from domain.assignment import Candidate
from domain.mint_request import TERMINAL, MintStatus
from domain.sla import STATUS_NAMES
from web.figures import Course, Span, Standing
from web.filters import amount_text
from web.pictures.charts import Bar, Chart, Table, bars, columns, over_time

_OPEN: Final = tuple(status for status in MintStatus if status not in TERMINAL)
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MOST_LEVEL: Final = 3
"""Levels from here on are one."""


def open_chart(standing: Standing) -> Chart:
    """Open requests by status, each bar split by escalation level."""
    levels = [f"level {level}" for level in range(_MOST_LEVEL)] + [f"level {_MOST_LEVEL} and above"]
    counts: dict[MintStatus, list[int]] = {status: [0] * len(levels) for status in _OPEN}
    for one in standing.levels:
        counts[one.status][min(one.level, _MOST_LEVEL)] += one.number
    wanted = [
        Bar(STATUS_NAMES[status], tuple(map(float, numbers)), f"{sum(numbers):,}")
        for status, numbers in counts.items()
    ]
    told = ", ".join(f"{bar.name}: {bar.text}" for bar in wanted)
    rows = tuple((status.value, *map(str, numbers), str(sum(numbers))) for status, numbers in counts.items())
    table = Table(("Status", *levels, "all"), rows)
    return bars("open", "Open by status and escalation level", told, wanted, table, tuple(levels))


def overdue_chart(course: Course) -> Chart:
    """What each check of the SLA found overdue."""
    shown = course.moments[-1:-49:-1]
    statuses = sorted({status for moment in shown for status in moment.overdue})
    rows = tuple(
        (
            f"{moment.at:%d %b %H:%M}",
            str(moment.total),
            *(str(moment.overdue.get(one, 0)) for one in statuses),
        )
        for moment in shown
    )
    head = ("Checked at (UTC)", "all", *statuses)
    return over_time(
        "overdue", "Overdue over time", course.moments, course.since, course.at, Table(head, rows)
    )


def late_chart(standing: Standing) -> Chart:
    """What is overdue now, by transition."""
    ordered = sorted(standing.overdue.items(), key=lambda pair: (-pair[1], pair[0]))
    late = [(place, number) for place, number in ordered if number]
    wanted = [Bar(place.transition, (float(number),), f"{number:,}", colours=(5,)) for place, number in late]
    rows = tuple((place.topic, place.status.value, str(number)) for place, number in late)
    told = ", ".join(f"{bar.name}: {bar.text}" for bar in wanted) or "nothing is overdue"
    return bars("late", "Overdue by transition", told, wanted, Table(("Topic", "Status", "Overdue"), rows))


def stay_chart(course: Course) -> Chart:
    """How long requests stay in each status on the average, in hours of the SLA."""
    hours = course.sla.avg_time_in_status_hours
    known = [(status, found) for status in _OPEN if (found := hours.get(status.value)) is not None]
    wanted = [
        Bar(STATUS_NAMES[status], (average,), _hours_text(average), colours=(1,)) for status, average in known
    ]
    told = ", ".join(f"{bar.name}: {bar.text}" for bar in wanted) or "nothing to average yet"
    rows = tuple((status.value, f"{average:.2f}") for status, average in known)
    return bars("stays", "Time in status", told, wanted, Table(("Status", "Hours on the average"), rows))


def lateness_chart(course: Course) -> Chart:
    """How late messages were taken by their providers, by channel: most of them, and the worst."""
    taken = [(one, one.late) for one in course.lateness if one.late is not None]
    wanted = [
        Bar(
            one.channel,
            (late[0], late[1] - late[0], late[2] - late[1], late[3] - late[2]),
            f"95 % within {span_text(late[1])}",
        )
        for one, late in taken
    ]
    told = ", ".join(f"{bar.name}: {bar.text}" for bar in wanted) or "no message was due"
    legend = ("half of them", "95 %", "99 %", "the latest")
    return bars("lateness", "Lateness of messages", told, wanted, _lateness_table(course.lateness), legend)


def _lateness_table(found: Sequence[Lateness]) -> Table:
    rows = tuple(
        (
            *(one.channel, f"{one.taken:,}"),
            *(map(span_text, one.late) if one.late is not None else ("",) * 4),
            *(str(one.waiting), str(one.dead)),
        )
        for one in found
    )
    return Table(("Channel", "Taken", "p50", "p95", "p99", "Worst", "Waiting", "Dead"), rows)


def load_chart(standing: Standing) -> Chart:
    """Open requests assigned to each approver, against how many they take."""
    wanted = [_load_bar(one) for one in standing.approvers]
    rows = tuple(
        (
            *(
                one.name,
                str(one.tier or ""),
                str(one.load),
                "no limit" if one.max_load is None else str(one.max_load),
            ),
            f"{one.absent_until:%d %b %H:%M} UTC" if one.absent_until else "",
        )
        for one in standing.approvers
    )
    told = ", ".join(f"{bar.name}: {bar.text}" for bar in wanted) or "there are no approvers"
    head = ("Approver", "Tier", "Assigned", "Most", "Away until")
    return bars("load", "Load per approver", told, wanted, Table(head, rows))


def _load_bar(one: Candidate) -> Bar:
    most = "" if one.max_load is None else f" of {one.max_load}"
    away = "" if one.absent_until is None else ", away"
    is_full = one.max_load is not None and one.load >= one.max_load
    limit = None if one.max_load is None else float(one.max_load)
    return Bar(one.name, (float(one.load),), f"{one.load}{most}{away}", limit, (5 if is_full else 0,))


def mints_chart(course: Course) -> Chart:
    """How many mints each of the newest ledgers has, by asset."""
    assets = tuple(sorted({mint.asset for mint in course.mints}))
    ledgers: dict[int, dict[str, int]] = defaultdict(dict)
    for mint in course.mints:
        ledgers[mint.ledger][mint.asset] = mint.number
    wanted = [
        (str(ledger), [counts.get(asset, 0) for asset in assets])
        for ledger, counts in sorted(ledgers.items())
    ]
    rows = tuple(
        (str(mint.ledger), mint.asset, str(mint.number), amount_text(mint.amount))
        for mint in reversed(course.mints)
    )
    total = sum(mint.number for mint in course.mints)
    told = f"{total} mints in the newest {len(ledgers)} ledgers with any" if total else "no mint in this time"
    table = Table(("Ledger", "Asset", "Mints", "Amount"), rows)
    return columns("mints", "Mints per ledger", told, wanted, table, assets)


def approvals_chart(course: Course, span: Span) -> Chart:
    """Approvals given in each hour or day (UTC); those without any are shown, too."""
    step = timedelta(hours=1) if span is Span.DAY else timedelta(days=1)
    counts = {count.at: count.number for count in course.approvals}
    moments = _slots(course.since, course.at, step)
    style = "%H:00" if span is Span.DAY else "%d %b"
    wanted = [(f"{moment:{style}}", [counts.get(moment, 0)]) for moment in moments]
    rows = tuple((name, str(number)) for name, [number] in reversed(wanted))
    total = sum(counts.values())
    what = "hour" if span is Span.DAY else "day"
    table = Table((f"{what.capitalize()} (UTC)", "Approvals"), rows)
    return columns(
        "approvals", f"Approvals per {what}", f"{total} approvals in {len(wanted)} {what}s", wanted, table
    )


def _slots(since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    hour = since.hour if step < timedelta(days=1) else 0
    at = since.replace(hour=hour, minute=0, second=0, microsecond=0)
    slots = []
    while at <= until:
        slots.append(at)
        at += step
    return slots


def _hours_text(hours: float) -> str:
    """Averages come in hundredths of an hour: below that nothing is known."""
    return span_text(hours * 3600) if hours >= 0.02 else "< 1 min"


def span_text(seconds: float) -> str:
    """A length of time in its largest unit, as in `340 ms`, `4.2 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
