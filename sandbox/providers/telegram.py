"""Telegram Bot API: `POST /bot<token>/sendMessage`.

Every answer has `ok`; errors carry `error_code` and `description`, the rate limit also
`parameters.retry_after` in seconds (core.telegram.org/bots/api, "Making requests").
"""

from __future__ import annotations

import itertools
import re
import time
from urllib.parse import urlsplit

from sandbox.providers.messages import Incoming
from sandbox.providers.vendor import (
    Answer,
    Call,
    JsonObject,
    first_line,
    items,
    mapping,
    refuses_target,
    refuses_token,
)

LONGEST_TEXT = 4096

LONGEST_DATA = 64
"""Bytes that a button may carry."""

LONGEST_NOTE = 200
"""Characters of the note that answers the press of a button."""


class Telegram:
    """The methods that mintkeeper's clients call."""

    name = "telegram"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def answer(self, call: Call) -> Answer:
        """Send a message; the token is part of the path, as Telegram has it."""
        match = re.fullmatch(r"bot([^/]*)/(\w+)", call.path)
        if match is None:
            return _refused(404, "Not Found")
        if refuses_token(match[1]):
            return _refused(401, "Unauthorized")
        if match[2] == "answerCallbackQuery":
            return self._answer_press(call.body)
        if match[2] != "sendMessage":
            return _refused(404, "Not Found: method not found")
        return self._send(call.body)

    def too_many(self, retry_after: int) -> Answer:
        """429 with the wait both in the header and in the body."""
        body = _error(429, f"Too Many Requests: retry after {retry_after}")
        wait = {"parameters": {"retry_after": retry_after}}
        return Answer(429, {**body, **wait}, {"Retry-After": str(retry_after)})

    def broken(self) -> Answer:
        """500 in the shape of all other errors."""
        return _refused(500, "Internal Server Error")

    def _send(self, body: JsonObject) -> Answer:
        chat, text = str(body.get("chat_id", "")), str(body.get("text", ""))
        if refuses_target(chat):
            return _refused(400, "Bad Request: chat not found")
        if not text.strip():
            return _refused(400, "Bad Request: message text is empty")
        # Telegram counts UTF-16 code units, so an emoji counts twice.
        if len(text.encode("utf-16-le")) // 2 > LONGEST_TEXT:
            return _refused(400, "Bad Request: message is too long")
        number = next(self._numbers)
        result = {
            "message_id": number,
            "date": int(time.time()),
            "chat": {"id": chat, "type": "supergroup"},
            "text": text,
        }
        rows = items(mapping(body.get("reply_markup")).get("inline_keyboard"))
        buttons = tuple(mapping(button) for row in rows for button in items(row))
        if problem := next((found for button in buttons if (found := _wrong_button(button))), ""):
            return _refused(400, f"Bad Request: {problem}")
        message = Incoming(id=str(number), to=chat, subject=first_line(text), text=text, buttons=buttons)
        return Answer(200, {"ok": True, "result": result}, message=message)

    def _answer_press(self, body: JsonObject) -> Answer:
        query, text = str(body.get("callback_query_id", "")), str(body.get("text", ""))
        if refuses_target(query):
            return _refused(400, "Bad Request: query is too old and response timeout expired")
        if len(text) > LONGEST_NOTE:
            return _refused(400, "Bad Request: MESSAGE_TOO_LONG")
        message = Incoming(
            id=f"callback-{next(self._numbers)}", to=query, subject="answerCallbackQuery", text=text
        )
        return Answer(200, {"ok": True, "result": True}, message=message)


def _wrong_button(button: JsonObject) -> str:
    """Why Telegram would not take a button; empty: it does."""
    if len(str(button.get("callback_data", "")).encode()) > LONGEST_DATA:
        return "BUTTON_DATA_INVALID"
    url = button.get("url")
    if url is not None and "." not in (urlsplit(str(url)).hostname or ""):
        return f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL"
    return "" if button.get("text") else "can't parse inline keyboard button: Text buttons are unallowed"


def _refused(status: int, description: str) -> Answer:
    return Answer(status, _error(status, description))


def _error(status: int, description: str) -> JsonObject:
    return {"ok": False, "error_code": status, "description": description}
