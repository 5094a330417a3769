"""One set of pages for every dictionary: list, form, removal; made from the definitions of the entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from domain.channels import CHANNEL_KINDS
from domain.dictionaries import every_status, transition_code
from domain.entry import Kind
from domain.errors import FieldsError, InvalidInput, MintkeeperError, NotFound
from domain.sessions import Person
from web.pages.admin import fields as forms
from web.pages.admin.changing import (
    SENSITIVE,
    Change,
    Overtaken,
    Shown,
    as_it_holds,
    fingerprint,
    listed,
    look,
    save,
    take_away,
)
from web.pages.admin.fields import FormField, Input
from web.pages.admin.guard import AtDesk, path, second_factor
from web.pages.admin.words import KINDS, LISTED
from web.people import field, form_of
from web.rendering import page, redirect
from web.state import State, Wired

router = APIRouter(prefix="/dictionaries/{kind}")
SEEN = "seen"
ZONES = tuple(sorted(available_timezones()))


@router.get("")
async def list_page(request: Request, state: Wired, person: AtDesk, kind: str, q: str = "") -> Response:
    """The entries of a dictionary; `q` narrows them to those that hold it."""
    known_kind = kind_of(kind)
    if known_kind is Kind.TENANT:
        return redirect(state, path("dictionaries", kind, "entries", person.tenant))
    if known_kind is Kind.RULE:
        return redirect(state, path("rules"))
    found: Mapping[str, Mapping[str, Any]] = await listed(state, person, known_kind)
    if known_kind is Kind.STATUS:
        found = every_status(found)
    shown = await look(state, person, known_kind, "")
    columns = [one for one in forms.fields_of(known_kind, shown.known) if one.name in LISTED[known_kind]]
    rows = [(code, [forms.said(one, fields[one.name]) for one in columns]) for code, fields in found.items()]
    wanted = q.strip().casefold()
    matching = [row for row in rows if wanted in " ".join((row[0], *row[1])).casefold()]
    values: dict[str, Any] = {"kind": known_kind, "words": KINDS[known_kind], "columns": columns, "q": q}
    return page(request, state, person, "admin/entries.html", **values, rows=matching, total=len(rows))


@router.get("/new")
async def new_page(request: Request, state: Wired, person: AtDesk, kind: str) -> HTMLResponse:
    """An empty form; the query fills fields in. A channel's form follows its kind."""
    known_kind = _with_new(kind_of(kind))
    shown = await look(state, person, known_kind, "")
    asked = FormData(dict(request.query_params))
    values = {one.name: one.default for one in forms.fields_of(known_kind, shown.known)}
    for one in forms.fields_of(known_kind, shown.known) + forms.naming_fields(known_kind, shown.known):
        if one.name in asked and one.input in (Input.TEXT, Input.NUMBER, Input.CHOICE):
            values[one.name] = field(asked, one.name)
    if known_kind is Kind.CHANNEL and values["kind"] not in CHANNEL_KINDS:
        return page(request, state, person, "admin/channel_kind.html", kinds=CHANNEL_KINDS)
    return _form(request, state, person, known_kind, None, shown, values=values)


@router.post("/new")
async def create(request: Request, state: Wired, person: AtDesk, kind: str) -> Response:
    """Create an entry; one that is there already is not touched."""
    known_kind, form = _with_new(kind_of(kind)), await form_of(request)
    return await _save(request, state, person, known_kind, None, form)


@router.get("/entries/{code}")
async def entry_page(request: Request, state: Wired, person: AtDesk, kind: str, code: str) -> HTMLResponse:
    """An entry with its form."""
    known_kind = kind_of(kind)
    shown = await look(state, person, known_kind, code)
    return _form(
        request, state, person, known_kind, code, shown, values=as_it_holds(known_kind, code, shown.fields)
    )


@router.post("/entries/{code}")
async def change(request: Request, state: Wired, person: AtDesk, kind: str, code: str) -> Response:
    """Change an entry that is as its sender saw it."""
    return await _save(request, state, person, kind_of(kind), code, await form_of(request))


