"""The HTTP side of the provider console: providers below their prefixes, the record, the faults, the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime

from aiohttp import web

from domain.errors import Unavailable
from sandbox.providers.events import Events
from sandbox.providers.faults import BadFault, Faults, parse_fault
from sandbox.providers.messages import Messages, Received
from sandbox.providers.page import HEADERS, STYLE, page
from sandbox.providers.pagerduty import PagerDuty
from sandbox.providers.press_pages import press_page, view_page
from sandbox.providers.presses import Answered, Presses
from sandbox.providers.sendgrid import SendGrid
from sandbox.providers.slack import Slack, View
from sandbox.providers.telegram import Telegram
from sandbox.providers.vendor import Answer, Call, JsonObject, Vendor, items, mapping
from sandbox.providers.webhook import Webhook

HOST = "127.0.0.1"
SHOWN_ON_PAGE = 200

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Providers:
    """The providers, what they received, and the faults that wait for their callers."""

    def __init__(
        self, sendgrid_events: str = "", slack_interactions: str = "", slack_secret: str = ""
    ) -> None:
        self._messages = Messages()
        self._events = Events(sendgrid_events)
        self._faults = Faults()
        self._slack = Slack()
        self._presses = Presses(self._slack, slack_interactions, slack_secret)
        self._vendors: tuple[Vendor, ...] = (self._slack, SendGrid(), Telegram(), PagerDuty(), Webhook())

    def app(self) -> web.Application:
        """The application with all routes."""
        app = web.Application()
        app.router.add_post("/sendgrid/webhook", self._tell_events)
        app.router.add_post("/slack/webhook", self._tell_presses)
        for vendor in self._vendors:
            app.router.add_post(f"/{vendor.name}/{{path:.+}}", self._calls_of(vendor))
        app.router.add_get("/", self._show_page)
        app.router.add_get("/style.css", self._show_style)
        app.router.add_get("/press/{ts}", self._show_press)
        app.router.add_post("/press/{ts}", self._press)
        app.router.add_get("/views/{id}", self._show_view)
        app.router.add_post("/views/{id}", self._send_view)
        app.router.add_get("/messages", self._list_messages)
        app.router.add_delete("/messages", self._clear_messages)
        app.router.add_get("/faults", self._list_faults)
        app.router.add_post("/faults", self._add_fault)
        app.router.add_delete("/faults", self._clear_faults)
        return app

    def _calls_of(self, vendor: Vendor) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            call, arrived = await _read_call(request), datetime.now(UTC)
            fault = self._faults.take(vendor.name)
            match fault.kind if fault else "":
                case "429" if fault:
                    return _response(vendor.too_many(fault.retry_after))
                case "500":
                    return _response(vendor.broken())
                case "slow" if fault:
                    await asyncio.sleep(fault.seconds)
                case "drop" if fault and not fault.after_accept:
                    return _hang_up(request)
            answer = vendor.answer(call)
            if answer.message:
                self._messages.add(vendor.name, answer.message, arrived)
                if vendor.name == SendGrid.name:
                    self._events.sent(answer.message)
            return _hang_up(request) if fault and fault.kind == "drop" else _response(answer)

        return handle

    async def _show_page(self, _: web.Request) -> web.Response:
        return _html(page(len(self._messages), self._messages.newest(SHOWN_ON_PAGE)))

    async def _show_style(self, _: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css")

    async def _show_press(self, request: web.Request) -> web.Response:
        return _html(press_page(self._message(request)))

    async def _press(self, request: web.Request) -> web.Response:
        """Press a button as the Slack user of the form."""
        message, form = self._message(request), await _own_form(request)
        number, user = form.get("button", ""), form.get("user", "").strip()
        if not (number.isdecimal() and int(number) < len(message.buttons) and user):
            return _html(press_page(message, "This message has no such button."), 400)
        answered, view = await self._presses.press(message, int(number), user)
        if view is not None:
            raise web.HTTPSeeOther(f"/views/{view.id}")
        if answered.status != 200:
            return _html(press_page(message, self._trouble(answered)), 502)
        raise web.HTTPSeeOther("/")

    async def _show_view(self, request: web.Request) -> web.Response:
        return _html(view_page(self._view(request), {}))

    async def _send_view(self, request: web.Request) -> web.Response:
        """Send a modal off."""
        view, typed = self._view(request), (await _own_form(request)).get("typed", "").replace("\r\n", "\n")
        answered = await self._presses.send_off(view, typed)
        if answered.status == 200 and not answered.errors:
            raise web.HTTPSeeOther("/")
        trouble = answered.errors or dict.fromkeys(_input_blocks(view), self._trouble(answered))
        return _html(view_page(view, trouble, typed))

    def _message(self, request: web.Request) -> Received:
        message = self._messages.find(Slack.name, request.match_info["ts"])
        if message is None:
            raise web.HTTPNotFound
        return message

    def _view(self, request: web.Request) -> View:
        view = self._slack.views.get(request.match_info["id"])
        if view is None:
            raise web.HTTPNotFound
        return view

    def _trouble(self, answered: Answered) -> str:
        """What Slack would show where the app does not answer as it should."""
        if not self._presses.possible:
            return "Nobody is told of presses: start with --slack-interactions and a signing secret."
        return (
            f"The app answered {answered.status}." if answered.status else "The app did not answer in time."
        )

    async def _list_messages(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(message) for message in self._messages])

    async def _clear_messages(self, _: web.Request) -> web.Response:
        return web.json_response({"deleted": self._messages.clear()})

    async def _tell_events(self, request: web.Request) -> web.Response:
        """From now on SendGrid's events go to the `url` of the body; empty: nowhere."""
        url = (await _read_body(request)).get("url")
        if not isinstance(url, str):
            return _bad_input("url must be a text")
        self._events.url = url
        return web.json_response({"url": url})

    async def _tell_presses(self, request: web.Request) -> web.Response:
        """From now on presses of Slack's buttons go to the `url` of the body; empty: nowhere."""
        url = (await _read_body(request)).get("url")
        if not isinstance(url, str):
            return _bad_input("url must be a text")
        self._presses.url = url
        return web.json_response({"url": url})

    async def _list_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._faults.listed())

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = parse_fault(json.loads(await request.read()))
        except BadFault as problem:
            return _bad_input(str(problem))
        except ValueError:
            return _bad_input("the body is not JSON")
        self._faults.add(fault)
        return web.json_response(asdict(fault), status=201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"deleted": self._faults.clear()})


