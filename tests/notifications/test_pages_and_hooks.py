"""What PagerDuty and a webhook's receiver get, and whom mintkeeper does not send to."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import text

from activities.notifications.channels import (
    ChannelSettings,
    DeliveryFailed,
    DeliveryRefused,
    Message,
    Standing,
    build_channels,
)
from activities.notifications.channels.webhook import WebhookChannel
from db.writes import dictionaries
from sandbox.providers import running_providers
from sandbox.providers.webhook import SECRET
from tests.support.outbox import PATIENCE, Outbox

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


def a_message(**changed):
    """A reminder."""
    content = {
        "delivery_id": "d" * 64,
        "kind": "reminder",
        "target": "",
        "subject": "Reminder: 2,500 EURT",
        "text": "still waits",
        "channel": "ops",
        "request_id": "mr_1",
        "link": "https://mint.example/requests/mr_1",
        "ack_link": "https://mint.example/acks/tok3n",
        "dedup_key": "mr_1",
        "facts": {"track_number": "T-1"},
    }
    return Message(**content | changed)


@pytest.fixture
async def console():
    """An empty provider console: its URL and a session to it."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        yield url, http


@pytest.fixture
async def pager(console):
    """PagerDuty's client."""
    url, _ = console
    settings = ChannelSettings(pagerduty_routing_key="R-common", pagerduty_base_url=f"{url}/pagerduty")
    channel = build_channels(settings)["pagerduty"]
    yield channel
    await channel.close()


@pytest.fixture
async def hooks():
    """The webhooks' client."""
    channel = WebhookChannel(time_limit=5)
    yield channel
    await channel.close()


@pytest.fixture
async def receiver():
    """A receiver of our own: what it got, and the status that it answers."""
    got, answer = [], {"status": 200, "headers": {}}

    async def take(request):
        got.append((request.path, dict(request.headers), await request.read()))
        return web.Response(**answer)

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", got, answer
    await runner.cleanup()


async def received(console):
    """What has arrived."""
    async with console[1].get("/messages") as response:
        return await response.json()