@router.get("/entries/{code}/remove")
async def removal_page(request: Request, state: Wired, person: AtDesk, kind: str, code: str) -> HTMLResponse:
    """What removing it means, with a button."""
    return await _removal(request, state, person, kind_of(kind), code)


@router.post("/entries/{code}/remove")
async def remove(request: Request, state: Wired, person: AtDesk, kind: str, code: str) -> Response:
    """Remove an entry, or deactivate it where the past needs it."""
    known_kind, form = kind_of(kind), await form_of(request)
    wanted = Change(known_kind, code, {}, field(form, SEEN))
    try:
        await take_away(state, person, wanted, dry=True)
        if known_kind in SENSITIVE:
            await second_factor(request, state, person, form)
        done = await take_away(state, person, wanted)
    except MintkeeperError as error:
        return await _removal(request, state, person, known_kind, code, error)
    told = f"{KINDS[known_kind].one.lower()} {code} is {done}"
    return redirect(state, path("dictionaries", known_kind), told)


def kind_of(name: str) -> Kind:
    """The dictionary of that name; raises NotFound."""
    if name not in set(Kind):
        raise NotFound("there is no such dictionary")
    return Kind(name)


def _with_new(kind: Kind) -> Kind:
    if kind in (Kind.STATUS, Kind.TENANT):
        raise NotFound(f"every {kind} there can be is there")
    return kind


async def _save(
    request: Request, state: State, person: Person, kind: Kind, code: str | None, form: FormData
) -> Response:
    """Check everything, ask for the second factor, write; or show the form again with what is wrong."""
    named = code if code is not None else _code(kind, form)
    shown = await look(state, person, kind, named)
    given, unreadable = _read(kind, shown, form)
    wanted = Change(kind, named, given, field(form, SEEN))
    try:
        await _check(state, person, wanted, unreadable)
        if kind in SENSITIVE:
            await second_factor(request, state, person, form)
        outcome = await save(state, person, wanted)
    except MintkeeperError as error:
        return _form(request, state, person, kind, code, shown, form=form, error=error)
    told = "; ".join((f"{KINDS[kind].one.lower()} {named} is saved", *outcome.warnings))
    back = ("rules",) if kind is Kind.RULE else ("dictionaries", kind, "entries", named)
    return redirect(state, path(*back), told, bad=False)


async def _check(state: State, person: Person, wanted: Change, unreadable: Mapping[str, str]) -> None:
    """Raise all that is wrong at once, with what can't even be read."""
    try:
        await save(state, person, wanted, dry=True)
    except FieldsError as error:
        raise InvalidInput(f"{wanted.kind} can't be set", fields={**error.fields, **unreadable}) from error
    if unreadable:
        raise InvalidInput(f"{wanted.kind} can't be set", fields=unreadable)


def _read(kind: Kind, shown: Shown, form: FormData) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields as typed, and what is wrong with those that can't be read."""
    given: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    for one in forms.fields_of(kind, shown.known):
        try:
            given[one.name] = forms.read(one, form, (shown.fields or {}).get(one.name))
        except InvalidInput as error:
            unreadable[one.name] = error.message.removeprefix(f"{one.name}: ")
            given[one.name] = one.default
    return given, unreadable


def _code(kind: Kind, form: FormData) -> str:
    if kind is Kind.TRANSITION:
        return transition_code(*(field(form, name).strip() for name in ("topic", "from", "to")))
    naming = {Kind.RULE: "position", Kind.EVENT_RULE: "event_kind", Kind.USER: "name", Kind.CHANNEL: "name"}
    return field(form, naming.get(kind, "code")).strip()


