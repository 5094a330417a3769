"""The desk's side of a conversation over HTTP: to read and, with signed commands, to write and hand in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from commands.talk_documents import attachment_document, message_document
from db import reads
from db.reads import conversation as talk
from db.reads.conversation import AttachmentView
from db.session import Transaction
from db.writes import attachments
from db.writes.commands import accept_command, examine_command
from db.writes.conversation import message_id_for_key
from domain.commands import EVERYBODY, Command, CommandAction
from domain.dsse import Envelope
from domain.errors import NotFound
from domain.mint_request import utc_text
from domain.passes import PassPurpose, SessionSecret, check_pass, issue_pass
from domain.records import RequestRecord
from domain.sessions import Person
from domain.steps import CommentMessage
from starter import uploads
from starter.ids import new_message_id
from starter.talking import say
from starter.temporal import connect
from web.acting import comment as say_as
from web.acting import load_visible, visible
from web.api import schemas
from web.documents import Announced, as_input, bearer, hand_out, read_body, take_in
from web.openapi import answers, takes
from web.people import SignedIn, acting_person
from web.signed import SignedBody, as_envelope
from web.state import State, Wired

router = APIRouter(tags=["conversation"])

UPLOAD_TIME = timedelta(hours=1)
"""So long a pass to send the bytes is good."""

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]

_REFUSALS: dict[int | str, dict[str, Any]] = {400: {}, 401: {}, 403: {}, 404: {}, 409: {}, 503: {}}


@router.get(
    "/api/requests/{name}/conversation", response_model=None, responses=answers(schemas.Conversation, 404)
)
async def conversation(state: Wired, person: SignedIn, name: str) -> dict[str, Any]:
    """What was said and handed in, oldest first."""
    async with state.database.transaction() as tx:
        record = await visible(tx, person, name)
        messages = await talk.messages(tx, record.request.id)
        documents = await talk.attachments(tx, record.request.id)
    return {
        "id": record.request.id,
        "messages": [message_document(one) for one in messages],
        "attachments": [attachment_document(one) for one in documents],
    }


@router.post(
    "/api/requests/{request_id}/comments",
    status_code=202,
    response_model=None,
    responses={**_REFUSALS, **answers(schemas.CommentDocument, success=202)},
    openapi_extra=takes(Envelope, schemas.Said),
)
async def comment(
    request: Request, state: Wired, request_id: str, signed: SignedBody, key: Key = None
) -> dict[str, Any]:
    """Say something: signed in, or by a signed command `request.comment` with its `text` in the body.

    The same `Idempotency-Key`, and the same command, again is the same message.
    """
    if as_envelope(signed) is None:
        return await _comment(state, await acting_person(request, state), request_id, signed, key)
    async with state.database.transaction() as tx:
        command = await examine_command(
            tx,
            signed,
            action=CommandAction.REQUEST_COMMENT,
            target=request_id,
            roles=EVERYBODY,
            now=datetime.now(UTC),
        )
        record = await _of_tenant(tx, request_id, command)
    try:
        message = CommentMessage(
            author=command.actor, text=command.body.get("text", ""), comment_id=command.id
        )
    except ValidationError as error:
        raise as_input(error) from None
    written = await say(connect, state.database, record, message)
    return {"id": request_id, "comment_id": command.id, "sent": "stored" if written else "signal"}


@router.post(
    "/api/requests/{request_id}/attachments",
    status_code=201,
    response_model=None,
    responses={**_REFUSALS, **answers(schemas.Upload, success=201)},
    openapi_extra=takes(Envelope, Announced),
)
async def announce(
    request: Request, state: Wired, request_id: str, signed: SignedBody, key: Key = None
) -> dict[str, Any]:
    """Announce a document: signed in, or by a signed command `request.attach` with this in its body.

    The answer holds where its bytes go, and the pass that they need.
    """
    if as_envelope(signed) is None:
        return await _announce(state, await acting_person(request, state), request_id, signed, key)
    # asked before anything is written: without it there is no pass
    secret, now = state.secret, datetime.now(UTC)
    async with state.database.transaction() as tx:
        command = await accept_command(
            tx, signed, action=CommandAction.REQUEST_ATTACH, target=request_id, roles=EVERYBODY, now=now
        )
        await _of_tenant(tx, request_id, command)
        try:
            announced = Announced.model_validate(command.body).checked(state)
        except ValidationError as error:
            raise as_input(error) from None
        pending = await attachments.announce_upload(
            tx,
            record=await reads.lock_request(tx, request_id),
            attachment_id=uploads.new_attachment_id(),
            author=command.actor,
            announced=announced,
            at=now,
        )
    return _announced(secret, pending)


async def _comment(state: State, person: Person, name: str, body: bytes, key: str | None) -> dict[str, Any]:
    said = read_body(body, schemas.Said)
    record = await load_visible(state, person, name)
    request_id = record.request.id
    comment_id = message_id_for_key(request_id, person.name, key) if key else new_message_id()
    written = await say_as(state, person, record, said.text, comment_id)
    return {"id": request_id, "comment_id": comment_id, "sent": "stored" if written else "signal"}


async def _announce(state: State, person: Person, name: str, body: bytes, key: str | None) -> dict[str, Any]:
    announced, secret = read_body(body, Announced).checked(state), state.secret
    request_id = (await load_visible(state, person, name)).request.id
    attachment_id = (
        uploads.attachment_id_for_key(request_id, person.name, key) if key else uploads.new_attachment_id()
    )
    pending = await uploads.announce(state.database, request_id, person.name, announced, attachment_id)
    return _announced(secret, pending)


def _announced(secret: SessionSecret, pending: AttachmentView) -> dict[str, Any]:
    until = datetime.now(UTC) + UPLOAD_TIME
    token = issue_pass(secret, PassPurpose.UPLOAD, pending.id, until)
    return {
        **attachment_document(pending),
        "upload": f"/api/attachments/{pending.id}",
        "token": token,
        "expires_at": utc_text(until),
    }


@router.put("/api/attachments/{attachment_id}", responses=_REFUSALS)
async def put(request: Request, state: Wired, attachment_id: str) -> dict[str, Any]:
    """The bytes of an announced document, with the pass of its announcement."""
    check_pass(
        state.secret,
        bearer(request),
        purpose=PassPurpose.UPLOAD,
        subject=attachment_id,
        now=datetime.now(UTC),
    )
    return await take_in(request, state, attachment_id)


@router.get("/api/attachments/{attachment_id}", response_model=None, responses={404: {}, 503: {}})
async def download(state: Wired, person: SignedIn, attachment_id: str) -> StreamingResponse:
    """A stored document of a request that one may see."""
    async with state.database.transaction() as tx:
        found = await attachments.find(tx, attachment_id)
        try:
            await visible(tx, person, found.request_id)
        except NotFound:
            raise NotFound(f"there is no document {attachment_id}") from None
    return await hand_out(state, found)


async def _of_tenant(tx: Transaction, request_id: str, command: Command) -> RequestRecord:
    """The request, if it is of the command's tenant; another's is as good as absent. Raises NotFound."""
    record = await reads.request(tx, request_id)
    if record is None or record.request.tenant != command.tenant:
        raise NotFound(f"there is no mint request {request_id}")
    return record
