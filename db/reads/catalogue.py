"""What a tenant has published and set up, as lists for admins."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction

_POLICIES = text("""
SELECT p.id, p.tenant, p.name, p.content_hash, p.published_at, p.published_by, p.deleted_at, p.deleted_by,
    EXISTS (SELECT 1 FROM tenant_defaults d WHERE d.policy_id = p.id) AS current
FROM escalation_policies p
WHERE (CAST(:tenant AS varchar) IS NULL OR p.tenant = :tenant) AND (:deleted OR p.deleted_at IS NULL)
    AND (CAST(:id AS varchar) IS NULL OR p.id = :id)
ORDER BY p.tenant, p.published_at, p.id
""")
_CHANNELS = text(
    "SELECT name, kind, settings FROM notification_channels WHERE tenant = :tenant ORDER BY name"
)


class PublishedPolicy(BaseModel):
    """A published policy without its body; `current`: new requests get it."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    name: str
    content_hash: str
    published_at: AwareDatetime
    published_by: str
    current: bool
    deleted_at: AwareDatetime | None
    deleted_by: str | None


class Channel(BaseModel):
    """A named way to reach people."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    settings: dict[str, Any]


async def policies(tx: Transaction, tenant: str | None, *, deleted: bool = False) -> list[PublishedPolicy]:
    """The published policies of a tenant (None: of every one), the oldest first, deleted ones if asked."""
    params = {"tenant": tenant, "id": None, "deleted": deleted}
    return [PublishedPolicy(**row._asdict()) for row in await tx.rows(_POLICIES, params)]


async def published_policy(tx: Transaction, policy_id: str) -> PublishedPolicy | None:
    """What was published under that id, deleted or not, or None."""
    row = await tx.row(_POLICIES, {"tenant": None, "id": policy_id, "deleted": True})
    return None if row is None else PublishedPolicy(**row._asdict())


async def channels(tx: Transaction, tenant: str) -> list[Channel]:
    """The tenant's notification channels."""
    return [Channel(**row._asdict()) for row in await tx.rows(_CHANNELS, {"tenant": tenant})]
