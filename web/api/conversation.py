"""The desk's side of a conversation over HTTP: to read and, with signed commands, to write and hand in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from commands.lookup import find_request
from commands.talk_documents import attachment_document, message_document
from db import reads
from db.reads import conversation as talk
from db.session import Transaction
from db.writes import attachments
from db.writes.commands import accept_command, examine_command
from domain.commands import EVERYBODY, Command, CommandAction
from domain.errors import NotFound
from domain.mint_request import utc_text
from domain.passes import PassPurpose, check_pass, issue_pass
from domain.records import RequestRecord
from domain.steps import CommentMessage
from starter import uploads
from starter.talking import say
from starter.temporal import connect
from web.documents import Announced, as_input, bearer, hand_out, secret_of, take_in
from web.signed import SignedBody
from web.state import Wired

router = APIRouter(tags=["conversation"])

UPLOAD_TIME = timedelta(hours=1)
"""So long a pass to send the bytes is good."""

_REFUSALS: dict[int | str, dict[str, Any]] = {400: {}, 401: {}, 403: {}, 404: {}, 409: {}, 503: {}}


@router.get("/api/requests/{name}/conversation", responses={404: {}})
async def conversation(state: Wired, name: str) -> dict[str, Any]:
    """What was said and handed in, oldest first."""
    async with state.database.transaction() as tx:
        record = await find_request(tx, name)
        messages = await talk.messages(tx, record.request.id)
        documents = await talk.attachments(tx, record.request.id)
    return {
        "id": record.request.id,
        "messages": [message_document(one) for one in messages],
        "attachments": [attachment_document(one) for one in documents],
    }


@router.post("/api/requests/{request_id}/comments", status_code=202, responses=_REFUSALS)
async def comment(state: Wired, request_id: str, signed: SignedBody) -> dict[str, Any]:
    """Say something by a signed command `request.comment` with its `text` in the body.

    The command's id is the message's, so the same command again is the same message.
    """
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


@router.post("/api/requests/{request_id}/attachments", status_code=201, responses=_REFUSALS)
async def announce(state: Wired, request_id: str, signed: SignedBody) -> dict[str, Any]:
    """Announce a document by a signed command `request.attach` with `filename` and `size` in its body.

    The answer holds where its bytes go, and the pass that they need.
    """
    now, secret = datetime.now(UTC), secret_of(state)
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
    token = issue_pass(secret, PassPurpose.UPLOAD, pending.id, now + UPLOAD_TIME)
    return {
        **attachment_document(pending),
        "upload": f"/api/attachments/{pending.id}",
        "token": token,
        "expires_at": utc_text(now + UPLOAD_TIME),
    }


@router.put("/api/attachments/{attachment_id}", responses=_REFUSALS)
async def put(request: Request, state: Wired, attachment_id: str) -> dict[str, Any]:
    """The bytes of an announced document, with the pass of its announcement."""
    check_pass(
        secret_of(state),
        bearer(request),
        purpose=PassPurpose.UPLOAD,
        subject=attachment_id,
        now=datetime.now(UTC),
    )
    return await take_in(request, state, attachment_id)


@router.get("/api/attachments/{attachment_id}", response_model=None, responses={404: {}, 503: {}})
async def download(state: Wired, attachment_id: str) -> StreamingResponse:
    """A stored document."""
    async with state.database.transaction() as tx:
        found = await attachments.find(tx, attachment_id)
    return await hand_out(state, found)


async def _of_tenant(tx: Transaction, request_id: str, command: Command) -> RequestRecord:
    """The request, if it is of the command's tenant; another's is as good as absent. Raises NotFound."""
    record = await reads.request(tx, request_id)
    if record is None or record.request.tenant != command.tenant:
        raise NotFound(f"there is no mint request {request_id}")
    return record
