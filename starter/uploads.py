"""Taking in a document: from its announcement to bytes that are stored and told of, and out again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from datetime import UTC, datetime
from typing import Final

import rfc8785
from ulid import ULID

from db import reads
from db.reads.conversation import AttachmentView
from db.session import Database
from db.writes import attachments
from db.writes.talk import active_person
from domain.attachments import Announcement, Inspector
from domain.errors import NotFound, Refused, Unavailable
from storage import Storage

LONGEST_SECONDS: Final = 15 * 60
"""An upload that takes longer is cut off."""


def new_attachment_id() -> str:
    """`att_` and a ULID."""
    return f"att_{ULID()}"


def attachment_id_for_key(request_id: str, author: str, key: str) -> str:
    """The id that an author's idempotency key always leads to on a request."""
    hashed = hashlib.sha256(rfc8785.dumps([request_id, author, key])).digest()
    return "att_" + base64.b32encode(hashed).decode()[:26]


async def announce(
    database: Database, request_id: str, author: str, announced: Announcement, attachment_id: str
) -> AttachmentView:
    """Write a pending upload; raises what `attachments.announce_upload` does."""
    async with database.transaction() as tx:
        record = await reads.lock_request(tx, request_id)
        return await attachments.announce_upload(
            tx,
            record=record,
            attachment_id=attachment_id,
            author=author,
            announced=announced,
            at=datetime.now(UTC),
        )


async def receive(
    database: Database, storage: Storage, attachment_id: str, chunks: AsyncIterable[bytes]
) -> AttachmentView:
    """Store exactly what was announced, or nothing, and tell the other side.

    Each try has a place of its own, so that two at the same moment can't mix; one wins. What a crash
    leaves behind the daily clean-up removes. Raises InvalidInput, also for an author who is not active any
    more, NotFound, Refused, Unavailable.
    """
    async with database.transaction() as tx:
        pending = await attachments.find(tx, attachment_id)
        await active_person(tx, pending.tenant, pending.author)
    attachments.check_waits(pending, datetime.now(UTC))
    inspector = Inspector(Announcement(pending.filename, pending.content_type, pending.size, pending.sha256))
    key = f"{pending.id}/{ULID()}"
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            await storage.put(key, inspector.passing(chunks))
    except TimeoutError:
        raise Unavailable("the upload took too long: send the document again") from None
    # if this fails the row may be stored all the same: the bytes stay, and the clean-up knows
    async with database.transaction() as tx:
        record = await reads.lock_request(tx, pending.request_id)
        stored = await attachments.store(
            tx,
            record=record,
            attachment=pending,
            storage_key=key,
            sha256=inspector.sha256,
            at=datetime.now(UTC),
        )
    if not stored:
        await storage.delete([key])
        raise Refused(f"document {pending.id} is stored already, or its upload was given up")
    async with database.transaction() as tx:
        return await attachments.find(tx, attachment_id)


async def withdraw(database: Database, attachment_id: str) -> None:
    """Take back an announcement whose bytes could not be sent, so that it takes no room."""
    async with database.transaction() as tx:
        await attachments.withdraw(tx, attachment_id)


async def send_out(storage: Storage, attachment: AttachmentView) -> AsyncIterator[bytes]:
    """The bytes of a stored document; raises NotFound, and Unavailable when they are not what was stored.

    The hash is known at the end only, so the last bytes are held back until it is right; of what is too long
    never as many come as would look complete.
    """
    if not attachment.is_stored:
        raise NotFound(f"there is no document {attachment.id}")
    hashed, held, seen = hashlib.sha256(), b"", 0
    async for chunk in storage.get(attachment.storage_key):
        hashed.update(chunk)
        seen += len(chunk)
        if seen > attachment.size:
            break
        if held:
            yield held
        held = chunk
    if hashed.hexdigest() != attachment.sha256:
        raise Unavailable(f"document {attachment.id} is damaged in the storage: tell an admin")
    yield held
