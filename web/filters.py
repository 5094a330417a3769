"""How pages write and read moments, time left and amounts: a text for people, the exact value beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup

from domain.amounts import Asset, format_amount
from domain.errors import InvalidInput
from domain.mint_request import utc_text
from domain.sessions import Person

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_FEWEST_DECIMALS = 2


def local(moment: datetime | None, person: Person | None = None) -> Markup:
    """A `<time>` element in the person's zone, as in `22 Nov 14:05 CET`; the year where it isn't this one.

    Nobody's zone, or an unknown one, is UTC; no moment is an empty text.
    """
    if moment is None:
        return Markup("")
    there = moment.astimezone(zone_of(person))
    year = f" {there.year}" if there.year != datetime.now(there.tzinfo).year else ""
    text = f"{there.day} {there:%b}{year} {there:%H:%M} {there:%Z}"
    return Markup('<time datetime="{}">{}</time>').format(_iso(moment), text)


def countdown(moment: datetime | None) -> Markup:
    """A `<time>` element with the time left, as in `3 h 12 min`, which app.js keeps running."""
    if moment is None:
        return Markup("")
    iso = _iso(moment)
    seconds = int((moment - datetime.now(UTC)).total_seconds())
    tone = " overdue" if seconds <= 0 else " soon" if seconds < 2 * _HOUR else ""
    element = Markup('<time class="countdown{}" datetime="{}" data-until="{}" title="{}">{}</time>')
    return element.format(tone, iso, iso, iso, time_left(seconds))


def time_left(seconds: int) -> str:
    """The two largest units that count, as in `2 d 3 h`; nothing left is `overdue`. app.js says the same."""
    if seconds <= 0:
        return "overdue"
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def amount_text(stroops: int) -> str:
    """Exact: at least 2 decimals, at most 7, thousands separated, as in `2,500.00`."""
    whole, _, fraction = format_amount(stroops).partition(".")
    kept = fraction.rstrip("0").ljust(_FEWEST_DECIMALS, "0")
    return f"{int(whole):,}.{kept}"


def amount(stroops: int, asset: Asset | str = "") -> Markup:
    """An amount with its asset's code, if given; the title has all 7 decimals and the whole asset."""
    name = str(asset)
    code = name.partition(":")[0]
    exact = f"{format_amount(stroops)} {name}".strip()
    unit = Markup(' <span class="code">{}</span>').format(code) if code else Markup("")
    return Markup('<span class="amount" title="{}">{}{}</span>').format(exact, amount_text(stroops), unit)


def short_account(account: str) -> Markup:
    """The ends of an account's id; the whole one is in the title."""
    text = f"{account[:5]}…{account[-5:]}" if len(account) > 12 else account
    return Markup('<span class="mono account" title="{}">{}</span>').format(account, text)


def sentence(message: str) -> str:
    """A message of the house as a sentence; an id at its begin stays as it is."""
    begin = message if message.startswith("mr_") else message[:1].upper() + message[1:]
    return begin + ("" if message.endswith((".", "!", "?")) else ".")


def zone_of(person: Person | None) -> ZoneInfo:
    """The person's zone; UTC for nobody's, and for one that this machine doesn't know."""
    try:
        return ZoneInfo(person.time_zone if person is not None else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def typed_moment(said: str, person: Person, field: str) -> datetime | None:
    """What a browser's field for date and time holds, on the person's own clock; None: nothing.

    Raises InvalidInput for what is no moment.
    """
    if not said.strip():
        return None
    try:
        moment = datetime.fromisoformat(said.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone_of(person))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{said[:40]!r} is no date and time", field) from error


def _iso(moment: datetime) -> str:
    return utc_text(moment.astimezone(UTC).replace(microsecond=0))
