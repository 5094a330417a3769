"""Documents of a request: handed in by a form of its page, handed out to be saved."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from db.writes import attachments
from domain.errors import MintkeeperError, NotFound
from web.acting import load_visible, visible
from web.documents import hand_out
from web.handing_in import bounded, store_form
from web.pages.request_actions import undone
from web.people import SignedIn, form_of, require
from web.rendering import redirect
from web.request_deeds import Deed
from web.state import Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.post("/requests/{name}/documents", dependencies=[Depends(bounded)])
async def hand_in(request: Request, state: Wired, person: SignedIn, name: str) -> Response:
    """Take a document in: announced, then stored, exactly as over the API."""
    require(person, "requester", "approver", "admin")
    deed = Deed(request, state, person, await load_visible(state, person, name), await form_of(request))
    try:
        filename = await store_form(state, deed.record.request.id, person.name, deed.form)
    except MintkeeperError as error:
        return await undone(deed, "documents", error)
    return redirect(state, f"/requests/{deed.record.request.id}", f"{filename} was handed in.")


@router.get("/requests/{name}/documents/{document_id}", response_model=None)
async def document(state: Wired, person: SignedIn, name: str, document_id: str) -> Response:
    """A stored document, to be saved: never shown, and run by nothing."""
    async with state.database.transaction() as tx:
        record = await visible(tx, person, name)
        found = await attachments.find(tx, document_id)
    if found.request_id != record.request.id:
        raise NotFound(f"there is no document {document_id}")
    answer = await hand_out(state, found)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer
