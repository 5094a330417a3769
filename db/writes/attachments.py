"""Documents: announced, then stored with what tells the other side, or given up."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.reads import conversation
from db.reads.conversation import AttachmentView
from db.session import Transaction
from db.writes.steps import announce, announcement_statement
from db.writes.talk import active_person, side_of, talk_notices
from domain.attachments import MOST_PENDING, MOST_STORED, UPLOAD_LIFE, Announcement
from domain.errors import IdempotencyConflict, InvalidInput, NotFound, Refused
from domain.records import RequestRecord

_ANNOUNCE = text("""
INSERT INTO attachments (id, tenant, request_id, author, author_kind, filename, content_type, size, sha256,
    state, storage_key, created_at)
VALUES (:id, :tenant, :request_id, :author, :author_kind, :filename, :content_type, :size, :sha256, 'pending',
    :id, :at)
""")
_COUNTS = text("""
SELECT count(*) FILTER (WHERE state = 'pending' AND created_at > :oldest) AS pending,
    count(*) FILTER (WHERE state = 'stored') AS stored
FROM attachments WHERE request_id = :id AND author_kind = :author_kind
""")
# of two that have the bytes of one upload the first one wins, and a late one finds nothing any more
_STORE = announcement_statement(
    """kept AS (
    UPDATE attachments a SET state = 'stored', stored_at = :at, sha256 = :sha256, storage_key = :storage_key
    FROM found WHERE a.id = :attachment_id AND a.request_id = found.request_id AND a.state = 'pending'
        AND a.created_at > :oldest
    RETURNING a.request_id)""",
    source="kept",
)
_WITHDRAW = text("DELETE FROM attachments WHERE id = :id AND state = 'pending'")
_GIVE_UP = text("""
DELETE FROM attachments WHERE id IN (
    SELECT id FROM attachments WHERE state = 'pending' AND created_at < :before
    ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id
""")


async def announce_upload(
    tx: Transaction,
    *,
    record: RequestRecord,
    attachment_id: str,
    author: str,
    announced: Announcement,
    at: datetime,
) -> AttachmentView:
    """Write a pending upload; the same again is returned as it stands. Hold the request's row.

    Raises NotFound or InvalidInput for the author, IdempotencyConflict, Refused for too many uploads.
    """
    stands = await conversation.attachment(tx, attachment_id)
    if stands is not None:
        _check_same(stands, record, author, announced)
        return stands
    await active_person(tx, record.request.tenant, author)
    await _check_room(tx, record, side_of(record, author), at)
    values: dict[str, Any] = {
        **vars(announced),
        "id": attachment_id,
        "tenant": record.request.tenant,
        "request_id": record.request.id,
        "author": author,
        "author_kind": side_of(record, author),
        "at": at,
    }
    await tx.run(_ANNOUNCE, values)
    return await find(tx, attachment_id)


async def store(
    tx: Transaction,
    *,
    record: RequestRecord,
    attachment: AttachmentView,
    storage_key: str,
    sha256: str,
    at: datetime,
) -> bool:
    """Step `attachment:ID`: its bytes are under `storage_key`.

    False: other bytes for it have won, or its upload was given up. Hold the request's row.
    """
    occasion = f"attachment:{attachment.id}"
    return await announce(
        tx,
        record=record,
        step=occasion,
        kind="attachment.stored",
        actor=attachment.author,
        at=at,
        details={
            "attachmentId": attachment.id,
            "authorKind": attachment.author_kind,
            "filename": attachment.filename,
            "contentType": attachment.content_type,
            "size": attachment.size,
            "sha256": sha256,
        },
        notices=await talk_notices(tx, record, "attachment", occasion, attachment.author_kind, at),
        statement=_STORE,
        extra={
            "attachment_id": attachment.id,
            "storage_key": storage_key,
            "sha256": sha256,
            "oldest": at - UPLOAD_LIFE,
        },
        facts={"author": attachment.author, "filename": attachment.filename},
    )


async def find(tx: Transaction, attachment_id: str) -> AttachmentView:
    """The document of that id; raises NotFound."""
    found = await conversation.attachment(tx, attachment_id)
    if found is None:
        raise NotFound(f"there is no document {attachment_id}")
    return found


def check_waits(attachment: AttachmentView, at: datetime) -> None:
    """Raise Refused unless the upload still takes its bytes."""
    if attachment.is_stored:
        raise Refused(f"document {attachment.id} is stored already: announce another one")
    if at - attachment.created_at > UPLOAD_LIFE:
        raise Refused(f"upload {attachment.id} was announced too long ago: announce it again")


async def give_up_pending(tx: Transaction, *, before: datetime, limit: int) -> list[str]:
    """Remove uploads that were announced before and never came; answers their ids.

    One that becomes stored at the same moment is left alone.
    """
    rows = await tx.rows(_GIVE_UP, {"before": before, "limit": limit})
    return [row.id for row in rows]


async def withdraw(tx: Transaction, attachment_id: str) -> None:
    """Take back an upload whose bytes will not come; one that is stored stays."""
    await tx.run(_WITHDRAW, {"id": attachment_id})


def _check_same(stands: AttachmentView, record: RequestRecord, author: str, announced: Announcement) -> None:
    content = (stands.request_id, stands.author, stands.filename, stands.content_type, stands.size)
    wanted = (record.request.id, author, announced.filename, announced.content_type, announced.size)
    # without a hash it may be the same one, whose hash is known only since it was stored
    if content != wanted or announced.sha256 not in (None, stands.sha256):
        raise IdempotencyConflict(f"{stands.id} is another document already: use another key")


async def _check_room(tx: Transaction, record: RequestRecord, author_kind: str, at: datetime) -> None:
    """Each side has room of its own: neither can crowd out the other, nor can uploads that take nothing."""
    of = {"id": record.request.id, "author_kind": author_kind, "oldest": at - UPLOAD_LIFE}
    row = await tx.row(_COUNTS, of)
    if row is None:
        raise InvalidInput("there is no such request", "request")
    if row.pending >= MOST_PENDING:
        raise Refused(f"{MOST_PENDING} uploads wait for their bytes: send those first")
    if row.stored >= MOST_STORED:
        raise Refused(f"the request has {MOST_STORED} documents already: no more are taken")
