"""PagerDuty's Events API v2: one incident for a run, however many of its stages call."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from activities.notifications.channels.base import (
    TIME_LIMIT,
    Accepted,
    DeliveryFailed,
    Message,
    Standing,
)
from activities.notifications.channels.console import one_line
from activities.notifications.channels.secrets import read_secret
from activities.notifications.channels.transport import network_errors, new_session, status_error

BASE_URL = "https://events.pagerduty.com"
SETTING = "MINTKEEPER_PAGERDUTY_ROUTING_KEY"

LONGEST_SUMMARY = 1024
"""Characters that PagerDuty takes for a summary."""

DEFAULT_SEVERITY = "critical"

_ACTIONS = {Standing.ACKNOWLEDGED: "acknowledge", Standing.CLOSED: "resolve"}

logger = logging.getLogger("mintkeeper.console")


class PagerDutyChannel:
    """Triggers incidents with the routing key that a channel's settings refer to, else with the common one.

    Without either it writes `[PAGERDUTY MOCK] …` instead.
    """

    kind = "pagerduty"
    # where it stands in for PagerDuty, its line is the subject only, which holds no token
    in_log = False

    def __init__(
        self, routing_key: str | None = None, base_url: str = BASE_URL, time_limit: float = TIME_LIMIT
    ) -> None:
        self._routing_key = routing_key
        self._url = f"{base_url.rstrip('/')}/v2/enqueue"
        self._time_limit = time_limit
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Accepted:
        """Trigger the incident of the message's run; the provider's id is its `dedup_key`."""
        key = self._key(message)
        if key is None:
            logger.info(
                "[PAGERDUTY MOCK] %s", one_line(f"to {message.channel}: {message.subject} {message.link}")
            )
            return Accepted(None, f"mock: {SETTING} is not set")
        answer = await self._enqueue(_trigger(message, key))
        return Accepted(str(answer.get("dedup_key") or message.dedup_key))

    async def revise(self, provider_id: str, message: Message) -> None:
        """Let the incident be acknowledged or resolved, as the message's run is."""
        key, action = self._key(message), _ACTIONS.get(message.standing)
        if key is None or action is None:
            return
        await self._enqueue({"routing_key": key, "event_action": action, "dedup_key": provider_id})

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _key(self, message: Message) -> str | None:
        reference = message.settings.get("routing_key")
        return read_secret(str(reference), "PagerDuty's routing key") if reference else self._routing_key

    async def _enqueue(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._session is None:
            self._session = new_session(self._time_limit)
        with network_errors("PagerDuty"):
            async with self._session.post(self._url, json=event) as response:
                answer = _parsed(await response.read())
        if response.status == HTTPStatus.ACCEPTED:
            return answer
        error = status_error("PagerDuty", response.status, _details(answer), response.headers)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS and isinstance(error, DeliveryFailed):
            # PagerDuty's limit is per minute, and its answer need not say when that ends
            error.retry_after = 60.0 if error.retry_after is None else error.retry_after
        raise error


def _trigger(message: Message, key: str) -> dict[str, Any]:
    links = [(message.link, "The mint request"), (message.ack_link, "I am on it")]
    return {
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": message.dedup_key,
        "client": "mintkeeper",
        "client_url": message.link,
        "links": [{"href": href, "text": text} for href, text in links if href],
        "payload": {
            "summary": message.subject[:LONGEST_SUMMARY],
            "source": "mintkeeper",
            "severity": message.settings.get("severity", DEFAULT_SEVERITY),
            "component": message.request_id,
            "class": message.kind,
            "custom_details": {**message.facts, "delivery_id": message.delivery_id},
        },
    }


def _details(answer: Mapping[str, Any]) -> str:
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else answer.get("message", "")
    return str(first)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
