"""In-app messages of one user, the newest first."""

from __future__ import annotations

from sqlalchemy import text

from db.reads.history import NotificationView
from db.session import Transaction

_NEWEST = text("""
SELECT n.id, n.tenant, n.request_id, n.event, n.kind, n.body, n.created_at, n.read_at
FROM notifications n WHERE n.tenant = :tenant AND n.recipient = :name AND n.recipient_kind = 'ADMIN_USER'
ORDER BY n.created_at DESC, n.id LIMIT :limit
""")
_UNREAD = text("""
SELECT count(*) FROM notifications
WHERE tenant = :tenant AND recipient = :name AND recipient_kind = 'ADMIN_USER' AND read_at IS NULL
""")


async def newest_notifications(
    tx: Transaction, tenant: str, name: str, limit: int = 100
) -> list[NotificationView]:
    """The newest in-app messages of a user of the desk, at most `limit`."""
    rows = await tx.rows(_NEWEST, {"tenant": tenant, "name": name, "limit": limit})
    return [NotificationView(**row._asdict()) for row in rows]


async def unread_notifications(tx: Transaction, tenant: str, name: str) -> int:
    """How many of them have not been read."""
    return int(await tx.value(_UNREAD, {"tenant": tenant, "name": name}) or 0)
