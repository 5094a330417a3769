"""API tokens for tests that ask the web server."""

from contextlib import asynccontextmanager

import httpx

from domain.passes import SessionSecret
from domain.sessions import SessionKind
from starter.accounts import Accounts
from tests.support.talk import SECRET_TEXT


async def bearer(seeded, name="adam", tenant=None):
    """The header of a new API token of a user."""
    accounts = Accounts(seeded.database, SessionSecret(SECRET_TEXT))
    opened = await accounts.open_session(tenant or seeded.tenant, name, ("token",), kind=SessionKind.TOKEN)
    return {"Authorization": f"Bearer {opened.token}"}


@asynccontextmanager
async def client_of(seeded, url, name="adam", tenant=None):
    """An API client of a user."""
    headers = await bearer(seeded, name, tenant)
    async with httpx.AsyncClient(base_url=url, timeout=60, headers=headers) as client:
        yield client
