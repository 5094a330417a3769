"""Saying something about a request: through its workflow where it counts as activity, else at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from temporalio.client import Client

from db import reads
from db.reads.conversation import DESK
from db.session import Database
from db.writes import conversation
from db.writes.talk import side_of
from domain.errors import NotFound, NotOpen
from domain.records import RequestRecord
from domain.steps import CommentMessage
from starter.decisions import send_comment
from starter.temporal import reachable

Connect = Callable[[], Awaitable[Client]]


async def say(connect: Connect, database: Database, record: RequestRecord, message: CommentMessage) -> bool:
    """Say it; True: it is written, False: it is left with the workflow, which writes it soon.

    What the desk says about an open request goes through the workflow. Raises what
    `db.writes.conversation.say` does, NotOpen when an open request has no workflow, Unavailable.
    """
    conversation.check_message(message.text)
    if record.ended_at is None and side_of(record, message.author) == DESK:
        try:
            async with reachable(await connect()) as client:
                await send_comment(client, record.request.id, message)
            return False
        except NotOpen:
            # it may have ended since it was looked at
            if not await _has_ended(database, record):
                raise
    async with database.transaction() as tx:
        await conversation.say(
            tx,
            record=await reads.lock_request(tx, record.request.id),
            author=message.author,
            text=message.text,
            message_id=message.comment_id,
            at=datetime.now(UTC),
        )
    return True


async def _has_ended(database: Database, record: RequestRecord) -> bool:
    async with database.transaction() as tx:
        stands = await reads.request(tx, record.request.id)
    if stands is None:
        raise NotFound(f"there is no mint request {record.request.id}")
    return stands.ended_at is not None
