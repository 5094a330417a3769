"""The whole site for a real browser: ledger, workers, web server, accounts; and Chromium to open it with."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from domain.passes import SessionSecret
from settings import TESTNET_PASSPHRASE, Settings
from starter.accounts import Accounts
from starter.passwords import hash_password
from tests.support.acks import KEY
from tests.support.desk import PATIENCE, Desk
from tests.support.talk import SECRET_TEXT
from tests.web.test_acks import running
from web.people import COOKIE, csrf_of

PASSWORD = "correct horse battery staple"
STATUS_COMPLAINT = "Failed to load resource: the server responded with a status of"
"""What the browser's console says to every answer of 400 and above."""
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium_path() -> str:
    """The system's Chromium, which `make test` installs where it is missing."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "no Chromium: run 'make browser'"
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for the session; each test opens contexts of its own, which share nothing."""
    expect.set_options(timeout=PATIENCE * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=CHROMIUM_OPTIONS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def password_hash() -> str:
    """Everybody's, hashed once."""
    return await hash_password(PASSWORD)


@dataclass
class Site:
    """A running site of the demo tenant."""

    url: str
    desk: Desk
    settings: Settings
    browser: Browser
    password_hash: str
    contexts: list[BrowserContext] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Addresses of other hosts that a page has asked for."""
    complaints: list[str] = field(default_factory=list)
    """What browsers wrote into their consoles as errors: broken content policy, exceptions of scripts."""

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.desk.seeded.database, SessionSecret(SECRET_TEXT))

    async def token(self, name: str, *amr: str) -> str:
        """The secret of a new browser session of a user."""
        opened = await self.accounts.open_session(self.desk.seeded.tenant, name, amr or ("pwd",))
        return opened.token

    async def give_password(self, *names: str) -> None:
        """Let these users sign in with PASSWORD."""
        from db.writes import accounts

        async with self.desk.seeded.database.transaction() as tx:
            for name in names:
                await accounts.set_password(
                    tx,
                    tenant=self.desk.seeded.tenant,
                    name=name,
                    password_hash=self.password_hash,
                    actor="setup",
                    at=datetime.now(UTC),
                )

    async def context(self, name: str | None = None, **options) -> BrowserContext:
        """A browser of its own, signed in as `name` (nobody: not signed in)."""
        # whatever moves is nowhere for a moment
        context = await self.browser.new_context(base_url=self.url, reduced_motion="reduce", **options)
        context.on("request", self._look_at)
        context.on("console", self._listen)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.contexts.append(context)
        if name is not None:
            await context.add_cookies([{"name": COOKIE, "value": await self.token(name), "url": self.url}])
        return context

    async def page(self, name: str | None = None, path: str = "/", **options) -> Page:
        """A page of a browser of its own."""
        page = await (await self.context(name, **options)).new_page()
        await page.goto(path)
        return page

    @asynccontextmanager
    async def client(self, name: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client with a browser's session and its CSRF token, for what no browser would send."""
        headers, cookies = {}, {}
        if name is not None:
            token = await self.token(name)
            cookies[COOKIE] = token
            person = await self.accounts.person(token)
            headers["X-CSRF-Token"] = csrf_of(_Secretive(SessionSecret(SECRET_TEXT)), person)
        async with httpx.AsyncClient(
            base_url=self.url, cookies=cookies, headers=headers, timeout=60
        ) as client:
            yield client

    def forgive_statuses(self) -> None:
        """Answers of 400 and above were meant; anything else that a browser complained of stays."""
        self.complaints[:] = [one for one in self.complaints if STATUS_COMPLAINT not in one]

    def _listen(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _look_at(self, request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)


@dataclass
class _Secretive:
    secret: SessionSecret


@asynccontextmanager
async def open_site(
    desk: Desk, browser: Browser, password_hash: str, monkeypatch, tmp_path, *, worker: bool = True, **changes
) -> AsyncIterator[Site]:
    """The web server on the desk's database, Temporal and ledger, with the desk's workers."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("ACK_TEST_KEY", pem)
    monkeypatch.setenv("TEMPORAL_ADDRESS", desk.client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    values = {
        "database_url": desk.seeded.url,
        "authority_key": "env:ACK_TEST_KEY",
        "session_secret": SECRET_TEXT,
        "storage_url": (tmp_path / "documents").as_uri(),
        "horizon_url": desk.ledger.url if desk.ledger else "http://127.0.0.1:9",
        "network_passphrase": TESTNET_PASSPHRASE,
        "temporal_ui_url": "http://127.0.0.1:8233",
    }
    settings = Settings(**(values | changes))
    async with AsyncExitStack() as stack:
        if worker:
            await stack.enter_async_context(desk.worker())
        async for url in running(settings):
            site = Site(url, desk, settings, browser, password_hash)
            try:
                yield site
            finally:
                for context in site.contexts:
                    await context.close()


@pytest.fixture
async def site(minting_desk, chromium, password_hash, monkeypatch, tmp_path) -> AsyncIterator[Site]:
    """A site whose mints reach a real (sandbox) ledger; no page may ask another host, nor complain."""
    async with open_site(minting_desk, chromium, password_hash, monkeypatch, tmp_path) as opened:
        yield opened
        assert opened.foreign == []
        assert opened.complaints == []
