"""The fields of dictionary entries: what each may hold, said in words for whoever typed it.

Every checker answers the value as it is stored, or raises ValueError with a message that follows the
field's name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

from domain.amounts import Asset, format_amount, parse_amount
from domain.calendars import MOST_HOLIDAYS, WeeklyHours
from domain.errors import InvalidInput
from domain.mint_request import MintStatus
from domain.quiet_hours import QuietHours

MOST_HOURS: Final = 87_600
"""Ten years: an SLA or a limit beyond is a typing mistake."""

MOST_SETTING: Final = 2000
MOST_ROWS: Final = 2**31 - 1

_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Marks that show the rest of a line, whoever wrote it, in another order."""
_ZERO = re.compile(r"0(\.0{1,7})?")
_COUNTRY = re.compile(r"[A-Z]{2}")
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{4,30}")


def wrong(told: str) -> ValueError:
    """What is wrong with a field, whatever is wrong with it: pydantic takes no TypeError."""
    return ValueError(told)


def shown(value: object) -> str:
    """A value as messages repeat it: short, and without what repaints a terminal."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def whole(least: int, most: int, unit: str = "") -> BeforeValidator:
    """A whole number and nothing that could be taken for one: no bool, no float, no text."""
    what = f"a whole number{unit} from {least} to {most}"

    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise wrong(f"must be {what}, not {shown(value)}")
        return value

    return BeforeValidator(check)


def line(most: int) -> BeforeValidator:
    """One line of printable text that is not blank."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong(f"must be text, not {shown(value)}")
        text = value.strip()
        if not text or len(text) > most:
            raise wrong(f"must have 1 to {most} characters, not {len(text)}")
        if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
            raise wrong("must be one line without control characters")
        if any(unicodedata.bidirectional(char) in _TURNS for char in text):
            raise wrong("must not turn the direction of what follows it")
        if not any(char.isprintable() and not char.isspace() for char in text):
            raise wrong("must have something to see")
        return text

    return BeforeValidator(check)


def _matching(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise wrong(f"{shown(value)} is not possible: {what}")
        return value

    return BeforeValidator(check)


def one_of(*words: str) -> BeforeValidator:
    """One of these words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise wrong(f"must be one of {', '.join(words)}, not {shown(value)}")
        return value

    return BeforeValidator(check)


def several_of(*words: str) -> BeforeValidator:
    """Some of these words, each once."""

    def check(value: Any) -> list[str]:
        if not isinstance(value, list | tuple | set | frozenset):
            raise wrong(f"must be a list of {', '.join(words)}, not {shown(value)}")
        for word in value:
            if not isinstance(word, str) or word not in words:
                raise wrong(f"{shown(word)} is none of {', '.join(words)}")
        return sorted(set(value))

    return BeforeValidator(check)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(f"must be true or false, not {shown(value)}")
    return value


def _codes(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(code, str) for code in value):
        raise wrong(f"must be a list of names, not {shown(value)}")
    return sorted(set(value))


def _settings(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise wrong(f"must be names and values, not {shown(value)}")
    for name, setting in value.items():
        if type(setting) is not int and not (
            isinstance(setting, str) and len(setting) <= MOST_SETTING and setting.isprintable()
        ):
            raise wrong(f"{shown(name)} must be a whole number or a line of text, not {shown(setting)}")
    return dict(value)


def _said(check: Callable[[Any], Any]) -> BeforeValidator:
    """A check of the domain as one of a field, whose name its message need not repeat."""

    def checked(value: Any) -> Any:
        try:
            return check(value)
        except InvalidInput as error:
            told = error.message
            for prefix in (f"{error.field}: ", "quiet hours: ", "hours: "):
                told = told.removeprefix(prefix)
            raise wrong(told) from error

    return BeforeValidator(checked)


def _zone(value: Any) -> str:
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise wrong(f"{shown(value)} is no IANA time zone such as Europe/Berlin") from error


def _windows(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple) or not all(isinstance(window, Mapping) for window in value):
        raise wrong("must be a list of windows with days, from, to and zone")
    if any(not isinstance(name, str) for window in value for name in window):
        raise wrong("must be a list of windows with days, from, to and zone")
    return QuietHours.parse(value).raw()


def _dates(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MOST_HOLIDAYS:
        raise wrong(f"must be a list of at most {MOST_HOLIDAYS} dates")
    found = set()
    for day in value:
        try:
            found.add((day if type(day) is date else date.fromisoformat(day)).isoformat())
        except (ValueError, TypeError) as error:
            raise wrong(f"{shown(day)} is no date such as 2026-12-24") from error
    return sorted(found)


def _amount(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"must be a decimal number in quotes such as '2500.00', not {shown(value)}")
    return format_amount(parse_amount(value))


def _amount_or_zero(value: Any) -> str:
    return format_amount(0) if isinstance(value, str) and _ZERO.fullmatch(value.strip()) else _amount(value)


def _asset(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"must be CODE:ISSUER or *, not {shown(value)}")
    return value if value == "*" else str(Asset.parse(value))


def _address(value: Any) -> str:
    if not isinstance(value, str) or not 3 <= len(value) <= 254 or "@" not in value[1:-1]:
        raise wrong(f"{shown(value)} is no e-mail address")
    if not value.isprintable() or any(char.isspace() for char in value):
        raise wrong(f"{shown(value)} is no e-mail address")
    return value


_PLAIN = "write 1 to 63 of a-z, 0-9, - and _, a letter or digit first"
Code = Annotated[str, _matching(_CODE, _PLAIN)]
"""Names a department, calendar or topic."""
User = Annotated[str, _matching(_USER, "write 1 to 64 of letters, digits, . _ @ -, a letter or digit first")]
SlackUser = Annotated[
    str, _matching(_SLACK_USER, "write the member ID of a Slack profile, such as U012AB3CD45")
]
Channel = Annotated[str, _matching(_CHANNEL, "write 1 to 63 of letters, digits, . _ -")]
Codes = Annotated[list[str], BeforeValidator(_codes)]
"""Names of other entries, each once and in order."""
Status = Annotated[str, one_of(*(status.value for status in MintStatus))]
Title = Annotated[str, line(200)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Hours = Annotated[int, whole(1, MOST_HOURS, " of hours")]
Position = Annotated[int, whole(0, MOST_ROWS)]
Zone = Annotated[str, BeforeValidator(_zone)]
Week = Annotated[dict[str, Any], _said(lambda raw: WeeklyHours.parse(raw).raw())]
Quiet = Annotated[list[dict[str, Any]], _said(_windows)]
Dates = Annotated[list[str], BeforeValidator(_dates)]
Country = Annotated[str, _matching(_COUNTRY, "write two capital letters such as DE")]
Settings = Annotated[dict[str, Any], BeforeValidator(_settings)]
Amount = Annotated[str, _said(_amount)]
AmountOrZero = Annotated[str, _said(_amount_or_zero)]
AssetName = Annotated[str, _said(_asset)]
Address = Annotated[str, BeforeValidator(_address)]
