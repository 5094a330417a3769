"""Telegram through the Bot API, as plain text: nothing a user typed can become markup."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import aiohttp

from activities.notifications.channels.base import (
    TIME_LIMIT,
    Accepted,
    AckButton,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    Message,
)
from activities.notifications.channels.transport import network_errors, new_session, status_error

BASE_URL = "https://api.telegram.org"

MOST_BUTTONS = 100
"""Telegram takes no more a message."""

# Telegram counts UTF-16 code units.
LONGEST_TEXT = 4096


class TelegramChannel:
    """Sends to the chat of the message, or to the configured group when the message names none."""

    kind = "telegram"
    in_log = False

    def __init__(
        self,
        token: str,
        chat_id: str | None = None,
        base_url: str = BASE_URL,
        time_limit: float = TIME_LIMIT,
        *,
        answers_buttons: bool = False,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/bot{quote(token, safe=':')}/sendMessage"
        self._chat_id = chat_id
        self._time_limit = time_limit
        self._answers_buttons = answers_buttons
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Accepted:
        """Send one message; the provider's id is `chat:message_id`."""
        chat = message.target or self._chat_id
        if not chat:
            raise DeliveryRefused(
                "Telegram: neither the message nor MINTKEEPER_TELEGRAM_CHAT_ID names a chat"
            )
        if self._session is None:
            self._session = new_session(self._time_limit)
        body: dict[str, object] = {
            "chat_id": chat,
            "text": shortened(message.text),
            "link_preview_options": {"is_disabled": True},
        }
        if rows := self._buttons(message):
            body["reply_markup"] = {"inline_keyboard": rows}
        with network_errors("Telegram"):
            async with self._session.post(self._url, json=body) as response:
                answer = _parsed(await response.read())
        result = answer.get("result")
        if response.status != 200 or not isinstance(result, Mapping):
            raise _delivery_error(response, answer)
        return Accepted(f"{chat}:{result.get('message_id')}")

    def _buttons(self, message: Message) -> list[list[Mapping[str, str]]]:
        """A request: one that acknowledges at once, if anybody hears it, and one that opens the link."""
        rows: list[list[Mapping[str, str]]] = []
        for ack in message.ack_buttons or [AckButton(message.ack_handle, message.ack_link)]:
            about = f": {ack.label}" if ack.label else ""
            if ack.handle and self._answers_buttons:
                rows.append([{"text": f"I am on it{about}", "callback_data": ack.handle}])
            # Telegram refuses a whole message for a link to a host without a dot, such as localhost
            if ack.link and "." in (urlsplit(ack.link).hostname or ""):
                rows.append([{"text": f"Open the acknowledgement page{about}", "url": ack.link}])
        return rows[:MOST_BUTTONS]

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def shortened(text: str) -> str:
    """At most 4096 UTF-16 code units; what was cut is marked with an ellipsis."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * LONGEST_TEXT:
        return text
    # A cut through a surrogate pair leaves a lone half, which "ignore" drops.
    return units[: 2 * (LONGEST_TEXT - 1)].decode("utf-16-le", "ignore") + "…"


def _parsed(body: bytes) -> Mapping[str, object]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _delivery_error(response: aiohttp.ClientResponse, answer: Mapping[str, object]) -> DeliveryError:
    error = status_error("Telegram", response.status, str(answer.get("description", "")), response.headers)
    parameters = answer.get("parameters")
    if isinstance(error, DeliveryFailed) and isinstance(parameters, Mapping):
        wait = parameters.get("retry_after")
        # The body is what Telegram documents; a proxy may have its own idea of the header.
        error.retry_after = float(wait) if isinstance(wait, int) else error.retry_after
    return error
