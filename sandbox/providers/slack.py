"""Slack Web API: `auth.test`, `chat.postMessage`, `chat.postEphemeral`, `chat.update`, `views.open`.

Slack answers errors with HTTP 200 and `{"ok": false, "error": …}`; only the rate limit is a 429,
with `Retry-After` (docs.slack.dev/apis/web-api/rate-limits).
"""

from __future__ import annotations

import hashlib
import itertools
import time
from dataclasses import dataclass

from sandbox.providers.block_kit import buttons_of, wrong_blocks, wrong_view
from sandbox.providers.messages import Incoming
from sandbox.providers.vendor import (
    Answer,
    Call,
    JsonObject,
    first_line,
    mapping,
    refuses_target,
    refuses_token,
)

TEAM = {"url": "https://acme.slack.com/", "team": "acme", "team_id": "T0ACME001"}
BOT = {"user": "mintkeeper", "user_id": "U0MINTBOT", "bot_id": "B0MINTBOT"}
LONGEST_TEXT = 40_000
POSTED_KEPT = 10_000
TRIGGER_SECONDS = 3.0
"""So long the trigger of a press opens a modal, once."""
VIEWS_KEPT = 100


@dataclass(frozen=True)
class View:
    """A modal that is open for a user; `trigger` is that of the press that it answers."""

    id: str
    user: str
    trigger: str
    body: JsonObject


class Slack:
    """The methods that mintkeeper's clients can call, and the modals that they have opened."""

    name = "slack"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._posted: dict[tuple[str, str], None] = {}
        self._triggers: dict[str, tuple[str, float]] = {}
        self.views: dict[str, View] = {}

    def answer(self, call: Call) -> Answer:
        """Answer an API method; an unknown one as Slack does, with `unknown_method`."""
        if refuses_token(call.token):
            return _refused("invalid_auth" if call.token else "not_authed")
        match call.path:
            case "api/auth.test":
                return Answer(200, {"ok": True, **TEAM, **BOT})
            case "api/chat.postMessage":
                return self._post(call.body)
            case "api/chat.update":
                return self._update(call.body)
            case "api/chat.postEphemeral":
                return self._whisper(call.body)
            case "api/views.open":
                return self._open(call.body)
        return _refused("unknown_method")

    def too_many(self, retry_after: int) -> Answer:
        """HTTP 429 with the header that the client must obey."""
        return Answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(retry_after)})

    def broken(self) -> Answer:
        """A page instead of JSON, as from the proxies in front of the API."""
        return Answer(500, "<!DOCTYPE html><title>Slack</title><h1>Server Error</h1>")

    def _post(self, body: JsonObject) -> Answer:
        channel, ts = str(body.get("channel", "")), self._next_ts()
        problem = _problem(body)
        if problem:
            return _refused(problem)
        self._posted[channel_id(channel), ts] = None
        if len(self._posted) > POSTED_KEPT:
            del self._posted[next(iter(self._posted))]
        return _accepted(body, channel, ts)

    def _update(self, body: JsonObject) -> Answer:
        channel, ts = str(body.get("channel", "")), str(body.get("ts", ""))
        problem = _problem(body)
        if not problem and (channel_id(channel), ts) not in self._posted:
            problem = "message_not_found"
        return _refused(problem) if problem else _accepted(body, channel, ts, edited_as=self._next_ts())

    def trigger(self, user: str) -> str:
        """A new trigger: somebody has just pressed something."""
        made = f"{next(self._numbers)}.{int(time.time())}.trigger"
        self._triggers[made] = (user, time.monotonic() + TRIGGER_SECONDS)
        return made

    def _whisper(self, body: JsonObject) -> Answer:
        user = str(body.get("user", ""))
        problem = "user_not_in_channel" if refuses_target(user) else _problem(body)
        if problem:
            return _refused(problem)
        text, ts = str(body.get("text", "")), self._next_ts()
        message = Incoming(id=ts, to=user, subject="chat.postEphemeral", text=text)
        return Answer(200, {"ok": True, "message_ts": ts}, message=message)

    def _open(self, body: JsonObject) -> Answer:
        trigger, view = str(body.get("trigger_id", "")), mapping(body.get("view"))
        user, until = self._triggers.pop(trigger, ("", 0.0))
        if not user:
            return _refused("invalid_trigger_id")
        if time.monotonic() > until:
            return _refused("expired_trigger_id")
        if problem := wrong_view(view):
            return _refused(problem)
        opened = View(f"V{next(self._numbers):08d}", user, trigger, view)
        self.views[opened.id] = opened
        if len(self.views) > VIEWS_KEPT:
            del self.views[next(iter(self.views))]
        title = str(mapping(view.get("title")).get("text", ""))
        message = Incoming(id=opened.id, to=user, subject="views.open", text=title)
        return Answer(200, {"ok": True, "view": {**view, "id": opened.id}}, message=message)

    def _next_ts(self) -> str:
        return f"{int(time.time())}.{next(self._numbers):06d}"


def channel_id(channel: str) -> str:
    """Slack answers with the channel's id also when it was called by name."""
    if channel[:1] in "CDGU" and channel.isalnum() and channel.isupper():
        return channel
    return "C" + hashlib.sha256(channel.lstrip("#").encode()).hexdigest()[:10].upper()


def _problem(body: JsonObject) -> str:
    if refuses_target(str(body.get("channel", ""))):
        return "channel_not_found"
    text = str(body.get("text", ""))
    if not text and not body.get("blocks"):
        return "no_text"
    return "msg_too_long" if len(text) > LONGEST_TEXT else wrong_blocks(body.get("blocks"))


def _accepted(body: JsonObject, channel: str, ts: str, edited_as: str = "") -> Answer:
    text = str(body.get("text", ""))
    payload = mapping(mapping(body.get("metadata")).get("event_payload"))
    message = Incoming(
        id=edited_as or ts,
        to=channel,
        subject=first_line(text),
        text=text,
        delivery_id=str(payload.get("delivery_id", "")),
        updates=ts if edited_as else "",
        buttons=buttons_of(body.get("blocks")),
    )
    answer: JsonObject = {
        "ok": True,
        "channel": channel_id(channel),
        "ts": ts,
        "message": {"text": text, "ts": ts},
    }
    return Answer(200, answer, message=message)


def _refused(error: str) -> Answer:
    return Answer(200, {"ok": False, "error": error})
