"""Forms made from the definitions of dictionary entries: which input a field gets, what was typed into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from starlette.datastructures import FormData

from commands.quiet import quiet_text, read_quiet
from domain.calendars import WeeklyHours
from domain.channels import CHANNEL_KINDS, SEVERITIES, settings_of
from domain.dictionaries import MODELS, ROLES
from domain.entry import Kind, Known
from domain.mint_request import MintStatus
from domain.quiet_hours import DAYS
from domain.runs import EventAction, EventKind
from domain.sla import StatusType
from web.pages.admin.words import FIELDS, SETTINGS, FieldWords
from web.people import field

_NUMBER: Final = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_AMOUNTS: Final = frozenset({"min", "max", "daily_cap", "step_up_above"})
WRITE_ONLY: Final = frozenset({"secret", "routing_key", "url"})
"""Settings that no page shows again: an address to post to may hold a token."""

_STATUSES: Final = tuple(status.value for status in MintStatus)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "roles": ROLES,
    "from": _STATUSES,
    "to": _STATUSES,
    "type": tuple(StatusType),
    "kind": CHANNEL_KINDS,
    "event_kind": tuple(EventKind),
    "action": tuple(EventAction),
    "tier": ("1", "2", "3"),
    "min_tier": ("1", "2", "3"),
    "at_least_one_of_tier": ("1", "2", "3"),
    "severity": SEVERITIES,
}
"""Words to choose among, by the name of the field."""


class Input(StrEnum):
    """What people type into."""

    TEXT = "text"
    NUMBER = "number"
    AMOUNT = "amount"
    YES_NO = "yes-no"
    CHOICE = "choice"
    SEVERAL = "several"
    LINES = "lines"
    WEEK = "week"
    QUIET = "quiet"
    ZONE = "zone"
    SETTINGS = "settings"


@dataclass(frozen=True)
class FormField:
    """One field of a form."""

    name: str
    words: FieldWords
    input: Input
    optional: bool
    """Empty means that there is none."""
    default: Any = None
    choices: tuple[str, ...] = ()
    whole: bool = False
    """A whole number, whatever it is typed into."""


def fields_of(kind: Kind, known: Known) -> list[FormField]:
    """The fields of a dictionary in their order, without those that name an entry."""
    model = MODELS[kind]
    return [_field(kind, name, known) for name in model.names()]


def naming_fields(kind: Kind, known: Known) -> list[FormField]:
    """What a new entry is named by: its code, or what the code is made of."""
    if kind is Kind.STATUS:
        return []
    return [_field(kind, name, known) for name in MODELS[kind].named_by]


def setting_fields(channel_kind: str) -> list[FormField]:
    """The settings of a channel of that kind; none for an unknown kind."""
    if channel_kind not in CHANNEL_KINDS:
        return []
    return [_setting(name, needed) for name, needed in settings_of(channel_kind).items()]


def text_of(shown: FormField, value: Any) -> Any:
    """A stored value as its input shows it: text, a list of words, or text by day or setting."""
    match shown.input:
        case Input.WEEK:
            week = value or {}
            return {day: ", ".join("-".join(span) for span in week.get(day, ())) for day in DAYS}
        case Input.QUIET:
            return "\n".join(quiet_text([window]) for window in value or ())
        case Input.LINES:
            return "\n".join(value or ())
        case Input.SEVERAL:
            return list(value or ())
        case Input.YES_NO:
            return bool(value)
        case Input.SETTINGS:
            return {name: "" if name in WRITE_ONLY else str(set_) for name, set_ in (value or {}).items()}
        case Input.AMOUNT if value is not None:
            return plain_amount(str(value))
    return "" if value is None else str(value)


def said(shown: FormField, value: Any) -> str:
    """A stored value in a few words, for lists and comparisons; what is write-only stays hidden."""
    match shown.input:
        case Input.WEEK:
            return WeeklyHours.parse(value or {}).text()
        case Input.SETTINGS:
            return ", ".join(
                f"{name} {'is set' if name in WRITE_ONLY else set_}" for name, set_ in (value or {}).items()
            )
        case Input.YES_NO:
            return "yes" if value else "no"
        case Input.SEVERAL:
            return ", ".join(value or ())
    return str(text_of(shown, value)).replace("\n", "; ")


def typed(shown: FormField, form: FormData) -> Any:
    """What was typed, as its input shows it again after an error."""
    match shown.input:
        case Input.WEEK:
            return {day: field(form, f"{shown.name}.{day}") for day in DAYS}
        case Input.SEVERAL:
            return [text for text in form.getlist(shown.name) if isinstance(text, str)]
        case Input.YES_NO:
            return field(form, shown.name) == "yes"
        case Input.SETTINGS:
            return {name: field(form, f"settings.{name}") for name in SETTINGS if f"settings.{name}" in form}
    return field(form, shown.name)


def read(shown: FormField, form: FormData, before: Any) -> Any:
    """What was typed, as the entry's own check takes it; raises InvalidInput where it can't be read.

    `before` is the stored value, for settings that nobody sees again and that stay when left empty.
    """
    given = typed(shown, form)
    match shown.input:
        case Input.WEEK:
            return {day: _spans(text) for day, text in given.items() if text.strip()}
        case Input.QUIET:
            windows = _lines(given)
            hours = read_quiet(windows or None, not windows)
            return hours.raw() if hours else []
        case Input.LINES:
            return _lines(given)
        case Input.SETTINGS:
            return _settings(given, form, before or {})
        case Input.SEVERAL | Input.YES_NO:
            return given
    return _plain(shown, given.strip())


def plain_amount(amount: str) -> str:
    """An amount without the zeros that say nothing."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def _plain(shown: FormField, text: str) -> Any:
    if not text:
        return shown.default if shown.optional else ""
    return int(text) if shown.whole and _NUMBER.fullmatch(text) else text


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _spans(text: str) -> list[list[str]]:
    return [[time.strip() for time in span.split("-")] for span in text.split(",")]


