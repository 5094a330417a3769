"""A tenant that has had an admin keeps one: nobody locks everybody out of the dictionaries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from db.session import Transaction
from domain.entry import Kind
from domain.errors import Refused

_ADMINS = text("SELECT count(*) FROM users WHERE tenant = :tenant AND active AND 'admin' = ANY (roles)")


@asynccontextmanager
async def keeping_an_admin(tx: Transaction, tenant: str, kind: Kind) -> AsyncIterator[None]:
    """Raise Refused when what is written inside takes the tenant's last active admin away.

    Call it under `lock_tenant`, so that two admins can't remove each other at the same moment.
    """
    if kind is not Kind.USER:
        yield
        return
    before = await tx.value(_ADMINS, {"tenant": tenant})
    yield
    if before and not await tx.value(_ADMINS, {"tenant": tenant}):
        raise Refused(f"tenant {tenant} would have no active admin any more: make somebody else admin first")
