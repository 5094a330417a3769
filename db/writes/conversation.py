"""Messages that touch nothing but the conversation: those of the client, and all after the end.

What the desk says about an open request is a step of its workflow (`db.writes.requests.add_comment`),
since it counts as activity. A client's message never does: nobody may put off the escalation of their
own request by writing.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from sqlalchemy import text as sql

from db.reads.conversation import CLIENT, message
from db.session import Transaction
from db.writes.letters import Notice
from db.writes.steps import announce, announcement_statement
from db.writes.talk import LONGEST_EXCERPT, active_person, side_of, talk_notices
from domain.errors import IdempotencyConflict, InvalidInput, Refused
from domain.records import RequestRecord
from domain.text import check_text

MOST_AN_HOUR = 200
"""Messages of a client on one request; each is told to people."""

SAY = """said AS (
    INSERT INTO comments (id, request_id, author, author_kind, text, at)
    SELECT :comment_id, request_id, :actor, :author_kind, :comment_text, :at FROM found
    RETURNING request_id)"""
"""Part of a step that adds a message."""

_SAID = announcement_statement(SAY, source="said")
_LATELY = sql("""
SELECT count(*) FROM comments WHERE request_id = :id AND author_kind = 'CLIENT' AND at > :since
""")


async def say(
    tx: Transaction, *, record: RequestRecord, author: str, text: str, message_id: str, at: datetime
) -> bool:
    """Step `comment:ID` beside the workflow; answers whether it was written now. Hold the request's row.

    The same message again changes nothing. Raises InvalidInput, NotFound for an unknown author,
    IdempotencyConflict when the id stands for something else, Refused for too many of them.
    """
    check_message(text)
    author_kind = side_of(record, author)
    if await _is_repeated(tx, record, author, text, message_id):
        return False
    await active_person(tx, record.request.tenant, author)
    if author_kind == CLIENT:
        await _check_rate(tx, record, at)
    return await announce(
        tx,
        record=record,
        step=f"comment:{message_id}",
        kind="comment.added",
        actor=author,
        at=at,
        details=details_of(message_id, text, author_kind),
        notices=await message_notices(tx, record, message_id, author_kind, at),
        statement=_SAID,
        extra=columns_of(message_id, text, author_kind),
        facts=facts_of_message(author, text),
    )


def check_message(text: str) -> None:
    """Raise InvalidInput unless it can be said."""
    if not check_text(text).strip():
        raise InvalidInput("a comment needs some text", "text")


def columns_of(message_id: str, text: str, author_kind: str) -> dict[str, Any]:
    """What `SAY` needs beside the step's own values."""
    return {"comment_id": message_id, "comment_text": text, "author_kind": author_kind}


def details_of(message_id: str, text: str, author_kind: str) -> dict[str, Any]:
    """What the audit keeps of a message."""
    return {"commentId": message_id, "text": text, "authorKind": author_kind}


def facts_of_message(author: str, text: str) -> dict[str, Any]:
    """What its notification says of it."""
    return {"author": author, "excerpt": text[:LONGEST_EXCERPT]}


async def message_notices(
    tx: Transaction, record: RequestRecord, message_id: str, author_kind: str, at: datetime
) -> list[Notice]:
    """Tells the other side of a message."""
    return await talk_notices(tx, record, "message", f"message:{message_id}", author_kind, at)


def message_id_for_key(request_id: str, author: str, key: str) -> str:
    """The id that an author's idempotency key always leads to on a request."""
    check_text(key, "key")
    hashed = hashlib.sha256(rfc8785.dumps([request_id, author, key])).digest()
    return "ms_" + base64.b32encode(hashed).decode()[:26]


async def _is_repeated(
    tx: Transaction, record: RequestRecord, author: str, text: str, message_id: str
) -> bool:
    found = await message(tx, message_id)
    if found is None:
        return False
    if found[0] != record.request.id:
        raise Refused(f"comment {message_id} belongs to another request")
    if (found[1], found[3]) != (author, text):
        raise IdempotencyConflict(f"{message_id} is another message already: use another key")
    return True


async def _check_rate(tx: Transaction, record: RequestRecord, at: datetime) -> None:
    lately = await tx.value(_LATELY, {"id": record.request.id, "since": at - timedelta(hours=1)})
    if int(lately or 0) >= MOST_AN_HOUR:
        raise Refused(f"{MOST_AN_HOUR} messages came within the last hour: wait before you write more")