def _settings(given: Mapping[str, str], form: FormData, before: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in given.items():
        keeps = name in WRITE_ONLY and name in before and field(form, f"clear.{name}") != "yes"
        if text.strip():
            found[name] = text.strip()
        elif keeps:
            found[name] = before[name]
    return found


def _setting(name: str, needed: bool) -> FormField:
    input_ = Input.CHOICE if name in _CHOICES and name != "kind" else Input.TEXT
    return FormField(name, SETTINGS[name], input_, not needed, choices=_CHOICES.get(name, ()))


def _field(kind: Kind, name: str, known: Known) -> FormField:
    model = MODELS[kind]
    found = next(field for key, field in model.model_fields.items() if (field.alias or key) == name)
    plain, optional = _type(found.annotation)
    refers = model.refers.get(name)
    choices = tuple(sorted(known.codes.get(refers, ()))) if refers else _CHOICES.get(name, ())
    has_default = not found.is_required()
    default = found.get_default(call_default_factory=True) if has_default else None
    words = FIELDS[kind].get(name) or FieldWords(name.replace("_", " ").capitalize())
    return FormField(
        name=name,
        words=words,
        input=_input(name, plain, bool(refers) or name in _CHOICES),
        optional=optional or has_default,
        default=default,
        choices=choices,
        whole=plain is int,
    )


def _type(annotation: Any) -> tuple[Any, bool]:
    """The plain type, and whether there may be none."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) in (Union, UnionType) and len(parts) == 1:
        inner = parts[0]
        return (get_args(inner)[0] if hasattr(inner, "__metadata__") else inner), True
    return annotation, False


def _input(name: str, plain: Any, chosen: bool) -> Input:
    own = {
        "time_zone": Input.ZONE,
        "quiet_hours": Input.QUIET,
        "holidays": Input.LINES,
        "settings": Input.SETTINGS,
    }
    if name in own:
        return own[name]
    if get_origin(plain) is list:
        return Input.SEVERAL if chosen else Input.LINES
    if get_origin(plain) is dict:
        return Input.WEEK
    if plain is bool:
        return Input.YES_NO
    if chosen:
        return Input.CHOICE
    if name in _AMOUNTS:
        return Input.AMOUNT
    return Input.NUMBER if plain is int else Input.TEXT