def _form(
    request: Request,
    state: State,
    person: Person,
    kind: Kind,
    code: str | None,
    shown: Shown,
    *,
    values: Mapping[str, Any] | None = None,
    form: FormData | None = None,
    error: MintkeeperError | None = None,
) -> HTMLResponse:
    """The form with stored values or, after an error, with what was typed and a message beside each."""
    wrong = dict(error.fields) if isinstance(error, FieldsError) else {}
    naming = forms.naming_fields(kind, shown.known) if code is None else []
    plain = forms.fields_of(kind, shown.known)
    inputs = [_input(one, values or {}, form, wrong) for one in (*naming, *plain)]
    channel_kind = str(next((one["value"] for one in inputs if one["field"].name == "kind"), ""))
    overtaken = error if isinstance(error, Overtaken) else None
    seen = overtaken.now if overtaken else (shown.fields if form is None else None)
    stored = shown.fields or {}
    return page(
        request,
        state,
        person,
        "admin/entry.html",
        status_code=409 if overtaken else 400 if error else 200,
        kind=kind,
        words=KINDS[kind],
        code=code,
        inputs=inputs,
        settings=[_setting(one, inputs, stored) for one in forms.setting_fields(channel_kind)],
        wrong=wrong,
        message=error.message if error and not wrong else "",
        others={name: told for name, told in wrong.items() if name not in {i["field"].name for i in inputs}},
        differences=_differences(plain, overtaken, form) if overtaken and form else [],
        overtaken=overtaken,
        seen=fingerprint(state, seen) if form is None or overtaken else field(form, SEEN),
        is_stored=shown.fields is not None,
        needs_code=kind in SENSITIVE and person.has_totp,
        could_need_code=kind in SENSITIVE and not person.has_totp,
        zones=ZONES if any(one["field"].input is Input.ZONE for one in inputs) else (),
        removable=code is not None and shown.fields is not None and kind is not Kind.TENANT,
    )


def _input(
    one: FormField, values: Mapping[str, Any], form: FormData | None, wrong: Mapping[str, str]
) -> dict[str, Any]:
    value = forms.text_of(one, values.get(one.name)) if form is None else forms.typed(one, form)
    choices = list(one.choices)
    # what is stored stays to be seen, even if nobody could choose it today
    choices += [word for word in (value if isinstance(value, list) else [value]) if _is_lost(one, word)]
    return {"field": one, "value": value, "choices": choices, "error": wrong.get(one.name, "")}


def _is_lost(one: FormField, word: Any) -> bool:
    return one.input in (Input.CHOICE, Input.SEVERAL) and bool(word) and word not in one.choices


def _setting(one: FormField, inputs: list[dict[str, Any]], stored: Mapping[str, Any]) -> dict[str, Any]:
    values = next(found["value"] for found in inputs if found["field"].name == "settings")
    kept = one.name in forms.WRITE_ONLY and one.name in stored.get("settings", {})
    return {"field": one, "value": values.get(one.name, ""), "kept": kept}


def _differences(plain: list[FormField], overtaken: Overtaken, form: FormData) -> list[tuple[str, str, str]]:
    """Label, how it is now, and how the sender wants it, where both differ."""
    now = overtaken.now or {}
    found = []
    for one in plain:
        try:
            mine = forms.said(one, forms.read(one, form, now.get(one.name)))
        except MintkeeperError:
            mine = str(forms.typed(one, form))
        theirs = forms.said(one, now.get(one.name))
        if mine != theirs and not (one.input is Input.AMOUNT and _same_amount(mine, theirs)):
            found.append((one.words.label, theirs, mine))
    return found


def _same_amount(mine: str, theirs: str) -> bool:
    return forms.plain_amount(mine) == forms.plain_amount(theirs)


async def _removal(
    request: Request,
    state: State,
    person: Person,
    kind: Kind,
    code: str,
    error: MintkeeperError | None = None,
) -> HTMLResponse:
    shown = await look(state, person, kind, code)
    if shown.fields is None or kind is Kind.TENANT:
        raise NotFound(f"there is no {kind} {code[:80]} to remove")
    told = [(one.words.label, forms.said(one, shown.fields[one.name])) for one in
            forms.fields_of(kind, shown.known)]  # fmt: skip
    return page(
        request,
        state,
        person,
        "admin/remove.html",
        status_code=409 if error else 200,
        kind=kind,
        words=KINDS[kind],
        code=code,
        facts=[fact for fact in told if fact[1]],
        deactivates=kind in (Kind.TOPIC, Kind.USER),
        message=error.message if error else "",
        seen=fingerprint(state, shown.fields),
        needs_code=kind in SENSITIVE and person.has_totp,
    )
