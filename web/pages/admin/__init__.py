"""The admin panel: dictionaries, accounts, rules, policies, channels, keys, schedules. Admins only.

Each handler takes `guard.AtDesk`; the routers' common dependency says it a second time, so that a page
that forgets it is still closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from web.pages.admin import (
    accounts,
    configuration,
    deliveries,
    entries,
    keys,
    overview,
    policies,
    rules,
    runs,
    schedules,
)
from web.people import needs


async def _closing(request: Request) -> AsyncIterator[None]:
    """Close the files of a form, whether it was let in or not."""
    yield
    await request.close()


router = APIRouter(
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[Depends(_closing), Depends(needs("admin"))],
)
for part in (
    overview, rules, accounts, policies, runs, deliveries, keys, schedules, configuration, entries
):  # fmt: skip
    router.include_router(part.router, prefix="/admin")
