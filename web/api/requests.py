"""Mint requests over HTTP: to read, to ask for, and to act on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse

from commands.documents import request_document
from commands.submitting import Receipt
from commands.talk_documents import conversation_document
from commands.urgency import urgency
from db import reads
from domain.approvals import DecisionOutcome, SignedDecision, Verdict
from domain.mint_request import MintStatus
from domain.records import RequestRecord
from domain.sessions import Person, SessionKind
from starter.ids import new_decision_id
from starter.requests import Wanted
from web import acting
from web.api import schemas
from web.documents import json_body, read_body
from web.openapi import answers, takes
from web.people import Acting, OwnTenant, SignedIn, address_of, require
from web.signed import SignedBody, as_envelope
from web.state import State, Wired

router = APIRouter(prefix="/api/requests", tags=["requests"])

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=255, description="The same key: the same request."
    ),
]


@router.get("", response_model=None, responses=answers(schemas.RequestList))
async def list_requests(
    state: Wired, person: SignedIn, tenant: OwnTenant, status: MintStatus | None = None, limit: Limit = 200
) -> dict[str, Any]:
    """The most urgent first, each as `mintkeeper list --json` gives it; a mere requester's are their own."""
    mine = None if person.sees_all else person.name
    async with state.database.transaction() as tx:
        records = await reads.requests(tx, status=status, tenant=tenant, requester=mine, limit=limit)
    return {"requests": [request_document(record) for record in sorted(records, key=urgency)]}


@router.get("/{request_id}", response_model=None, responses=answers(schemas.RequestDocument, 404))
async def show_request(state: Wired, person: SignedIn, request_id: str) -> dict[str, Any]:
    """One request by id or track number, as `mintkeeper show --json` gives it."""
    async with state.database.transaction() as tx:
        record = await acting.visible(tx, person, request_id)
        timeline = await reads.timeline(tx, record.request.id)
        return {**request_document(record, timeline), **await conversation_document(tx, record.request.id)}


@router.post(
    "",
    status_code=201,
    response_class=JSONResponse,
    responses={**answers(schemas.ReceiptDocument, 409, success=201), 202: {"model": schemas.ReceiptDocument}},
    openapi_extra=takes(schemas.NewRequest),
)
async def submit(request: Request, state: Wired, person: Acting, key: Key = None) -> JSONResponse:
    """Ask for a mint, as whoever is signed in. 202: durable, but no worker has opened it yet."""
    body = await json_body(request, schemas.NewRequest)
    wanted = Wanted(**body.model_dump(), tenant=person.tenant, requester=person.name, key=key)
    return _receipt(await acting.submit(state, person, wanted))


@router.post(
    "/{name}/resubmit",
    status_code=201,
    response_class=JSONResponse,
    responses={
        **answers(schemas.ReceiptDocument, 404, 409, success=201),
        202: {"model": schemas.ReceiptDocument},
    },
    openapi_extra=takes(schemas.Nothing, needed=False),
)
async def resubmit(
    state: Wired, person: Acting, name: str, body: SignedBody, key: Key = None
) -> JSONResponse:
    """Ask again for what ended without a mint: a new request with fresh approvals, of whoever asks."""
    read_body(body or b"{}", schemas.Nothing)
    record = await acting.load_visible(state, person, name)
    return _receipt(await acting.resubmit(state, person, record, key=key))


_DECIDED: dict[int | str, dict[str, Any]] = {
    **answers(schemas.DecisionDocument, 404, 409, 429, 504),
    202: {"model": schemas.DecisionDocument},
}


@router.post(
    "/{name}/decisions",
    response_class=JSONResponse,
    responses=_DECIDED,
    openapi_extra=takes(SignedDecision, schemas.Verdicted),
)
async def decide(
    request: Request, state: Wired, person: SignedIn, name: str, body: SignedBody
) -> JSONResponse:
    """Approve, reject or cancel; 202: left with the workflow, and the outcome is not known yet.

    Either a decision that an approver has signed, which is its own proof, whoever delivers it; or, from a
    signed-in browser, what the server is to sign. An API token can only deliver.
    """
    record = await acting.load_visible(state, person, name)
    envelope = as_envelope(body)
    if envelope is not None:
        return _decided(record, *await acting.deliver_signed(state, person, record, envelope))
    said = read_body(body, schemas.Verdicted)
    return await _vouched(request, state, person, record, said)


