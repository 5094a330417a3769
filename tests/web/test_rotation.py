"""Rotating the authority key under a running web server, relay and worker: nobody starts anything again."""

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import httpx
import pytest

from domain.ack import decode
from domain.mint_request import MintStatus
from sandbox.providers import running_providers
from starter.authority import open_authority
from tests.notifications.test_ack_links import LINK
from tests.support.outbox import Outbox
from tests.web.test_acks import running, settings_of
from worker import mint_worker

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def rotate(tmp_path):
    """`mintkeeper keys rotate` for a file of this test; the file."""
    path = tmp_path / "authority.seeds"

    async def run(*options):
        command = ["keys", "rotate", "--file", str(path), "--data-dir", str(tmp_path), *options]
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "cli.py"), *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0
        return said

    await run()
    run.path = path
    return run


async def sent_token(outbox, authority, count):
    """The token in the newest message, once there are so many."""
    async with outbox.relay(authority=authority).running(), asyncio.timeout(30):
        while len(found := await outbox.received()) < count:
            await asyncio.sleep(0.05)
    return LINK.findall(found[-1]["text"])[0]


async def test_a_rotation_reaches_everything_that_runs(desk, seeded, temporal_server, rotate, monkeypatch):
    """The relay signs with the new key, web and worker believe both; after a leak only the newest counts."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    setting = f"file:{rotate.path}"
    relays, workers = open_authority(setting), open_authority(setting)
    worker = mint_worker(temporal_server.client, seeded.database, workers)
    async with worker, running_providers() as console, aiohttp.ClientSession(console) as http:
        outbox = Outbox(seeded, console, http)
        async for url in running(settings_of(seeded, authority=setting)):
            async with httpx.AsyncClient(base_url=url, timeout=60) as web:
                tokens = []
                for count in (1, 2, 3):
                    ticket = await desk.submit()
                    await desk.until_status(ticket, MintStatus.PENDING)
                    tokens.append(await sent_token(outbox, relays, count))
                    said = await rotate(*(["--now"] if count == 3 else []))
                    if count == 1:
                        assert (await web.post(f"/acks/{tokens[0]}")).status_code == 200
                assert "worthless now" in said
                hints = [decode(token).signatures[0].keyid for token in tokens]
                assert len(set(hints)) == 3
                for token in tokens:
                    assert (await web.post(f"/acks/{token}")).status_code == 403
                last = await desk.submit()
                await desk.until_status(last, MintStatus.PENDING)
                token = await sent_token(outbox, relays, 4)
                assert (await web.post(f"/acks/{token}")).status_code == 200
        await outbox.close()
    assert (await desk.record(last)).acknowledged_by == "#mint"
