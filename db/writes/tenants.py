"""A tenant itself: its name, what it allows on the ledger, when its people are left alone."""

from __future__ import annotations

from datetime import datetime

from db.session import Transaction
from db.writes.rows import change, put, require_admin
from domain.ledger_options import LedgerOptions
from domain.quiet_hours import QuietHours


async def set_tenant(
    tx: Transaction, *, tenant: str, name: str, active: bool = True, actor: str, at: datetime
) -> None:
    """Create or change a tenant."""
    await put(tx, "tenants", {"code": tenant}, {"name": name, "active": active}, tenant, actor, at)


async def rename_tenant(tx: Transaction, *, tenant: str, name: str, actor: str, at: datetime) -> None:
    """Change what people read.

    Raises NotFound, and Refused unless `actor` is an active admin of the tenant.
    """
    await require_admin(tx, tenant, actor)
    await change(tx, "tenants", {"code": tenant}, {"name": name}, tenant, actor, at)


async def set_ledger_options(
    tx: Transaction, *, tenant: str, options: LedgerOptions, actor: str, at: datetime
) -> None:
    """Change what a tenant allows on the ledger; requests that have an envelope keep theirs.

    Raises NotFound, and Refused unless `actor` is an active admin of the tenant.
    """
    await require_admin(tx, tenant, actor)
    await put(tx, "ledger_options", {"tenant": tenant}, options.model_dump(), tenant, actor, at)


async def set_tenant_quiet_hours(
    tx: Transaction, *, tenant: str, hours: QuietHours, actor: str, at: datetime
) -> None:
    """Change when a tenant's groups, and people without hours of their own, are left alone.

    Raises NotFound, and Refused unless `actor` is an active admin of the tenant.
    """
    await require_admin(tx, tenant, actor)
    await change(tx, "tenants", {"code": tenant}, {"quiet_hours": hours.raw()}, tenant, actor, at)
