"""Somebody presses a button in Slack: a signed interaction goes to mintkeeper, as Slack would send it.

Shapes: docs.slack.dev, "block_actions payload", "View interaction payloads"; the signature: "Verifying
requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp

from sandbox.providers.messages import Received
from sandbox.providers.slack import TEAM, Slack, View, channel_id
from sandbox.providers.vendor import JsonObject, items, mapping

PATIENCE_SECONDS = 3.0
"""Then Slack shows whoever pressed that the app did not answer."""

APP = "A0MINTKEEPER"


@dataclass(frozen=True)
class Answered:
    """What mintkeeper answered; `errors` are shown in the modal, `status` 0 is no answer in time."""

    status: int
    errors: JsonObject


class Presses:
    """Presses buttons of messages that `slack` has, and tells `url` (empty: nobody), signed with `secret`."""

    def __init__(self, slack: Slack, url: str, secret: str) -> None:
        self._slack = slack
        self.url = url
        self._secret = secret

    @property
    def possible(self) -> bool:
        """Somebody listens."""
        return bool(self.url and self._secret)

    async def press(self, message: Received, number: int, user: str) -> tuple[Answered, View | None]:
        """Press a button of a message; answers also the modal that has opened for it."""
        trigger = self._slack.trigger(user)
        answered = await self._send(block_actions(message, mapping(message.buttons[number]), user, trigger))
        opened = [view for view in self._slack.views.values() if view.trigger == trigger]
        return answered, opened[0] if opened else None

    async def send_off(self, view: View, typed: str) -> Answered:
        """Send a modal off with a text in its one field; it closes unless there are errors."""
        answered = await self._send(view_submission(view, typed))
        if answered.status == 200 and not answered.errors:
            self._slack.views.pop(view.id, None)
        return answered

    async def _send(self, payload: JsonObject) -> Answered:
        body = urlencode({"payload": json.dumps(payload)}).encode()
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(
                    self.url, data=body, headers=signed(body, int(time.time()), self._secret)
                ) as answer,
            ):
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return Answered(0, {})
        return Answered(answer.status, _errors(said))


def signed(body: bytes, timestamp: int, secret: str) -> dict[str, str]:
    """The headers that make a body Slack's."""
    mac = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": str(timestamp),
        "X-Slack-Signature": f"v0={mac}",
    }


def block_actions(message: Received, button: JsonObject, user: str, trigger: str) -> JsonObject:
    """What Slack sends when a user presses a button of a message."""
    channel = channel_id(message.to)
    pressed = {name: button[name] for name in ("action_id", "text", "value", "style") if name in button}
    at = {"type": "message", "message_ts": message.id, "channel_id": channel, "is_ephemeral": False}
    return {
        **_common("block_actions", user),
        "container": at,
        "trigger_id": trigger,
        "channel": {"id": channel, "name": message.to.lstrip("#")},
        "message": {"type": "message", "ts": message.id, "text": message.reads_now or message.text},
        "state": {"values": {}},
        "response_url": f"https://hooks.slack.com/actions/{TEAM['team_id']}/1/none",
        "actions": [{**pressed, "type": "button", "block_id": "row", "action_ts": f"{time.time():.6f}"}],
    }


def view_submission(view: View, typed: str) -> JsonObject:
    """What Slack sends when a user sends a modal with one field off."""
    values = {}
    for block in map(mapping, items(view.body.get("blocks"))):
        if block.get("type") == "input":
            action = str(mapping(block.get("element")).get("action_id"))
            values[str(block.get("block_id"))] = {
                action: {"type": "plain_text_input", "value": typed or None}
            }
    named = {name: view.body.get(name, "") for name in ("type", "callback_id", "private_metadata")}
    shown = {"id": view.id, "team_id": TEAM["team_id"], **named, "state": {"values": values}, "hash": "1.a"}
    return {**_common("view_submission", view.user), "view": shown, "response_urls": []}


def _common(kind: str, user: str) -> dict[str, object]:
    team = {"id": TEAM["team_id"], "domain": TEAM["team"]}
    who = {"id": user, "username": user.lower(), "name": user.lower(), "team_id": TEAM["team_id"]}
    return {"type": kind, "user": who, "team": team, "api_app_id": APP, "token": "deprecated",
            "enterprise": None, "is_enterprise_install": False}  # fmt: skip


def _errors(body: bytes) -> JsonObject:
    try:
        said = mapping(json.loads(body or b"{}"))
    except ValueError:
        return {}
    return mapping(said.get("errors")) if said.get("response_action") == "errors" else {}
