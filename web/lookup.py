"""One request as everybody shows it."""

from __future__ import annotations

from typing import Any

from commands.documents import request_document
from commands.lookup import find_request
from commands.talk_documents import conversation_document
from db import reads
from db.session import Database


async def document_of(database: Database, name: str) -> dict[str, Any]:
    """The same document as `mintkeeper show --json`; raises NotFound, Unavailable."""
    async with database.transaction() as tx:
        record = await find_request(tx, name)
        talk = await conversation_document(tx, record.request.id)
        return {**request_document(record, await reads.timeline(tx, record.request.id)), **talk}
