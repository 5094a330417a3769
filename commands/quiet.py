"""Quiet hours as people write them: `mon-fri 22:00-07:00 Europe/Berlin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import option
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from domain.quiet_hours import QuietHours

Quiet = Annotated[
    list[str] | None,
    option("--quiet", "Quiet hours, such as 'mon-fri 22:00-07:00 Europe/Berlin'; several times.", "WINDOW"),
]
NoQuiet = Annotated[bool, typer.Option("--no-quiet", help="No quiet hours any more.", show_default=False)]


def read_quiet(given: list[str] | None, clear: bool, zone: str | None = None) -> QuietHours | None:
    """The quiet hours that the options ask for, None: they do not speak of them.

    `zone` holds for a window that names none. Raises InvalidInput.
    """
    from domain.quiet_hours import QuietHours

    if given and clear:
        raise InvalidInput("--quiet and --no-quiet contradict each other: give one of them", "quiet")
    if not (given or clear):
        return None
    return QuietHours.parse([_window(text, zone) for text in given or ()])


def quiet_text(windows: list[dict[str, Any]]) -> str:
    """Stored windows as people write them."""
    return "; ".join(
        f"{_days_text(window['days'])} {window['from']}-{window['to']} {window['zone']}" for window in windows
    )


def _window(text: str, zone: str | None) -> dict[str, Any]:
    days, _, rest = " ".join(text.split()).partition(" ")
    times, _, named = rest.partition(" ")
    begin, dash, end = times.partition("-")
    if not dash:
        raise InvalidInput(f"{text!r} is no window: write 'mon-fri 22:00-07:00 Europe/Berlin'", "quiet")
    if not (named or zone):
        raise InvalidInput(f"{text!r} names no time zone: write 'mon-fri 22:00-07:00 Europe/Berlin'", "zone")
    return {"days": days_of(days), "from": begin, "to": end, "zone": named or zone}


def days_of(text: str) -> list[str]:
    """The days in `mon-wed,sat`; what is no day stays, for the check that follows."""
    from domain.quiet_hours import DAYS

    found: list[str] = []
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if dash and {first, last} <= set(DAYS):
            begin, end = DAYS.index(first), DAYS.index(last)
            # a range may go over the end of the week
            found += [DAYS[day % 7] for day in range(begin, end + 1 + 7 * (end < begin))]
        else:
            found.append(part)
    return found


def _days_text(days: list[str]) -> str:
    from domain.quiet_hours import DAYS

    first, last = DAYS.index(days[0]), DAYS.index(days[-1])
    return f"{days[0]}-{days[-1]}" if len(days) > 2 and last - first + 1 == len(days) else ",".join(days)
