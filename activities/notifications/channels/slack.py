"""Slack through slack-sdk's Web client: Block Kit with a plain-text fallback."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from activities.notifications.channels.base import (
    TIME_LIMIT,
    Accepted,
    Block,
    DeliveryAmbiguous,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    Message,
)
from activities.notifications.channels.transport import network_errors, new_session, status_error
from domain.slack import WEB_API, decision_buttons, escape_mrkdwn

# Slack's own words for these: "possible some aspect of the operation succeeded".
UNCERTAIN_ERRORS = frozenset({"fatal_error", "internal_error"})
PASSING_ERRORS = frozenset({"ratelimited", "rate_limited", "service_unavailable", "request_timeout"})


class SlackChannel:
    """Posts to channels given by id or name."""

    kind = "slack"
    in_log = False

    def __init__(
        self,
        token: str,
        base_url: str = WEB_API,
        time_limit: float = TIME_LIMIT,
        *,
        answers_buttons: bool = False,
    ) -> None:
        # slack-sdk's retry handlers sleep inside the call; the workflow schedules retries instead.
        self._client = AsyncWebClient(token, base_url, retry_handlers=[], logger=_quiet_logger())
        # slack-sdk takes a proxy from the environment and ignores NO_PROXY; the session knows both.
        self._client.proxy = None
        self._time_limit = time_limit
        self._answers_buttons = answers_buttons

    async def send(self, message: Message) -> Accepted:
        """Post one message; the provider's id is `channel:ts`, as `chat.update` needs both."""
        if self._client.session is None:
            self._client.session = new_session(self._time_limit)
        with network_errors("Slack"):
            response = await self._post(message)
        return Accepted(f"{response['channel']}:{response['ts']}")

    async def revise(self, provider_id: str, message: Message) -> None:
        """Put `message` in the place of the one that was posted as `provider_id`."""
        channel, _, ts = provider_id.rpartition(":")
        if self._client.session is None:
            self._client.session = new_session(self._time_limit)
        with network_errors("Slack"):
            try:
                await self._client.chat_update(channel=channel, ts=ts, **self._content(message))
            except SlackApiError as error:
                raise _delivery_error(error.response) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._client.session is not None:
            await self._client.session.close()

    async def _post(self, message: Message) -> AsyncSlackResponse:
        try:
            return await self._client.chat_postMessage(
                channel=message.target,
                **self._content(message),
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            raise _delivery_error(error.response) from None

    def _content(self, message: Message) -> dict[str, Any]:
        payload = {"delivery_id": message.delivery_id}
        blocks = list(message.blocks or ())
        # above the last line, which is small print
        blocks[-1:-1] = self._buttons(message)
        return {
            "text": escape_mrkdwn(message.text),
            "blocks": [dict(block) for block in blocks] or None,
            "metadata": {"event_type": "mintkeeper_delivery", "event_payload": payload},
        }

    def _buttons(self, message: Message) -> list[Block]:
        """Those to decide with, if somebody hears when they are pressed."""
        if not (message.decides and self._answers_buttons):
            return []
        facts = message.facts
        return [
            decision_buttons(
                message.request_id,
                amount=facts["exact"],
                destination=facts.get("destination", ""),
                acknowledges=bool(message.ack_link),
            )
        ]


def _quiet_logger() -> logging.Logger:
    # slack-sdk logs whole messages at DEBUG; what we send to people does not belong into a log.
    logger = logging.getLogger("mintkeeper.slack_sdk")
    logger.setLevel(logging.WARNING)
    return logger


def _delivery_error(response: AsyncSlackResponse | aiohttp.ClientResponse) -> DeliveryError:
    if isinstance(response, aiohttp.ClientResponse):
        # slack-sdk hands over the bare response when its body claims to be JSON and is not.
        return status_error("Slack", response.status, "unreadable answer", response.headers)
    error = str(response.data.get("error", "")) if isinstance(response.data, Mapping) else ""
    if response.status_code != 200 or not error:
        return status_error("Slack", response.status_code, error, response.headers)
    if error in UNCERTAIN_ERRORS:
        return DeliveryAmbiguous(f"Slack answered {error}; the message may have been sent")
    if error in PASSING_ERRORS:
        return DeliveryFailed(f"Slack answered {error}; nothing was sent")
    return DeliveryRefused(f"Slack refused the message: {error}")
