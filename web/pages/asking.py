"""`/requests/new`: asking for a mint in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from db import reads
from db.reads.lines import assets_used
from domain.errors import FieldsError, InvalidInput, MintkeeperError
from domain.sessions import Person
from starter.ids import new_message_id
from starter.requests import Wanted
from web.acting import submit
from web.filters import typed_moment
from web.narrowing import typed_amount
from web.people import field, form_of, needs
from web.rendering import page, redirect
from web.state import State, Wired

FIELDS = ("asset", "other_asset", "amount", "destination", "topic", "memo", "deadline", "key")

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Asking = Annotated[Person, Depends(needs("requester", "approver", "admin"))]
"""Who may ask for a mint: whoever acts at all."""


@router.get("/requests/new")
async def ask_page(request: Request, state: Wired, person: Asking) -> HTMLResponse:
    """The empty form; its key makes a doubled click one request."""
    return await _form(request, state, person, {"key": new_message_id()})


@router.post("/requests/new")
async def ask(request: Request, state: Wired, person: Asking) -> Response:
    """Submit for the signed-in person; what is wrong is said beside its field, and nothing typed is lost."""
    form = await form_of(request)
    values = {name: field(form, name) for name in FIELDS}
    try:
        receipt = await submit(state, person, _wanted(person, values))
    except FieldsError as error:
        wrong = error.fields or {error.field or "": error.message}
        return await _form(request, state, person, values, wrong=wrong, status_code=400)
    except MintkeeperError as error:
        return await _form(request, state, person, values, wrong={"": error.message}, status_code=409)
    if not receipt.opened:
        return redirect(state, "/requests", f"{receipt.request.summary}: accepted, and opened in a moment")
    return redirect(
        state,
        f"/requests/{receipt.request.id}",
        f"Asked for: the track number is {receipt.request.track_number}.",
    )


def _wanted(person: Person, values: Mapping[str, str]) -> Wanted:
    if not values["key"]:
        raise InvalidInput("this form is not ours: open it again", "")
    deadline = typed_moment(values["deadline"], person, "deadline")
    return Wanted(
        tenant=person.tenant,
        asset=values["other_asset"].strip() or values["asset"],
        amount=typed_amount(values["amount"]),
        destination=values["destination"],
        topic=values["topic"],
        requester=person.name,
        memo=values["memo"].strip(),
        deadline=deadline.isoformat() if deadline else None,
        # the person's own: nobody finds another's request by its key
        key=f"web:{person.name}:{values['key']}",
    )


async def _form(
    request: Request,
    state: State,
    person: Person,
    values: Mapping[str, str],
    *,
    wrong: Mapping[str, Any] | None = None,
    status_code: int = 200,
) -> HTMLResponse:
    async with state.database.transaction() as tx:
        topics = [topic for topic in await reads.topics(tx, person.tenant) if topic.active]
        named = {rule.asset for rule in await reads.rules(tx, person.tenant)}
        used = {str(asset) for asset in await assets_used(tx, person.tenant)}
    return page(
        request,
        state,
        person,
        "asking.html",
        status_code=status_code,
        values=values,
        wrong=wrong or {},
        topics=topics,
        assets=sorted((named | used) - {"*"}),
        any_asset="*" in named,
    )
