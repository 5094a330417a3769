"""All dictionaries as one file: to keep, and to apply after looking at what it would change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from db.reads.entries import every_entry
from db.reads.stellar_channels import channel_accounts
from db.writes.configuration import Applied, apply_configuration
from domain.configuration import HIDDEN, Change, exported
from domain.errors import FieldsError, InvalidInput, MintkeeperError
from domain.plain_yaml import MOST_BYTES, read_yaml, write_yaml
from domain.sessions import Person
from web.pages.admin.changing import fingerprint
from web.pages.admin.fields import WRITE_ONLY
from web.pages.admin.guard import AtDesk, by, path, second_factor
from web.people import field, form_of, text_of
from web.rendering import page, redirect
from web.state import State, Wired

router = APIRouter(prefix="/configuration")

_HEADER = """\
# Configuration of tenant {tenant}, written at {at}.
# Applying it sets what stands here and removes nothing. It holds contacts of people: keep it as those.
# Secrets of channels are references, never values; keys and escalation policies are not part of it.
"""


@router.get("")
async def configuration_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """Export and apply; and the Stellar accounts that carry mints."""
    return await _page(request, state, person)


@router.get("/export.yaml")
async def export(state: Wired, person: AtDesk) -> PlainTextResponse:
    """The file."""
    async with state.database.transaction() as tx:
        document = exported(await every_entry(tx, person.tenant))
    now = datetime.now(UTC)
    text = _HEADER.format(tenant=person.tenant, at=now.isoformat(timespec="seconds")) + write_yaml(document)
    name = f"{person.tenant}-{now:%Y-%m-%d}.yaml"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return PlainTextResponse(text, media_type="application/yaml", headers=headers)


@router.post("")
async def look(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """What a file would change; nothing is written."""
    form = await form_of(request)
    text = ""
    try:
        text = await text_of(form, MOST_BYTES)
        applied = await _apply(state, person, text)
    except MintkeeperError as error:
        return await _page(request, state, person, text=text, error=error)
    return await _page(request, state, person, text=text, applied=applied)


@router.post("/apply")
async def apply(request: Request, state: Wired, person: AtDesk) -> Response:
    """Apply the file that was looked at, if it changes what it would have changed then."""
    form = await form_of(request)
    text, asked = field(form, "text"), None
    try:
        applied = await _apply(state, person, text)
        if _seen(state, applied) != field(form, "seen"):
            told = "somebody else has changed entries meanwhile: this is what it would change now"
            return await _page(request, state, person, text=text, applied=applied, told=told)
        # without the right code the changes stay on the page, to be applied with it
        asked = applied
        await second_factor(request, state, person, form)
        asked = None
        applied = await _apply(state, person, text, seen=field(form, "seen"))
    except MintkeeperError as error:
        return await _page(request, state, person, text=text, applied=asked, error=error)
    counts = f"{applied.added} added, {applied.changed} changed, {applied.unchanged} unchanged"
    told = "; ".join((f"the configuration is applied: {counts}", *applied.warnings))
    return redirect(state, path("configuration"), told)


async def _apply(state: State, person: Person, text: str, *, seen: str = "") -> Applied:
    """What comes of it; it is written only if that is what was `seen`."""
    document = read_yaml(text, "the file")
    if document is None:
        raise InvalidInput("choose a file, or paste a configuration", "file")
    async with state.database.transaction() as tx:
        applied = await apply_configuration(tx, document, by(person))
        if _seen(state, applied) != seen:
            await tx.roll_back()
            if seen:
                raise InvalidInput("somebody else has changed entries meanwhile: look again")
    return applied


def _seen(state: State, applied: Applied) -> str:
    changes = [change.model_dump(mode="json") for change in applied.changes]
    return fingerprint(state, {"changes": changes})


async def _page(
    request: Request,
    state: State,
    person: Person,
    *,
    text: str = "",
    applied: Applied | None = None,
    error: MintkeeperError | None = None,
    told: str = "",
) -> HTMLResponse:
    async with state.database.transaction() as tx:
        accounts = await channel_accounts(tx)
    wrong = dict(error.fields) if isinstance(error, FieldsError) else {}
    return page(
        request,
        state,
        person,
        "admin/configuration.html",
        status_code=400 if error else 409 if told else 200,
        text=text,
        applied=applied,
        changes=[_change(change) for change in applied.changes] if applied else [],
        seen=_seen(state, applied) if applied else "",
        told=told or (error.message if error and not wrong else ""),
        wrong=wrong,
        accounts=accounts,
        needs_code=person.has_totp,
    )


def _change(change: Change) -> dict[str, Any]:
    fields = [(name, _value(value)) for name, value in change.after.items()] if change.is_new else []
    return {
        "path": change.path,
        "is_new": change.is_new,
        "fields": fields,
        "before": _value(change.before),
        "after": _value(change.after),
    }


def _value(value: Any) -> str:
    """In one line; of a channel's settings, not what is write-only."""
    if isinstance(value, Mapping):
        value = {name: HIDDEN if name in WRITE_ONLY else told for name, told in value.items()}
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