async def test_a_run_is_one_incident(console, pager):
    """Two stages trigger under the same key; it is acknowledged and resolved under it as well."""
    first = await pager.send(a_message())
    second = await pager.send(a_message(kind="escalation"))
    assert first.provider_id == second.provider_id == "mr_1"
    await pager.revise("mr_1", a_message(standing=Standing.ACKNOWLEDGED))
    await pager.revise("mr_1", a_message(standing=Standing.CLOSED))
    await pager.revise("mr_1", a_message(standing=Standing.OPEN))
    messages = await received(console)
    assert [message["subject"].partition(":")[0] for message in messages] == [
        "trigger",
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert [message["updates"] for message in messages] == ["", "", "mr_1", "mr_1"]
    assert {message["to"] for message in messages} == {"R-common"}
    assert messages[0]["delivery_id"] == "d" * 64


async def test_an_incident_says_how_severe_it_is_and_links_to_the_request(receiver):
    """Severity by the channel's setting, critical by default; links to the page and to "I am on it"."""
    url, got, _ = receiver
    channel = build_channels(ChannelSettings(pagerduty_routing_key="R", pagerduty_base_url=url))["pagerduty"]
    for settings in ({}, {"severity": "warning"}):
        # whoever answers 200 is no PagerDuty
        with pytest.raises(Exception, match="PagerDuty answered 200"):
            await channel.send(a_message(settings=settings))
    await channel.close()
    events = [json.loads(body) for _, _, body in got]
    assert [event["payload"]["severity"] for event in events] == ["critical", "warning"]
    assert events[0]["payload"]["summary"] == "Reminder: 2,500 EURT"
    assert events[0]["links"] == [
        {"href": "https://mint.example/requests/mr_1", "text": "The mint request"},
        {"href": "https://mint.example/acks/tok3n", "text": "I am on it"},
    ]
    assert "tok3n" not in json.dumps(events[0]["payload"])


async def test_a_channel_may_have_a_routing_key_of_its_own(console, pager, monkeypatch, tmp_path):
    """By reference: a variable, or a file that only its owner can read."""
    monkeypatch.setenv("TEAM_KEY", "R-team")
    place = tmp_path / "key"
    place.write_text("R-file\n")
    place.chmod(0o600)
    await pager.send(a_message(settings={"routing_key": "env:TEAM_KEY"}))
    await pager.send(a_message(settings={"routing_key": f"file:{place}"}))
    assert [message["to"] for message in await received(console)] == ["R-team", "R-file"]
    place.chmod(0o644)
    for reference in (f"file:{place}", "env:NOT_SET", "file:/nowhere", "R-team"):
        with pytest.raises(DeliveryRefused, match="PagerDuty's routing key can't be read"):
            await pager.send(a_message(settings={"routing_key": reference}))


async def test_pagerdutys_limit_ends_with_the_minute(receiver):
    """It counts by the minute and may not say for how long: a minute then."""
    url, _, answer = receiver
    answer["status"] = 429
    channel = build_channels(ChannelSettings(pagerduty_routing_key="R", pagerduty_base_url=url))["pagerduty"]
    with pytest.raises(DeliveryFailed) as caught:
        await channel.send(a_message())
    await channel.close()
    assert caught.value.retry_after == 60


async def test_without_a_routing_key_a_line_stands_for_the_incident(caplog):
    """It says whom and what, and never holds a token."""
    channel = build_channels(ChannelSettings())["pagerduty"]
    with caplog.at_level(logging.INFO):
        accepted = await channel.send(a_message())
    assert (accepted.provider_id, accepted.note) == (
        None,
        "mock: MINTKEEPER_PAGERDUTY_ROUTING_KEY is not set",
    )
    [line] = caplog.messages
    assert line.startswith("[PAGERDUTY MOCK] to ops: Reminder: 2,500 EURT")
    assert "tok3n" not in line


async def test_a_webhook_is_signed_as_the_standard_says(receiver, hooks, monkeypatch):
    """HMAC-SHA256 over id, time and the very body, worked out here by hand."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    url, got, _ = receiver
    await hooks.send(a_message(settings={"url": f"{url}/in", "secret": "env:HOOK_SECRET"}))
    [(_, headers, body)] = got
    assert headers["webhook-id"] == "d" * 64
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 300
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    document = json.loads(body)
    assert document["type"] == "mint_request.reminder"
    assert document["data"]["facts"] == {"track_number": "T-1"}
    assert document["data"]["ack_link"].endswith("/acks/tok3n")


async def test_the_receiver_believes_its_own_secret_only(console, hooks, monkeypatch):
    """The console's receiver checks signatures itself: ours is right, another's is refused."""
    url, _ = console
    settings = {"url": f"{url}/webhook/in", "secret": "env:HOOK_SECRET"}
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    await hooks.send(a_message(settings=settings))
    monkeypatch.setenv("HOOK_SECRET", base64.b64encode(b"x" * 32).decode())
    with pytest.raises(DeliveryRefused, match="401"):
        await hooks.send(a_message(settings=settings))
    assert [message["delivery_id"] for message in await received(console)] == ["d" * 64]


@pytest.mark.parametrize("secret", ["whsec_", "not base64!", "c2hvcnQ=", "whsec_" + "A" * 200])
async def test_a_secret_that_is_none_signs_nothing(console, hooks, monkeypatch, secret):
    """Too short, too long, or no base64: refused before anything is sent, and never shown."""
    monkeypatch.setenv("HOOK_SECRET", secret)
    with pytest.raises(DeliveryRefused, match="24 to 64 bytes") as caught:
        await hooks.send(a_message(settings={"url": f"{console[0]}/webhook/in", "secret": "env:HOOK_SECRET"}))
    assert secret == "whsec_" or secret not in caught.value.message
    assert await received(console) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("gone", "wants no more messages"), ("moved", "redirects are not followed"), ("unknown", "404")],
)
async def test_who_wants_no_messages_gets_no_more(console, hooks, monkeypatch, name, said):
    """410, a redirect and 404 end it for good; nothing is sent anywhere else."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with pytest.raises(DeliveryRefused, match=said):
        await hooks.send(
            a_message(settings={"url": f"{console[0]}/webhook/{name}", "secret": "env:HOOK_SECRET"})
        )
    assert await received(console) == []


@pytest.mark.parametrize("url", ["http://hooks.example/x", "", "https://a:b@hooks.example/"])
async def test_an_address_that_is_not_allowed_is_never_called(hooks, monkeypatch, url):
    """What an admin could not have set is not trusted because it stands in the database."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with pytest.raises(DeliveryRefused, match="webhook's url"):
        await hooks.send(a_message(settings={"url": url, "secret": "env:HOOK_SECRET"}))


async def test_a_webhook_whose_answer_was_lost_gets_the_same_id_again(seeded, console, monkeypatch):
    """Over the relay: two calls, one `webhook-id`, so that the receiver can tell; it is accepted."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    url, http = console
    outbox = Outbox(seeded, url, http)
    async with seeded.database.transaction() as tx:
        await dictionaries.set_channel(
            tx,
            tenant="acme",
            name="slack-mint",
            kind="webhook",
            settings={"url": f"{url}/webhook/in", "secret": "env:HOOK_SECRET"},
            actor="adam",
            at=datetime.now(UTC),
        )
    [request] = await outbox.open()
    await outbox.fault(provider="webhook", kind="drop", after_accept=True)
    async with outbox.relay().running(), asyncio.timeout(PATIENCE):
        while (row := await the_hook(seeded)).state != "accepted":
            await outbox.run("UPDATE deliveries SET next_attempt_at = now() WHERE state = 'ambiguous'")
            await outbox.run("NOTIFY mintkeeper_deliveries")
            await asyncio.sleep(0.05)
    await outbox.close()
    assert (row.recipient, row.target, row.attempt) == ("slack-mint", "", 2)
    messages = await received(console)
    assert [message["delivery_id"] for message in messages] == [row.id] * 2
    assert all(request.id in message["text"] for message in messages)


async def the_hook(seeded):
    """The row of the webhook."""
    async with seeded.database.transaction() as tx:
        return (await tx.execute(text("SELECT * FROM deliveries WHERE channel_kind = 'webhook'"))).one()
