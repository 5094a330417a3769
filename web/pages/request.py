"""One mint request: what is asked, by whom, how far it has come, and what the reader may do about it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db.reads.live import audit_seq
from domain.errors import MintkeeperError
from domain.records import RequestRecord
from domain.sessions import Person
from web.acting import load_visible, visible
from web.errors import status_of
from web.filters import sentence
from web.people import SignedIn
from web.rendering import page
from web.request_view import Typed, page_values, read_facts
from web.state import State, Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/requests/{name}")
async def request_page(
    request: Request, state: Wired, person: SignedIn, name: str, open: str = ""
) -> HTMLResponse:
    """The page; `open` names the form that is to be open."""
    return await render(request, state, person, name, Typed(open))


@router.get("/requests/{name}/destination")
async def destination(request: Request, state: Wired, person: SignedIn, name: str) -> HTMLResponse:
    """How the destination stands on the ledger now: a part of the page, or by itself without scripts."""
    record = await load_visible(state, person, name)
    look, problem = None, ""
    try:
        look = await state.destinations.look(record.request, record.ledger_options)
    except MintkeeperError as error:
        problem = sentence(error.message)
    alone = "x-part" not in request.headers
    template = "request_destination_page.html" if alone else "request_destination.html"
    return page(request, state, person, template, mint=record.request, look=look, problem=problem)


async def render(
    request: Request, state: State, person: Person, name: str, typed: Typed, status_code: int = 200
) -> HTMLResponse:
    """The page of the request of that id or track number; raises NotFound."""
    async with state.database.transaction() as tx:
        seq = await audit_seq(tx, person.tenant)
        record = await visible(tx, person, name)
        facts = await read_facts(tx, person, record, seq)
    values = page_values(state, person, facts, typed)
    return page(request, state, person, "request.html", status_code=status_code, **values)


async def render_undone(
    request: Request,
    state: State,
    person: Person,
    record: RequestRecord,
    typed: Typed,
    error: MintkeeperError,
) -> HTMLResponse:
    """The page once more after something could not be done, with what was typed."""
    told = Typed(typed.verb, typed.values, typed.error or sentence(error.message))
    return await render(request, state, person, record.request.id, told, status_of(error))
