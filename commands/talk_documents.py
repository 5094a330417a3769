"""The JSON documents of a conversation: what was said and handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands.documents import Document, plain

if TYPE_CHECKING:
    from db.reads.conversation import AttachmentView, MessageView
    from db.session import Transaction

_UNSHOWN = {"tenant", "request_id", "storage_key"}


def message_document(message: MessageView) -> Document:
    """A message, with the side that it came from."""
    document: Document = plain(message.model_dump())
    return document


def attachment_document(attachment: AttachmentView) -> Document:
    """A document, without its bytes."""
    document: Document = plain(attachment.model_dump(exclude=_UNSHOWN))
    return document


async def conversation_document(tx: Transaction, request_id: str) -> Document:
    """`messages` and `attachments` of a request, oldest first, as `show --json` has them."""
    from db.reads import conversation

    return {
        "messages": [message_document(one) for one in await conversation.messages(tx, request_id)],
        "attachments": [attachment_document(one) for one in await conversation.attachments(tx, request_id)],
    }
