"""The real clients against the provider console over HTTP: what arrives, and what each failure becomes."""

import asyncio
import logging
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import aiohttp
import pytest

from activities.notifications.channels import (
    ChannelSettings,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    Message,
    build_channels,
)
from activities.notifications.channels.telegram import shortened
from activities.notifications.channels.transport import retry_after_seconds, status_error
from domain.errors import MintkeeperError
from sandbox.providers import running_providers
from sandbox.providers.webhook import SECRET

PROVIDERS = {
    "slack": "slack",
    "email": "sendgrid",
    "telegram": "telegram",
    "pagerduty": "pagerduty",
    "webhook": "webhook",
}
TARGETS = {
    "slack": "#mint",
    "email": "carol@acme.test",
    "telegram": "-1001",
    "pagerduty": "",
    "webhook": "",
}
real_channels = pytest.mark.parametrize("kind", PROVIDERS)


def settings_for(url, **changed):
    """Settings that lead every channel to the server at `url`."""
    settings = {
        "slack_bot_token": "xoxb-local",
        "slack_base_url": f"{url}/slack/api/",
        "sendgrid_api_key": "SG.local",
        "sendgrid_host": f"{url}/sendgrid",
        "email_from": "mintkeeper <mint@acme.test>",
        "telegram_bot_token": "12:local",
        "telegram_chat_id": "-1009",
        "telegram_base_url": f"{url}/telegram",
        "pagerduty_routing_key": "R-local",
        "pagerduty_base_url": f"{url}/pagerduty",
    }
    return ChannelSettings(**settings | changed)


def message(kind, **changed):
    """A delivery to a target that exists."""
    content = {
        "delivery_id": "d-1",
        "kind": "opened",
        "target": TARGETS[kind],
        "subject": "Decide",
        "text": "rita asks\nDecide now",
        "html": "<p>rita asks</p>",
        "blocks": ({"type": "section", "text": {"type": "mrkdwn", "text": "rita asks"}},),
        "dedup_key": "mr_1",
    }
    return Message(**content | changed)


def hook(url, name="in", **changed):
    """A delivery to a webhook's receiver."""
    settings = {"url": f"{url}/webhook/{name}", "secret": "env:HOOK_SECRET"}
    return message("webhook", settings=settings, **changed)


class Stage:
    """The console, a session to it, and the clients under test."""

    def message(self, kind, **changed):
        """A delivery that arrives when nothing is wrong."""
        return hook(self.url, **changed) if kind == "webhook" else message(kind, **changed)

    def __init__(self, url, http, channels):
        self.url, self.http, self.channels = url, http, channels

    async def fault(self, channel, /, **fault):
        """Let the next call of a channel fail."""
        async with self.http.post("/faults", json={"provider": PROVIDERS[channel]} | fault) as response:
            assert response.status == 201, await response.text()

    async def received(self):
        """What has arrived."""
        async with self.http.get("/messages") as response:
            return await response.json()

    async def failure(self, kind, **changed):
        """The error of one delivery."""
        with pytest.raises(DeliveryError) as caught:
            await self.channels[kind].send(self.message(kind, **changed))
        return caught.value


@pytest.fixture(autouse=True)
def hook_secret(monkeypatch):
    """What the receiver of webhooks believes."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
async def stage():
    """A console and the real clients."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        channels = build_channels(settings_for(url))
        yield Stage(url, http, channels)
        for channel in channels.values():
            await channel.close()


async def test_slack_posts_blocks_with_a_fallback_and_the_delivery_id(stage):
    """Slack takes the message; the answer holds channel and ts, which an update needs."""
    accepted = await stage.channels["slack"].send(message("slack"))
    [received] = await stage.received()
    assert (received["to"], received["text"], received["delivery_id"]) == (
        "#mint",
        "rita asks\nDecide now",
        "d-1",
    )
    channel, ts = accepted.provider_id.split(":")
    assert channel.startswith("C")
    assert ts == received["id"]
    assert accepted.note == ""


async def test_slack_fallback_text_cannot_mention_everybody(stage):
    """Slack parses the fallback text too, so its three control characters are escaped there."""
    await stage.channels["slack"].send(message("slack", text="<!channel> pay & <@U1>"))
    [received] = await stage.received()
    assert received["text"] == "&lt;!channel&gt; pay &amp; &lt;@U1&gt;"


async def test_email_goes_out_as_html_and_text_with_the_delivery_id(stage):
    """SendGrid takes the mail and its X-Message-Id is kept."""
    accepted = await stage.channels["email"].send(message("email", target="Carol <carol@acme.test>"))
    [received] = await stage.received()
    assert (received["to"], received["subject"]) == ("carol@acme.test", "Decide")
    assert (received["text"], received["delivery_id"]) == ("rita asks\nDecide now", "d-1")
    assert accepted.provider_id == received["id"]


