"""Signing in with an OpenID Connect provider: who is let in, and everything a provider or a thief may try."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from db import reads
from domain.errors import ConfigurationError
from settings import Settings
from starter.oidc import Provider
from tests.support.provider import CLIENT, SECRET, running_provider
from tests.web.test_acks import ROOT, running, settings_of
from web.people import COOKIE

ALICE = "alice@acme.example"


@pytest.fixture
async def provider():
    """A provider that says alice is there."""
    async with running_provider() as running_one:
        running_one.claims["email"] = ALICE
        yield running_one


def settings_with(seeded, provider, **changes):
    """Settings that name the provider."""
    values = {
        "oidc_issuer": provider.url,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_tenant": "acme",
    }
    return settings_of(seeded, authority="").model_copy(update=values | changes)


@asynccontextmanager
async def a_site(seeded, provider, **changes):
    """The address of a web server that knows the provider."""
    async for url in running(settings_with(seeded, provider, **changes)):
        yield url


@pytest.fixture
async def site(seeded, provider):
    """The address of a web server that knows the provider."""
    async with a_site(seeded, provider) as url:
        yield url


def browser(url):
    """A browser that follows wherever it is sent."""
    return httpx.AsyncClient(base_url=url, follow_redirects=True, timeout=30, headers={"Accept": "text/html"})


async def sign_in(url, path="/sign-in/oidc?next=/requests"):
    """The whole way in a fresh browser; answers what it sees in the end, and its session."""
    async with browser(url) as client:
        answer = await client.get(path)
        return answer, client.cookies.get(COOKIE)


async def way_back(away):
    """Where the provider sends a browser that was sent to it."""
    async with httpx.AsyncClient() as client:
        return (await client.get(away.headers["location"])).headers["location"]


async def sessions(seeded):
    """Whose sessions there are, and by what means."""
    async with seeded.database.transaction() as tx:
        rows = await tx.rows(text("SELECT user_name, amr FROM sessions ORDER BY created_at"))
    return [(row.user_name, list(row.amr)) for row in rows]


async def refused(seeded, url, status=401):
    """Nobody is let in, and no session is opened."""
    before = await sessions(seeded)
    answer, session = await sign_in(url)
    assert (answer.status_code, session) == (status, None)
    assert await sessions(seeded) == before


async def test_who_the_provider_knows_gets_in(seeded, site, provider):
    """By their verified address the first time; what was asked has PKCE, state and nonce."""
    answer, session = await sign_in(site)
    assert (answer.status_code, urlsplit(str(answer.url)).path) == (200, "/requests")
    assert session
    assert await sessions(seeded) == [("alice", ["fed"])]
    [asked] = provider.asked
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["scope"].split()[0] == "openid"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 30
    async with seeded.database.transaction() as tx:
        bodies = [json.loads(one.body) for one in await reads.audit_events(tx, "acme")]
    [bound] = [body for body in bodies if body["kind"] == "accounts.oidc"]
    assert bound["details"] == {"name": "alice", "issuer": provider.url, "subject": "s-1"}


@pytest.mark.parametrize(("said", "amr"), [(["mfa"], ["fed", "otp"]), (["pwd"], ["fed"]), ("mfa", ["fed"])])
async def test_a_second_factor_there_is_told(seeded, site, provider, said, amr):
    """Where the id token's `amr` says so in the words of RFC 8176."""
    provider.claims["amr"] = said
    await sign_in(site)
    assert await sessions(seeded) == [("alice", amr)]


LONG_AGO, FAR_OFF = 1_000_000_000, 4_102_444_800
"""2001 and 2100, in Unix seconds."""


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another-client"]},
        {"aud": None},
        {"azp": "another-client"},
        {"exp": LONG_AGO},
        {"exp": None},
        {"iat": FAR_OFF},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"email": None},
        {"email": "nobody@acme.example"},
        {"email": ["alice@acme.example"]},
        {"email": "a\x00"},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
    ],
    ids=str,
)
async def test_an_id_token_that_is_not_right_lets_nobody_in(seeded, site, provider, claims):
    """Not for us, not now, not this sign-in, not somebody whom we know."""
    provider.lies["claims"] = claims
    answer, session = await sign_in(site)
    assert (session, await sessions(seeded)) == (None, [])
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS256-secret"])
async def test_only_signatures_by_public_keys_count(seeded, site, provider, algorithm):
    """No signature, the public key as a secret, the client's secret."""
    provider.algorithm = algorithm
    await refused(seeded, site)


async def test_another_key_signs_nothing(seeded, site, provider):
    """Under the same key id."""
    provider.lies["key"] = True
    await refused(seeded, site)


async def test_a_provider_that_is_another_issuer_is_not_asked(seeded, site, provider):
    """What its discovery document says must be what is configured."""
    provider.lies["discovery_issuer"] = "https://elsewhere.example"
    await refused(seeded, site, 503)
    assert provider.asked == []


