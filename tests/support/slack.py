"""Slack as the provider console plays it: presses, modals, notes, and interactions of our own making."""

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.slack import APPROVE
from sandbox.providers.presses import signed
from tests.support.acks import AUTHORITY, KEY
from tests.web.test_acks import running, settings_of

PATH = "/slack/interactions"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PUBLIC = "http://127.0.0.1:8080"
STEP_UP = "UPDATE approval_rules SET step_up_above_stroops = 1 WHERE tenant = 'acme'"


@asynccontextmanager
async def hearing(seeded, outbox, temporal, monkeypatch):
    """A client of a real web server that hears of Slack's interactions; it has stopped when this ends."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("ACK_TEST_KEY", pem)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    changes = {
        "slack_bot_token": "xoxb-local",
        "slack_signing_secret": SECRET,
        "slack_base_url": outbox.slack_url,
        "public_url": PUBLIC,
    }
    async for url in running(settings_of(seeded).model_copy(update=changes)):
        async with outbox.http.post("/slack/webhook", json={"url": f"{url}{PATH}"}) as answer:
            assert answer.status == 200
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


def relay(outbox):
    """A relay whose messages have buttons."""
    return outbox.relay(outbox.channels(slack_signing_secret=SECRET), authority=AUTHORITY)


async def until_posted(outbox):
    """The first message in Slack."""
    async with asyncio.timeout(30):
        while not (found := await outbox.received()):
            await asyncio.sleep(0.05)
    return found[0]


async def press(outbox, message, action, user="U0ALICE"):
    """Press a button in the provider console; where it leads to."""
    number = [one["action_id"] for one in message["buttons"]].index(action)
    form = {"user": user, "button": str(number)}
    async with outbox.http.post(f"/press/{message['id']}", data=form, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]


async def type_reason(outbox, view, reason):
    """Send the modal off; where it leads to, or what it shows then."""
    async with outbox.http.post(view, data={"typed": reason}, allow_redirects=False) as answer:
        return answer.headers["Location"] if answer.status == 303 else await answer.text()


async def notes(outbox, to="U0ALICE", count=1):
    """What that user alone was shown, once it is so many notes."""
    async with asyncio.timeout(30):
        while True:
            found = [m for m in await outbox.received() if m["subject"] == "chat.postEphemeral"]
            if len(found) >= count:
                assert {m["to"] for m in found} == {to}
                return [m["text"] for m in found]
            await asyncio.sleep(0.05)


async def until_reads(outbox, words):
    """The message once it says that."""
    async with asyncio.timeout(30):
        while words not in (message := (await outbox.received())[0])["reads_now"]:
            await asyncio.sleep(0.05)
    return message


def payload(ticket, action=APPROVE, user="U0ALICE", value=None, **changes):
    """An interaction as Slack sends it, of our own making."""
    return {
        "type": "block_actions",
        "user": {"id": user, "team_id": "T1"},
        "team": {"id": "T1"},
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "C1"},
        "trigger_id": "1.2.x",
        "actions": [{"type": "button", "action_id": action, "value": value or ticket.id, "action_ts": "1"}],
    } | changes


def body_of(document):
    """The form that Slack posts."""
    return urlencode({"payload": json.dumps(document)}).encode()


async def post(web, body, at=None, secret=SECRET, **headers):
    """Post a body as Slack would."""
    return await web.post(PATH, content=body, headers=signed(body, int(at or time.time()), secret) | headers)
