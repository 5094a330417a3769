"""What people have said and handed in about a request."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.reads.history import NotificationView
from db.session import Transaction
from domain.records import RequestRecord

CLIENT = "CLIENT"
DESK = "ADMIN_USER"

_MESSAGES = text("""
SELECT id, author, author_kind, text, at FROM comments WHERE request_id = :id ORDER BY at, id
""")
_MESSAGE = text("SELECT request_id, author, author_kind, text FROM comments WHERE id = :id")
_COLUMNS = """
SELECT id, tenant, request_id, author, author_kind, filename, content_type, size, sha256, state, storage_key,
    created_at, stored_at
FROM attachments
"""
_ATTACHMENTS = text(f"{_COLUMNS} WHERE request_id = :id ORDER BY created_at, id")
_ATTACHMENT = text(f"{_COLUMNS} WHERE id = :id")
_KEYS_IN_USE = text("""
SELECT storage_key FROM attachments WHERE id = ANY (CAST(:ids AS varchar[])) AND state = 'stored'
""")
_ANY_ATTACHMENT = text("SELECT EXISTS (SELECT 1 FROM attachments)")
_CLIENT_IS_ACTIVE = text("""
SELECT EXISTS (SELECT 1 FROM users WHERE tenant = :tenant AND name = :name AND active)
""")
_FOR_CLIENT = text("""
SELECT id, tenant, request_id, event, kind, body, created_at, read_at FROM notifications
WHERE tenant = :tenant AND recipient = :track_number AND recipient_kind = 'CLIENT' ORDER BY created_at, id
""")


class MessageView(BaseModel):
    """A message of the conversation."""

    model_config = ConfigDict(frozen=True)

    id: str
    author: str
    author_kind: str
    """CLIENT or ADMIN_USER."""
    text: str
    at: AwareDatetime


class AttachmentView(BaseModel):
    """A document: announced (`pending`), or complete (`stored`)."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    request_id: str
    author: str
    author_kind: str
    filename: str
    content_type: str
    size: int
    sha256: str | None
    state: str
    storage_key: str
    created_at: AwareDatetime
    stored_at: AwareDatetime | None

    @property
    def is_stored(self) -> bool:
        """Whether its bytes are there."""
        return self.state == "stored"


async def messages(tx: Transaction, request_id: str) -> list[MessageView]:
    """The conversation of a request, oldest first."""
    rows = await tx.rows(_MESSAGES, {"id": request_id})
    return [MessageView(**row._asdict()) for row in rows]


async def message(tx: Transaction, message_id: str) -> tuple[str, str, str, str] | None:
    """A message as (request, author, author's kind, text), or None."""
    row = await tx.row(_MESSAGE, {"id": message_id})
    return None if row is None else (row.request_id, row.author, row.author_kind, row.text)


async def attachments(tx: Transaction, request_id: str) -> list[AttachmentView]:
    """The documents of a request, the pending ones too, oldest first."""
    rows = await tx.rows(_ATTACHMENTS, {"id": request_id})
    return [AttachmentView(**row._asdict()) for row in rows]


async def attachment(tx: Transaction, attachment_id: str) -> AttachmentView | None:
    """The document of that id, or None."""
    row = await tx.row(_ATTACHMENT, {"id": attachment_id})
    return None if row is None else AttachmentView(**row._asdict())


async def keys_in_use(tx: Transaction, keys: Sequence[str]) -> frozenset[str]:
    """Which of these storage keys belong to a stored document; a key begins with its document's id."""
    ids = sorted({key.partition("/")[0] for key in keys})
    found = {row.storage_key for row in await tx.rows(_KEYS_IN_USE, {"ids": ids})}
    return frozenset(found.intersection(keys))


async def has_attachments(tx: Transaction) -> bool:
    """Whether any document was ever announced and is still known."""
    return bool(await tx.value(_ANY_ATTACHMENT))


async def client_is_active(tx: Transaction, record: RequestRecord) -> bool:
    """Whether the client of a request is still a user of its tenant."""
    request = record.request
    return bool(await tx.value(_CLIENT_IS_ACTIVE, {"tenant": request.tenant, "name": request.requester}))


async def notifications_of_client(tx: Transaction, tenant: str, track_number: str) -> list[NotificationView]:
    """What the client of a request finds under its track number, oldest first."""
    rows = await tx.rows(_FOR_CLIENT, {"tenant": tenant, "track_number": track_number})
    return [NotificationView(**row._asdict()) for row in rows]
