"""A tenant's own receiver, by Standard Webhooks: JSON, signed with a secret that both sides know.

The id of a message is the delivery's, so a receiver tells a repeat from a new message; the time is
that of the attempt. Any 2xx takes it, 410 ends it, and a redirect is not followed: the signature was
made for the address that an admin has set, and for no other.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
from standardwebhooks import Webhook

from activities.notifications.channels.base import (
    TIME_LIMIT,
    Accepted,
    DeliveryError,
    DeliveryRefused,
    Message,
)
from activities.notifications.channels.secrets import read_secret
from activities.notifications.channels.transport import network_errors, new_session, status_error
from domain.channels import check_webhook_url
from domain.errors import InvalidInput

PREFIX = "whsec_"
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
"""Bytes, as the specification wants them."""


class WebhookChannel:
    """Posts to the `url` in a channel's settings, signed with what its `secret` refers to."""

    kind = "webhook"
    in_log = False

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Accepted:
        """Post one message; a receiver has no id of its own for it."""
        url = str(message.settings.get("url", ""))
        try:
            check_webhook_url(url)
        except InvalidInput as error:
            raise DeliveryRefused(error.message) from None
        body = json.dumps(_body(message), ensure_ascii=False, separators=(",", ":"))
        headers = _signed(message, body)
        if self._session is None:
            self._session = new_session(self._time_limit)
        with network_errors("the webhook"):
            async with self._session.post(
                url, data=body.encode(), headers=headers, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 300:
                    raise _delivery_error(response)
        return Accepted(None)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _body(message: Message) -> dict[str, object]:
    return {
        "type": f"mint_request.{message.kind}",
        "timestamp": datetime.now(UTC).isoformat(),
        "data": {
            "delivery_id": message.delivery_id,
            "request_id": message.request_id,
            "subject": message.subject,
            "text": message.text,
            "link": message.link,
            "ack_link": message.ack_link,
            "facts": dict(message.facts),
        },
    }


def _signed(message: Message, body: str) -> dict[str, str]:
    at = datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "webhook-id": message.delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(_secret(message)).sign(message.delivery_id, at, body),
    }


def _secret(message: Message) -> bytes:
    text = read_secret(str(message.settings.get("secret", "")), "the webhook's secret")
    try:
        # the library takes anything for base64; a mistyped secret must not sign
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise DeliveryRefused(
            f"the webhook's secret must be {PREFIX} and {SHORTEST_SECRET} to {LONGEST_SECRET} bytes in base64"
        )
    return secret


def _delivery_error(response: aiohttp.ClientResponse) -> DeliveryError:
    if response.status == HTTPStatus.GONE:
        return DeliveryRefused("the webhook answered 410: it wants no more messages; remove the channel")
    if 300 <= response.status < 400:
        return DeliveryRefused(f"the webhook answered {response.status}: redirects are not followed")
    return status_error("the webhook", response.status, "", response.headers)
