"""`POST /telegram/updates`: a button in a group is an acknowledgement, in the name of who pressed it."""

import asyncio
import os

import aiohttp
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text

from domain.approvals import Verdict
from domain.mint_request import MintStatus
from sandbox.providers import running_providers
from tests.support.acks import AUTHORITY, KEY, token_for
from tests.support.outbox import Outbox
from tests.web.test_acks import running, settings_of

PATH = "/telegram/updates"
HEADER = "X-Telegram-Bot-Api-Secret-Token"
SECRET = "a-webhook-secret"
TELEGRAM = {"telegram_bot_token": "1:local", "telegram_webhook_secret": SECRET}


@pytest.fixture
async def outbox(seeded):
    """An outbox with Telegram behind it."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


@pytest.fixture
async def web(seeded, outbox, temporal_server, monkeypatch):
    """A client of a real web server that knows the webhook's secret and the authority key."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("ACK_TEST_KEY", pem)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    changes = {**TELEGRAM, "telegram_base_url": f"{outbox.url}/telegram"}
    async for url in running(settings_of(seeded).model_copy(update=changes)):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


async def until_posted(outbox, **settings):
    """Let the first stage's group be one of Telegram's; its message once it is there."""
    await outbox.run(
        "UPDATE deliveries SET channel = 'telegram-mint', channel_kind = 'telegram', target = '-1001', "
        "recipient = '-1001' WHERE channel_kind = 'slack'"
    )
    channels = outbox.channels(telegram_base_url=f"{outbox.url}/telegram", **settings)
    async with outbox.relay(channels, authority=AUTHORITY).running(), asyncio.timeout(30):
        while not (found := await outbox.received()):
            await asyncio.sleep(0.05)
    return found[0]


@pytest.fixture
async def posted(desk, outbox):
    """A request whose first message is in a Telegram group, and that message."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        yield ticket, await until_posted(outbox, **TELEGRAM)


def update(handle, sender=77, number=1):
    """What Telegram sends when somebody presses a button."""
    chat = {"id": -1001, "title": "mint", "type": "supergroup"}
    return {
        "update_id": 1000 + number,
        "callback_query": {
            "id": f"query-{number}",
            "from": {"id": sender, "is_bot": False, "first_name": "Al", "language_code": "en"},
            "message": {"message_id": 5, "date": 1763800000, "chat": chat, "text": "…"},
            "chat_instance": "-4711",
            "data": handle,
        },
    }


def handle_of(message):
    """What the acknowledging button of a message carries."""
    return message["buttons"][0]["callback_data"]


async def press(web, handle, **how):
    """Press a button; what the person is told."""
    answer = await web.post(PATH, json=update(handle, **how), headers={HEADER: SECRET})
    assert answer.status_code == 200, answer.text
    return answer.json()["told"]


async def notes(outbox):
    """What Telegram was told to show, in order."""
    found = await outbox.received()
    return [message["text"] for message in found if message["subject"] == "answerCallbackQuery"]


async def chat_of(outbox, user, chat, active=True):
    """Let a Telegram account be a user's."""
    await outbox.run(f"UPDATE users SET telegram_chat = '{chat}', active = {active} WHERE name = '{user}'")


async def test_the_message_has_a_button_and_a_link(posted, outbox):
    """The button carries a short random handle and no token; the link stays, in the text too."""
    button, link = posted[1]["buttons"]
    assert (button["text"], 16 <= len(button["callback_data"]) <= 60) == ("I am on it", True)
    assert link["url"].startswith("http://127.0.0.1:8080/acks/")
    assert link["url"] in posted[1]["text"]
    async with outbox.database.transaction() as tx:
        [handle] = (await tx.execute(text("SELECT handle FROM ack_handles"))).scalars()
    assert handle == button["callback_data"]


async def test_an_unknown_person_acknowledges_for_the_group(desk, posted, web, outbox):
    """As the link does; doubled, or pressed by the next one, it is the same acknowledgement."""
    ticket, message = posted
    for number in (1, 1, 2):
        said = await press(web, handle_of(message), sender=76 + number, number=number)
        assert said == "-1001 is on it. This approves nothing."
    record = await desk.record(ticket)
    assert (record.acknowledged_by, record.status) == ("-1001", MintStatus.PENDING)
    assert (await desk.kinds(ticket)).count("ack") == 1
    assert await notes(outbox) == [said] * 3


