"""Everything that is wrong with an entry at once, a message for each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from domain.dictionaries import MODELS, TransitionEntry, UserEntry
from domain.entry import Entry, Kind, Known
from domain.entry_fields import shown
from domain.errors import InvalidInput, NotFound
from domain.mint_request import TRANSITIONS, MintStatus


def check(kind: Kind, code: str, fields: Mapping[str, Any], known: Known) -> Entry:
    """The entry, complete and checked.

    Raises InvalidInput with a message for each field that is wrong, or NotFound with the same when all
    that is wrong are names of things that do not exist.
    """
    model = MODELS[kind]
    own = {name: value for name, value in fields.items() if name not in model.named_by}
    raw = {**model.defaults(code), **own, **model.named(code)}
    entry, problems = _read(model, raw)
    problems = {**_contradictions(model, fields, code), **_doubles(kind, code, known), **problems}
    unknown = {name: told for name, told in _unknown(model, raw, known) if name not in problems}
    problems |= unknown
    if entry is None or problems:
        for name, told in _clashes(model, raw, problems):
            problems.setdefault(name, told)
        kind_of_error = NotFound if problems.keys() == unknown.keys() else InvalidInput
        raise kind_of_error(f"{kind} {shown(code)} can't be set", fields=in_order(model, problems))
    if clashes := dict(model.clashes(raw)):
        raise InvalidInput(f"{kind} {shown(code)} can't be set", fields=in_order(model, clashes))
    return entry


def warnings(entry: Entry) -> list[str]:
    """What is allowed and yet has no effect, or is better not so."""
    if isinstance(entry, UserEntry) and {"admin", "approver"} <= set(entry.roles):
        return ["is admin and approver: whoever decides under the rules can then change them, too"]
    if isinstance(entry, TransitionEntry):
        begin, end = MintStatus(entry.from_status), MintStatus(entry.to_status)
        if end not in TRANSITIONS[begin]:
            ways = ", ".join(sorted(TRANSITIONS[begin])) or "nowhere: it has ended"
            return [f"a request never goes from {begin} to {end}; from {begin} it goes to {ways}"]
    return []


def in_order(model: type[Entry], problems: Mapping[str, str]) -> dict[str, str]:
    """The messages in the order of the model's fields, those of unknown fields last."""
    order = [*model.named_by, *model.names()]
    ranked = sorted(problems, key=lambda name: order.index(name) if name in order else len(order))
    return {name: problems[name] for name in ranked}


def _read(model: type[Entry], raw: Mapping[str, Any]) -> tuple[Entry | None, dict[str, str]]:
    try:
        return model.model_validate(raw), {}
    except ValidationError as error:
        problems: dict[str, str] = {}
        for found in error.errors(include_url=False):
            name = shown(found["loc"][0]).strip("'")
            problems.setdefault(name, _told(model, found))
        return None, problems


def _told(model: type[Entry], found: Mapping[str, Any]) -> str:
    match found["type"]:
        case "missing":
            return "is needed"
        case "extra_forbidden":
            return f"is no field: there are {', '.join(model.names())}"
        case "value_error":
            return str(found["ctx"]["error"])
        case _:
            return f"{found['msg'][:1].lower()}{found['msg'][1:]}, not {shown(found['input'])}"


def _contradictions(model: type[Entry], fields: Mapping[str, Any], code: str) -> dict[str, str]:
    """Fields that say again what the code says must say the same."""
    named = model.named(code)
    return {
        name: f"is {shown(fields[name])} here and {shown(named[name])} in its name"
        for name in model.named_by
        if name in fields and fields[name] != named[name]
    }


def _doubles(kind: Kind, code: str, known: Known) -> dict[str, str]:
    """Four eyes: users whose names differ in case only count as one person, so there is only one of them."""
    other = known.like(kind, code) if kind is Kind.USER else None
    return {"name": f"differs from {shown(other)} in case only: choose another"} if other else {}


def _unknown(model: type[Entry], raw: Mapping[str, Any], known: Known) -> Iterator[tuple[str, str]]:
    for name, kind in model.refers.items():
        value = raw.get(name)
        for code in value if isinstance(value, list | tuple) else [value]:
            if isinstance(code, str) and not known.has(kind, code):
                yield name, f"unknown {kind} {shown(code)}: {known.sample(kind)}"
                break


def _clashes(
    model: type[Entry], raw: Mapping[str, Any], problems: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Rules about several fields, looked at without those that are wrong by themselves."""
    sound = {name: value for name, value in raw.items() if name not in problems}
    return [(name, told) for name, told in model.clashes(sound) if name not in problems]
