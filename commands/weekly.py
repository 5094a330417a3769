"""Weekly hours as people write them: `mon-fri=09:00-12:00,13:00-17:00`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands.options import option
from domain.errors import InvalidInput

_EXAMPLE = "'mon-fri=09:00-12:00,13:00-17:00'"
Hours = Annotated[list[str] | None, option("--hours", f"Such as {_EXAMPLE}; several times.", "DAYS=TIMES")]
WorkingHours = Annotated[
    list[str] | None,
    option("--working-hours", f"In their time zone, such as {_EXAMPLE}; several times.", "DAYS=TIMES"),
]
Always = Annotated[bool, typer.Option("--always", help="No hours: at any time.", show_default=False)]


def read_weekly(given: list[str] | None, always: bool, field: str) -> dict[str, Any]:
    """The field that the options ask for, or nothing when they do not speak of it; raises InvalidInput."""
    if given and always:
        raise InvalidInput("hours and --always contradict each other: give one of them", field)
    if not (given or always):
        return {}
    week: dict[str, list[list[str]]] = {}
    for text in given or ():
        for day, intervals in _days(text, field):
            week.setdefault(day, []).extend(intervals)
    return {field: {day: sorted(intervals) for day, intervals in week.items()}}


def weekly_text(week: dict[str, Any]) -> str:
    """Stored hours as people write them."""
    from domain.calendars import WeeklyHours

    return WeeklyHours.parse(week).text()


def _days(text: str, field: str) -> list[tuple[str, list[list[str]]]]:
    from commands.quiet import days_of

    days, equals, times = "".join(text.split()).partition("=")
    intervals = [interval.split("-") for interval in times.split(",")]
    if not equals or any(len(interval) != 2 for interval in intervals):
        raise InvalidInput(f"{text!r} is not possible: write {_EXAMPLE}", field)
    return [(day, intervals) for day in days_of(days)]