async def test_an_approver_acknowledges_in_their_own_name(desk, posted, web, outbox):
    """Telegram says who pressed; the audit says to whom the message had been sent."""
    ticket, message = posted
    await chat_of(outbox, "carol", 77)
    assert await press(web, handle_of(message)) == "carol is on it. This approves nothing."
    assert (await desk.record(ticket)).acknowledged_by == "carol"
    [ack] = [event for event in await desk.audit(ticket) if event["kind"] == "ack"]
    assert (ack["actor"], ack["details"]["sentTo"]) == ("carol", "-1001")


@pytest.mark.parametrize(
    "accounts",
    [{"alice": False}, {"rita": True}, {"alice": True, "bob": True}],
    ids=["left", "client", "two"],
)
async def test_others_do_not_speak_for_themselves(desk, posted, web, outbox, accounts):
    """Who has left, who is no approver and was not told, an account of two users: the group acknowledges."""
    ticket, message = posted
    for user, active in accounts.items():
        await chat_of(outbox, user, 77, active)
    await press(web, handle_of(message))
    assert (await desk.record(ticket)).acknowledged_by == "-1001"


async def test_button_and_link_of_a_message_are_one_acknowledgement(desk, posted, web, outbox):
    """Whichever comes second hears what the first has done."""
    ticket, message = posted
    link = message["buttons"][1]["url"]
    assert (await web.post(link.removeprefix("http://127.0.0.1:8080"))).status_code == 200
    await chat_of(outbox, "alice", 77)
    assert await press(web, handle_of(message)) == "-1001 is on it. This approves nothing."
    assert (await desk.kinds(ticket)).count("ack") == 1


async def test_too_late_is_told(desk, posted, web, outbox):
    """Somebody else was first, it was decided, or the button was revoked."""
    ticket, message = posted
    token = await token_for(outbox.database, ticket.id, recipient="alice")
    assert (await web.post(f"/acks/{token}")).status_code == 200
    assert "alice is on it already" in await press(web, handle_of(message))
    await desk.decide(ticket, "bob", Verdict.REJECT, reason="wrong account")
    assert "REJECTED already" in await press(web, handle_of(message))
    await outbox.run("UPDATE deliveries SET ack_revoked_at = now() WHERE channel_kind = 'telegram'")
    assert "was revoked" in await press(web, handle_of(message))


async def test_a_button_is_good_as_long_as_the_link_beside_it(posted, web, outbox):
    """24 h from when the message was sent, not from when it is pressed."""
    await outbox.run(
        "UPDATE deliveries SET accepted_at = now() - interval '25 h' WHERE channel_kind = 'telegram'"
    )
    assert "has expired" in await press(web, handle_of(posted[1]))


@pytest.mark.parametrize("handle", ["", "0" * 32, "x' OR 1=1 --", "💩" * 16])
async def test_an_unknown_button_is_told(web, handle):
    """200, or Telegram would send it again and again."""
    assert "not known" in await press(web, handle)


async def test_only_telegram_is_believed(desk, posted, web):
    """403 without the secret or with another one, and nothing is written."""
    ticket, message = posted
    for headers in ({}, {HEADER: ""}, {HEADER: "another"}, {HEADER: SECRET + "x"}):
        answer = await web.post(PATH, json=update(handle_of(message)), headers=headers)
        assert answer.status_code == 403
    assert (await desk.record(ticket)).acknowledged_at is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"nonsense", 400),
        (b'{"update_id": 1, "callback_query": {"id": "1"}}', 400),
        (b'{"update_id": 1, "message": {"text": "hello"}}', 200),
        (b" " * 2_000_000, 413),
    ],
)
async def test_other_updates_and_garbage(web, body, status):
    """What is no press of a button is ignored, what is no update is a bad request."""
    assert (await web.post(PATH, content=body, headers={HEADER: SECRET})).status_code == status


async def test_that_nobody_can_be_told_undoes_nothing(desk, posted, web, outbox):
    """Telegram hangs up instead of taking the note: the acknowledgement stands."""
    ticket, message = posted
    await outbox.fault(provider="telegram", kind="drop", count=1)
    assert "is on it" in await press(web, handle_of(message))
    assert (await desk.record(ticket)).acknowledged_by == "-1001"
    assert "is on it" in await press(web, handle_of(message), number=2)
    assert len(await notes(outbox)) == 1


async def test_without_a_secret_there_is_neither_address_nor_button(seeded, outbox):
    """Nobody could be believed, so nobody is asked to press."""
    async for url in running(settings_of(seeded, authority="")):
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post(PATH, json={}, headers={HEADER: ""})).status_code == 404
    await outbox.open()
    message = await until_posted(outbox, telegram_bot_token="1:local")
    assert [sorted(button) for button in message["buttons"]] == [["text", "url"]]