async def test_an_answer_that_we_did_not_ask_for_is_refused(seeded, site, provider):
    """Another state, no cookie, another browser's cookie, an answer twice."""
    provider.lies["state"] = "another"
    await refused(seeded, site, 403)
    provider.lies.clear()
    async with httpx.AsyncClient(base_url=site) as thief:
        away = await thief.get("/sign-in/oidc")
        back = await way_back(away)
        async with browser(site) as victim:
            # login CSRF: the thief's answer in the victim's browser
            assert (await victim.get(back)).status_code == 403
            await victim.get("/sign-in/oidc")
            victim.cookies.delete(COOKIE)
            assert (await victim.get(back)).status_code == 403
        assert (await thief.get(back)).status_code == 303
        assert (await thief.get(back)).status_code in (401, 403)
    assert len(await sessions(seeded)) == 2


async def test_what_the_provider_refuses_lets_nobody_in(seeded, site, provider):
    """`error=access_denied`, with the right state and without a code."""
    async with browser(site) as client:
        away = await client.get("/sign-in/oidc", follow_redirects=False)
        state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
        cookie = away.cookies["mintkeeper_oidc"]
        answer = await client.get(
            f"/sign-in/oidc/callback?error=access_denied&state={state}",
            headers={"Cookie": f"mintkeeper_oidc={cookie}"},
        )
    assert answer.status_code == 401
    assert await sessions(seeded) == []


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ((400, '{"error": "invalid_grant"}'), 401),
        ((200, '{"error": 7, "id_token": "x"}'), 401),
        ((200, "{}"), 401),
        ((200, '{"id_token": 7}'), 401),
        ((200, '["x"]'), 401),
        ((500, "{}"), 503),
        ((200, "<p>slow down"), 503),
        ((302, ""), 503),
    ],
    ids=str,
)
async def test_a_token_endpoint_that_says_something_else_lets_nobody_in(
    seeded, site, provider, token, status
):
    """Refused or out of order, each said in one line."""
    provider.lies["token"] = token
    await refused(seeded, site, status)


async def test_a_subject_is_one_person_for_ever(seeded, site, provider):
    """Alice's address given to somebody else opens nothing; Alice with a new address is still Alice."""
    await sign_in(site)
    provider.claims["sub"] = "s-2"
    await refused(seeded, site)
    provider.claims |= {"sub": "s-1", "email": "bob@acme.example"}
    await sign_in(site)
    provider.claims |= {"sub": "s-1", "email": "new@elsewhere.example"}
    await sign_in(site)
    assert {name for name, _ in await sessions(seeded)} == {"alice"}


async def test_who_has_left_stays_out(seeded, site, provider):
    """Before the first sign-in and after it."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE users SET active = false WHERE name = 'bob'"))
    provider.claims |= {"sub": "s-9", "email": "bob@acme.example"}
    await refused(seeded, site)
    provider.claims |= {"sub": "s-1", "email": ALICE}
    await sign_in(site)
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE users SET active = false WHERE name = 'alice'"))
    await refused(seeded, site)


async def test_an_address_of_two_is_nobody_s(seeded, site, provider):
    """Which of them it is can't be told."""
    async with seeded.database.transaction() as tx:
        await tx.run(text("UPDATE users SET email = 'ALICE@acme.example' WHERE name = 'bob'"))
    await refused(seeded, site)


async def test_another_claim_finds_users_by_name(seeded, provider):
    """Where it is configured; an address says nothing then."""
    async with a_site(seeded, provider, oidc_claim="preferred_username") as url:
        provider.claims["preferred_username"] = "carol"
        await sign_in(url)
    assert await sessions(seeded) == [("carol", ["fed"])]


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
async def test_one_ends_up_on_our_site(site, next):
    """Whatever the link said."""
    async with httpx.AsyncClient(base_url=site, follow_redirects=True) as client:
        answer = await client.get("/sign-in/oidc", params={"next": next}, headers={"Accept": "text/html"})
    assert str(answer.url).startswith(site)


async def test_a_provider_that_is_down_is_said_in_one_line(seeded, provider):
    """503 on the sign-in page, where a password still works."""
    async with a_site(seeded, provider, oidc_issuer="http://127.0.0.1:9") as url:
        answer, session = await sign_in(url)
    assert (answer.status_code, session) == (503, None)
    assert "be reached at the moment" in answer.text
    assert 'name="password"' in answer.text


async def test_without_a_provider_there_is_no_button(seeded):
    """And no such page."""
    async for url in running(settings_of(seeded, authority="")):
        async with browser(url) as client:
            assert "Sign in with" not in (await client.get("/sign-in")).text
            assert (await client.get("/sign-in/oidc")).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [{"oidc_client_id": ""}, {"oidc_tenant": ""}, {"oidc_issuer": "http://login.example"}],
    ids=str,
)
def test_half_a_set_up_is_refused(seeded, changes):
    """With the setting that is missing, or the issuer that anybody could listen to."""
    values = {
        "oidc_issuer": "https://login.example",
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_tenant": "acme",
    }
    with pytest.raises(ConfigurationError):
        Provider(Settings(**(values | changes)), seeded.database)


async def test_no_library_warns_when_the_web_server_starts():
    """Operators read nothing about deprecations, and no start breaks where warnings are errors."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", "import web.server", cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await started.communicate()
    assert (started.returncode, said) == (0, b"")