async def test_email_turns_link_tracking_off(stage):
    """People must see where a link leads, so the provider may not rewrite it."""
    body = stage.channels["email"]._body(message("email"))
    assert body["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]


async def test_telegram_uses_the_configured_group_unless_the_message_names_a_chat(stage):
    """The chat of the message wins over MINTKEEPER_TELEGRAM_CHAT_ID."""
    first = await stage.channels["telegram"].send(message("telegram", target=""))
    second = await stage.channels["telegram"].send(message("telegram"))
    assert [m["to"] for m in await stage.received()] == ["-1009", "-1001"]
    assert (first.provider_id, second.provider_id) == ("-1009:1", "-1001:2")


async def test_telegram_cuts_what_is_too_long(stage):
    """Telegram takes 4096 UTF-16 code units; the rest is cut, never refused."""
    await stage.channels["telegram"].send(message("telegram", text="😀" * 3000))
    [received] = await stage.received()
    assert received["text"] == "😀" * 2047 + "…"
    assert shortened("a" * 4096) == "a" * 4096


@real_channels
async def test_rate_limit_fails_with_the_providers_wait(stage, kind):
    """429 is a failure for now; the provider's Retry-After travels with it, and nothing was sent."""
    await stage.fault(kind, kind="429", retry_after=17)
    error = await stage.failure(kind)
    assert isinstance(error, DeliveryFailed)
    assert error.retry_after == 17
    assert await stage.received() == []
    await stage.channels[kind].send(stage.message(kind))
    assert len(await stage.received()) == 1


@real_channels
async def test_server_error_fails_for_now(stage, kind):
    """500 is a failure for now, without a wish of the provider."""
    await stage.fault(kind, kind="500")
    error = await stage.failure(kind)
    assert isinstance(error, DeliveryFailed)
    assert error.retry_after is None
    assert "500" in error.message


@real_channels
@pytest.mark.parametrize("after_accept", [False, True])
async def test_a_dropped_connection_is_ambiguous(stage, kind, after_accept):
    """From outside a drop before and after acceptance look alike, and both are called ambiguous."""
    await stage.fault(kind, kind="drop", after_accept=after_accept)
    assert isinstance(await stage.failure(kind), DeliveryAmbiguous)
    assert len(await stage.received()) == int(after_accept)


@real_channels
async def test_no_answer_within_the_time_limit_is_ambiguous(stage, kind):
    """A call ends with its time limit, and the message may arrive none the less, as here."""
    await stage.fault(kind, kind="slow", seconds=1.5)
    channel = build_channels(settings_for(stage.url), time_limit=1.0)[kind]
    with pytest.raises(DeliveryAmbiguous):
        await channel.send(stage.message(kind))
    await channel.close()
    while not await stage.received():
        await asyncio.sleep(0.05)


@real_channels
async def test_nobody_listens_fails_and_says_that_nothing_was_sent(kind):
    """A refused connection proves that nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        channel = build_channels(settings_for(url))[kind]
        with pytest.raises(DeliveryFailed, match="nothing was sent"):
            await channel.send(hook(url) if kind == "webhook" else message(kind))
        await channel.close()


@real_channels
async def test_a_bad_credential_is_refused_and_never_shown(stage, kind, monkeypatch):
    """A revoked credential is permanent, and no error text holds it."""
    secrets = {"slack": "xoxb-revoked", "email": "SG.revoked", "telegram": "12:revoked"}
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + "revoked+" * 4)
    settings = settings_for(
        stage.url,
        slack_bot_token=secrets["slack"],
        sendgrid_api_key=secrets["email"],
        telegram_bot_token=secrets["telegram"],
        pagerduty_routing_key="R-revoked",
    )
    channel = build_channels(settings)[kind]
    with pytest.raises(DeliveryRefused) as caught:
        await channel.send(stage.message(kind))
    await channel.close()
    assert "revoked" not in str(caught.value).replace("expired, or revoked", "")
    assert await stage.received() == []


@pytest.mark.parametrize("kind", ["slack", "email", "telegram"])
async def test_an_unknown_target_is_refused(stage, kind):
    """A channel, address or chat that does not exist is permanent."""
    error = await stage.failure(kind, target={"email": "no address"}.get(kind, "unknown"))
    assert isinstance(error, DeliveryRefused)


async def test_telegram_without_any_chat_is_refused(stage):
    """No chat in the message and none configured: the error names the setting."""
    channel = build_channels(settings_for(stage.url, telegram_chat_id=None))["telegram"]
    with pytest.raises(DeliveryRefused, match="MINTKEEPER_TELEGRAM_CHAT_ID"):
        await channel.send(message("telegram", target=""))


@real_channels
async def test_a_base_url_that_is_none_is_refused(kind):
    """A wrong setting is permanent, and its error does not show the credential."""
    channel = build_channels(settings_for("nonsense"))[kind]
    with pytest.raises(DeliveryRefused) as caught:
        await channel.send(message(kind))
    await channel.close()
    assert "local" not in str(caught.value)


class Gibberish(BaseHTTPRequestHandler):
    """Answers 200 with what claims to be JSON."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"<gone")

    def log_message(self, *args):
        """Stay silent."""


@pytest.mark.parametrize("kind", ["slack", "telegram"])
async def test_a_success_that_cannot_be_read_is_ambiguous(kind):
    """A 200 without a usable body proves neither that the message arrived nor that it did not."""
    server = HTTPServer(("127.0.0.1", 0), Gibberish)
    threading.Thread(target=server.handle_request, daemon=True).start()
    channel = build_channels(settings_for(f"http://127.0.0.1:{server.server_port}"))[kind]
    with pytest.raises(DeliveryAmbiguous):
        await channel.send(message(kind))
    await channel.close()
    server.server_close()


@real_channels
async def test_a_proxy_of_the_environment_is_passed_by_where_no_proxy_says_so(stage, kind, monkeypatch):
    """NO_PROXY holds for every client, slack-sdk's included."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    channel = build_channels(settings_for(stage.url))[kind]
    await channel.send(stage.message(kind))
    await channel.close()
    assert len(await stage.received()) == 1


@pytest.mark.parametrize(
    ("kind", "label", "missing"),
    [
        ("slack", "[SLACK MOCK]", "MINTKEEPER_SLACK_BOT_TOKEN"),
        ("email", "[EMAIL MOCK]", "MINTKEEPER_SENDGRID_API_KEY"),
        ("telegram", "[TELEGRAM MOCK]", "MINTKEEPER_TELEGRAM_BOT_TOKEN"),
    ],
)
async def test_a_channel_that_is_not_configured_becomes_one_line_in_the_log(kind, label, missing, caplog):
    """The stand-in writes the message as a single line, and the delivery says what is not set."""
    with caplog.at_level(logging.INFO):
        accepted = await build_channels(ChannelSettings())[kind].send(
            message(kind, text="a\n[SLACK MOCK] forged\x1b[2J")
        )
    assert (accepted.provider_id, accepted.note) == (None, f"mock: {missing} is not set")
    assert caplog.messages == [f"{label} to {TARGETS[kind]}: a [SLACK MOCK] forged [2J"]


async def test_a_key_without_a_sender_is_not_enough_for_email(stage):
    """Half a configuration is a mock that names the other half."""
    channel = build_channels(settings_for(stage.url, email_from=""))["email"]
    accepted = await channel.send(message("email"))
    assert accepted.note == "mock: MINTKEEPER_EMAIL_FROM is not set"
    assert await stage.received() == []


async def test_the_console_channel_is_no_mock(caplog):
    """`console` is a channel of its own and needs no excuse."""
    with caplog.at_level(logging.INFO):
        accepted = await build_channels(ChannelSettings())["console"].send(message("slack", target=""))
    assert accepted.note == ""
    assert caplog.messages == ["[CONSOLE] rita asks Decide now"]


async def test_nothing_that_is_sent_reaches_the_log(stage, caplog):
    """The libraries log whole requests at DEBUG; credentials and messages must not get there."""
    with caplog.at_level(logging.DEBUG):
        for kind in PROVIDERS:
            await stage.channels[kind].send(stage.message(kind, text="a secret token"))
    assert "a secret token" not in caplog.text
    assert not [
        secret
        for secret in ("xoxb-local", "SG.local", "12:local", "R-local", SECRET)
        if secret in caplog.text
    ]


async def test_many_deliveries_share_one_client(stage):
    """A burst over one client per channel arrives completely."""
    deliveries = [(kind, str(n)) for n in range(40) for kind in PROVIDERS]
    await asyncio.gather(
        *(
            stage.channels[k].send(stage.message(k, text=f"{k} {n}", delivery_id=f"{k} {n}"))
            for k, n in deliveries
        )
    )
    # Telegram knows no id of ours
    assert {m["delivery_id"] or m["text"] for m in await stage.received()} == {
        f"{k} {n}" for k, n in deliveries
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, DeliveryAmbiguous),
        (302, DeliveryAmbiguous),
        (400, DeliveryRefused),
        (401, DeliveryRefused),
        (408, DeliveryFailed),
        (413, DeliveryRefused),
        (429, DeliveryFailed),
        (502, DeliveryFailed),
        (503, DeliveryFailed),
        (504, DeliveryAmbiguous),
    ],
)
def test_every_status_has_its_meaning(status, expected):
    """Try again, look first, or give up: a status decides, and a gateway's time-out decides nothing."""
    assert type(status_error("Slack", status, "")) is expected


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "Sun, 99 Nov"])
def test_a_wait_that_makes_no_sense_is_no_wait(value):
    """A provider's nonsense in Retry-After never becomes a delay."""
    assert retry_after_seconds({"Retry-After": value}) is None


def test_a_wait_may_be_given_as_a_date():
    """Retry-After may be a date; one in the past means now."""
    now = datetime.now(UTC)
    soon = format_datetime(now + timedelta(seconds=90), usegmt=True)
    past = format_datetime(now - timedelta(days=1), usegmt=True)
    assert 60 < retry_after_seconds({"Retry-After": soon}) <= 90
    assert retry_after_seconds({"Retry-After": past}) == 0


def test_delivery_errors_belong_to_the_house_tree():
    """Each delivery error is a MintkeeperError with a code of its own."""
    codes = {error.code for error in (DeliveryFailed, DeliveryAmbiguous, DeliveryRefused)}
    assert codes == {"delivery_failed", "delivery_ambiguous", "delivery_refused"}
    assert issubclass(DeliveryError, MintkeeperError)
