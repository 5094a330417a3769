"""What the client of a request may do under its track number; the API and the page share it.

A one-time code, sent to the requester, opens a session of half an hour: a pass, bound to this one request.
An unknown track number gets the answers of a known one, so nobody can find out which exist.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from db import reads
from db.reads import conversation as talk
from db.reads.conversation import CLIENT, AttachmentView, MessageView
from db.reads.history import NotificationView
from db.session import Transaction
from db.writes import codes, conversation
from domain.client_words import told
from domain.codes import CodePurpose
from domain.errors import InvalidInput, NotFound, Refused
from domain.passes import PassPurpose, check_pass, issue_pass
from domain.records import RequestRecord
from web.state import State

log = logging.getLogger("mintkeeper.track")

SESSION: Final = timedelta(minutes=30)
SENT: Final = "if there is such a request, its client has a code now"

_TRACK_NUMBER = re.compile(r"MK-[A-Z2-7]{10}")


@dataclass(frozen=True)
class Shown:
    """What a client sees of their request."""

    record: RequestRecord
    messages: list[MessageView]
    documents: list[AttachmentView]
    told: list[NotificationView]


def is_track_number(text: str) -> bool:
    """Tell whether it has the shape of one."""
    return _TRACK_NUMBER.fullmatch(text.upper()) is not None


async def find(tx: Transaction, track_number: str) -> RequestRecord | None:
    """The request, unless its client has left: then there is nobody whom it could be shown to."""
    if not is_track_number(track_number):
        return None
    record = await reads.request_by_track_number(tx, track_number.upper())
    return record if record and await talk.client_is_active(tx, record) else None


async def admitted(tx: Transaction, state: State, track_number: str, token: str) -> RequestRecord:
    """The request, for the bearer of a pass to it; raises AccessRefused, for an unknown number too."""
    record = await find(tx, track_number)
    check_pass(
        state.secret,
        token,
        purpose=PassPurpose.TRACK,
        subject=record.request.id if record else "",
        now=datetime.now(UTC),
    )
    if record is None:
        raise NotFound("there is no such request")
    return record


async def send_code(state: State, track_number: str) -> None:
    """Send the client a code; whether there is such a request, or one more code for it, nobody learns."""
    secret = state.secret
    async with state.database.transaction() as tx:
        record = await find(tx, track_number)
    if record is None:
        return
    try:
        async with state.database.transaction() as tx:
            await codes.send_code(
                tx,
                record=await reads.lock_request(tx, record.request.id),
                purpose=CodePurpose.TRACK,
                recipient=record.request.requester,
                secret=secret,
                at=datetime.now(UTC),
            )
    except (Refused, NotFound, InvalidInput) as error:
        log.warning("no code for %s: %s", record.request.id, error.message)


async def open_session(state: State, track_number: str, typed: str) -> tuple[str, datetime]:
    """Exchange the code for a pass and its end; raises AccessRefused."""
    secret, now = state.secret, datetime.now(UTC)
    # what is answered comes after the commit: a wrong try counts
    async with state.database.transaction() as tx:
        record = await find(tx, track_number)
        right = record is not None and await codes.use_code(
            tx,
            request_id=record.request.id,
            purpose=CodePurpose.TRACK,
            recipient=record.request.requester,
            typed=typed,
            secret=secret,
            at=now,
        )
    if record is None or not right:
        raise codes.wrong_code()
    return issue_pass(secret, PassPurpose.TRACK, record.request.id, now + SESSION), now + SESSION


async def shown(tx: Transaction, record: RequestRecord) -> Shown:
    """How the request stands, what was said and handed in, and what its client was told."""
    request = record.request
    documents = await talk.attachments(tx, request.id)
    return Shown(
        record,
        await talk.messages(tx, request.id),
        # what the desk has only announced is nobody's business
        [one for one in documents if one.is_stored or one.author_kind == CLIENT],
        [
            one.model_copy(update={"body": told(one.kind, one.body)})
            for one in await talk.notifications_of_client(tx, request.tenant, request.track_number)
        ],
    )


async def say(state: State, record: RequestRecord, text: str, message_id: str) -> MessageView:
    """Write a client's message; the same `message_id` again is the same one. Raises InvalidInput, Refused."""
    async with state.database.transaction() as tx:
        await conversation.say(
            tx,
            record=await reads.lock_request(tx, record.request.id),
            author=record.request.requester,
            text=text,
            message_id=message_id,
            at=datetime.now(UTC),
        )
        written = [one for one in await talk.messages(tx, record.request.id) if one.id == message_id]
    return written[0]


async def document_of(tx: Transaction, record: RequestRecord, attachment_id: str) -> AttachmentView:
    """A document of this request; raises NotFound."""
    found = await talk.attachment(tx, attachment_id)
    if found is None or found.request_id != record.request.id:
        raise NotFound(f"there is no document {attachment_id}")
    return found
