"""From a message to its acknowledgement: the hash of what was sent is the hash of what was used."""

import asyncio
import os

import aiohttp
import httpx
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.ack import decode, token_sha256
from domain.mint_request import MintStatus
from sandbox.providers import running_providers
from tests.notifications.test_ack_links import LINK
from tests.support.acks import AUTHORITY, KEY
from tests.support.outbox import Outbox
from tests.support.tokens import bearer
from tests.web.test_acks import running, settings_of


async def test_the_request_shows_which_token_was_sent_and_which_was_used(
    desk, seeded, temporal_server, monkeypatch
):
    """The same document for API and CLI; the token itself is in neither."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("ACK_TEST_KEY", pem)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    async with desk.worker(), running_providers() as console, aiohttp.ClientSession(console) as http:
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        outbox = Outbox(seeded, console, http)
        async with outbox.relay(authority=AUTHORITY).running(), asyncio.timeout(30):
            while not (found := await outbox.received()):
                await asyncio.sleep(0.05)
        await outbox.close()
        token = LINK.findall(found[0]["text"])[0]
        async for url in running(settings_of(seeded)):
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                assert (await client.post(f"/acks/{token}")).status_code == 200
                me = await bearer(seeded)
                shown = (await client.get(f"/api/requests/{ticket.id}", headers=me)).json()
    entries = {entry["kind"]: entry for entry in shown["timeline"] if entry["actor"] != "in-app"}
    hashed = token_sha256(decode(token))
    assert entries["delivery.opened"]["ack_sha256"] == [hashed]
    assert entries["ack"]["details"]["tokenSha256"] == hashed
    assert token not in str(shown)
