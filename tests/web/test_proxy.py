"""Behind a proxy: whose address counts, and which cookies travel encrypted only."""

import httpx
import pytest
from sqlalchemy import text

from db.writes import accounts
from tests.support.site import PASSWORD
from tests.web.test_acks import running, settings_of

FORM = {"tenant": "acme", "name": "alice", "password": PASSWORD}


async def tried_from(seeded):
    """The addresses that tries to sign in were counted for."""
    async with seeded.database.transaction() as tx:
        return {row.address for row in await tx.rows(text("SELECT address FROM sign_in_tries"))}


@pytest.mark.parametrize(
    ("trusted", "counted"),
    [("127.0.0.1", "203.0.113.9"), (None, "203.0.113.9"), ("10.0.0.1", "127.0.0.1")],
    ids=["a proxy that is named", "a proxy on this machine", "anybody else"],
)
async def test_a_proxy_s_word_counts_from_those_who_are_trusted(seeded, monkeypatch, trusted, counted):
    """FORWARDED_ALLOW_IPS; loopback unless it is set. What anybody else says is not taken."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    async for url in running(settings_of(seeded, authority="")):
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.post("/sign-in", data=FORM, headers={"X-Forwarded-For": "203.0.113.9"})
            assert answer.status_code == 401
    assert await tried_from(seeded) == {counted}


@pytest.mark.parametrize(
    ("public", "secure"), [("https://mint.example", True), ("http://127.0.0.1:8080", False)]
)
async def test_cookies_are_secure_where_browsers_come_encrypted(seeded, password_hash, public, secure):
    """By the public address, whatever a request says of its way: a proxy speaks TLS, we do not."""
    async with seeded.database.transaction() as tx:
        now = await tx.value(text("SELECT now()"))
        await accounts.set_password(
            tx, tenant="acme", name="alice", password_hash=password_hash, actor="setup", at=now
        )
    settings = settings_of(seeded, authority="").model_copy(update={"public_url": public})
    async for url in running(settings):
        async with httpx.AsyncClient(base_url=url) as client:
            for scheme in ("http", "https"):
                answer = await client.post("/sign-in", data=FORM, headers={"X-Forwarded-Proto": scheme})
                cookies = answer.headers.get_list("set-cookie")
                assert (answer.status_code, len(cookies)) == (303, 2)
                for cookie in cookies:
                    assert ("; secure" in cookie.lower()) == secure
                    assert "; httponly" in cookie.lower()
                    assert "; samesite=lax" in cookie.lower()