@router.post(
    "/{name}/cancel",
    response_class=JSONResponse,
    responses=_DECIDED,
    openapi_extra=takes(SignedDecision, schemas.Cancelled, needed=False),
)
async def cancel(
    request: Request, state: Wired, person: SignedIn, name: str, body: SignedBody
) -> JSONResponse:
    """Cancel a PENDING request, as its requester or as an admin; takes what `decisions` does."""
    record = await acting.load_visible(state, person, name)
    envelope = as_envelope(body)
    if envelope is not None:
        return _decided(record, *await acting.deliver_signed(state, person, record, envelope, Verdict.CANCEL))
    said = read_body(body or b"{}", schemas.Cancelled)
    order = schemas.Verdicted(verdict="cancel", reason=said.reason, decision_id=said.decision_id)
    return await _vouched(request, state, person, record, order)


_STANDING = answers(schemas.StandingDocument, 404, 409, 429, 504)


@router.post(
    "/{name}/claim",
    response_model=None,
    responses=_STANDING,
    openapi_extra=takes(schemas.Nothing, needed=False),
)
async def claim(state: Wired, person: Acting, name: str, body: SignedBody) -> dict[str, Any]:
    """Say that you work on it now; approves nothing."""
    read_body(body or b"{}", schemas.Nothing)
    return await _assign(state, person, name, "claim", person.name)


@router.post(
    "/{name}/release",
    response_model=None,
    responses=_STANDING,
    openapi_extra=takes(schemas.Nothing, needed=False),
)
async def release(state: Wired, person: Acting, name: str, body: SignedBody) -> dict[str, Any]:
    """Say that nobody works on it any more."""
    read_body(body or b"{}", schemas.Nothing)
    return await _assign(state, person, name, "release", None)


@router.post(
    "/{name}/assign", response_model=None, responses=_STANDING, openapi_extra=takes(schemas.Assigned)
)
async def assign(state: Wired, person: Acting, name: str, body: SignedBody) -> dict[str, Any]:
    """Give it to an approver."""
    return await _assign(state, person, name, "assign", read_body(body, schemas.Assigned).assignee)


async def _assign(state: State, person: Person, name: str, verb: str, assignee: str | None) -> dict[str, Any]:
    record = await acting.load_visible(state, person, name)
    # a mere requester gives work to nobody, as on the page
    require(person, "approver", "admin")
    standing = await acting.assign(state, person, record, verb, assignee)
    return {"id": record.request.id, "status": standing.status.value, "assignee": standing.assignee}


async def _vouched(
    request: Request, state: State, person: Person, record: RequestRecord, said: schemas.Verdicted
) -> JSONResponse:
    """Decide as the browser's user, whose decision the server signs."""
    verdict = Verdict(said.verdict)
    acting.check_seen(record, said.digest)
    form_id = said.decision_id or new_decision_id()
    decision_id = acting.own_decision_id(person, record.request.id, form_id)
    if person.kind is SessionKind.TOKEN:
        raise acting.no_presence()
    stepped_up: tuple[str, ...] = ()
    if verdict is Verdict.APPROVE:
        stepped_up = await acting.step_up(state, person, [record], said.code, address=address_of(request))
    outcome = await acting.decide(
        state, person, record, verdict, said.reason, decision_id=decision_id, stepped_up=stepped_up
    )
    return _decided(record, decision_id, outcome)


def _decided(record: RequestRecord, decision_id: str, outcome: DecisionOutcome | None) -> JSONResponse:
    facts = {"id": record.request.id, "decision_id": decision_id}
    if outcome is None:
        return JSONResponse({**facts, "accepted": None, "sent": "signal"}, status_code=202)
    return JSONResponse({**facts, **outcome.model_dump(mode="json")})


def _receipt(receipt: Receipt) -> JSONResponse:
    headers = {"Location": f"/api/requests/{receipt.request.id}"}
    return JSONResponse(receipt.document(), status_code=201 if receipt.opened else 202, headers=headers)
