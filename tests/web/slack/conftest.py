"""A web server that hears of Slack, and a message in Slack that waits for a decision."""

import aiohttp
import pytest

from sandbox.providers import running_providers
from tests.support.outbox import Outbox
from tests.support.slack import SECRET, hearing, relay, until_posted


@pytest.fixture
async def outbox(seeded):
    """An outbox with Slack behind it."""
    async with running_providers(slack_secret=SECRET) as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


@pytest.fixture
async def web(seeded, outbox, temporal_server, monkeypatch):
    """A client of a real web server that hears of Slack's interactions."""
    async with hearing(seeded, outbox, temporal_server.client, monkeypatch) as client:
        yield client


@pytest.fixture
async def posted(desk, outbox, web):
    """A request whose message is in Slack, and that message; relay and worker keep running."""
    async with desk.worker(), relay(outbox).running():
        ticket = await desk.submit()
        yield ticket, await until_posted(outbox)


@pytest.fixture
async def big(desk, outbox, web):
    """The same of an amount that needs two approvals, one of tier 2."""
    async with desk.worker(), relay(outbox).running():
        ticket = await desk.submit(amount=20_000 * 10**7)
        yield ticket, await until_posted(outbox)