@asynccontextmanager
async def running_providers(
    port: int = 0, sendgrid_events: str = "", slack_interactions: str = "", slack_secret: str = ""
) -> AsyncIterator[str]:
    """The console on 127.0.0.1 while the block runs; gives its base URL; port 0 takes a free one.

    SendGrid's signed events go to the URL `sendgrid_events`, if any, presses of Slack's buttons, signed with
    `slack_secret`, to `slack_interactions`. Raises Unavailable when the port is taken.
    """
    console = Providers(sendgrid_events, slack_interactions, slack_secret)
    runner = web.AppRunner(console.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, port)
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def serve(
    port: int,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
    sendgrid_events: str = "",
    slack_interactions: str = "",
    slack_secret: str = "",
) -> None:
    """Serve until `stop` is set; `on_ready` gets the base URL. Raises Unavailable when the port is taken."""
    async with running_providers(port, sendgrid_events, slack_interactions, slack_secret) as url:
        on_ready(url)
        await stop.wait()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as problem:
        raise Unavailable(
            f"the provider console cannot listen on port {port} of {HOST}: choose another --port"
        ) from problem


def _input_blocks(view: View) -> list[str]:
    blocks = map(mapping, items(view.body.get("blocks")))
    return [str(block.get("block_id")) for block in blocks if block.get("type") == "input"]


async def _own_form(request: web.Request) -> dict[str, str]:
    """The form of a page of ours; a page of another site must not press anything here."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise web.HTTPForbidden
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


async def _read_call(request: web.Request) -> Call:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    token = credential if scheme.lower() == "bearer" else ""
    body = await _read_body(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    token = token or str(body.get("token", ""))
    return Call(request.match_info["path"], token, body, headers, await request.read())


async def _read_body(request: web.Request) -> JsonObject:
    """JSON or a form; what can't be read is empty, and the provider then names the missing fields."""
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(
            status=answer.status, headers=answer.headers, text=answer.body, content_type="text/html"
        )
    if answer.body is None:
        return web.Response(status=answer.status, headers=answer.headers)
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection; the response is never written, for nobody listens any more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _bad_input(message: str) -> web.Response:
    return web.json_response({"error": {"code": "invalid_input", "message": message}}, status=400)
