"""Marking in-app messages as read; it says nothing about a request, so no audit event tells of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from db.session import Transaction

_READ = text("""
UPDATE notifications SET read_at = :at
WHERE tenant = :tenant AND recipient = :name AND recipient_kind = 'ADMIN_USER' AND read_at IS NULL
    AND created_at <= :until AND (CAST(:id AS varchar) IS NULL OR id = :id)
""")


async def mark_read(
    tx: Transaction, *, tenant: str, name: str, at: datetime, until: datetime, message_id: str | None = None
) -> None:
    """One's own message, or all that came until a page was made; what came since stays unread."""
    params = {"tenant": tenant, "name": name, "at": at, "until": until, "id": message_id}
    await tx.run(_READ, params)
