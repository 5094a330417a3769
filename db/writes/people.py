"""The active users of a tenant, as the publication checks count them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from db.session import Transaction

_ACTIVE = text("SELECT name, roles, tier, email FROM users WHERE tenant = :tenant AND active ORDER BY name")


class ActiveUser(BaseModel):
    """Somebody who could decide or ask."""

    model_config = ConfigDict(frozen=True)

    name: str
    roles: tuple[str, ...]
    tier: int | None
    email: str | None

    @property
    def approver_tier(self) -> int | None:
        """The tier they approve with, or None for others."""
        return self.tier if "approver" in self.roles else None


async def active_users(tx: Transaction, tenant: str) -> list[ActiveUser]:
    """Every active user of the tenant."""
    return [ActiveUser(**row._mapping) for row in await tx.execute(_ACTIVE, {"tenant": tenant})]
