"""Email through SendGrid's own client, which is synchronous and therefore runs in a thread."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import time
from collections.abc import Mapping
from email.utils import parseaddr
from typing import Any
from urllib.error import URLError

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient

from activities.notifications.channels.base import (
    CONNECT_SHARE,
    TIME_LIMIT,
    Accepted,
    DeliveryError,
    DeliveryFailed,
    DeliveryRefused,
    Message,
)
from activities.notifications.channels.transport import answer_lost, cannot_reach, status_error

HOST = "https://api.sendgrid.com"

# SendGrid's HTTP client logs all headers, the API key among them, at DEBUG.
logging.getLogger("python_http_client").setLevel(logging.WARNING)


class EmailChannel:
    """Sends HTML with a plain-text alternative; `sender` is an address or `Name <address>`."""

    kind = "email"
    in_log = False

    def __init__(self, api_key: str, sender: str, host: str = HOST, time_limit: float = TIME_LIMIT) -> None:
        self._client = SendGridAPIClient(api_key, host=host.rstrip("/"))
        self._sender = _address(sender)
        self._time_limit = time_limit

    async def send(self, message: Message) -> Accepted:
        """Send one mail to `message.target`; the provider's id is SendGrid's `X-Message-Id`."""
        try:
            async with asyncio.timeout(self._time_limit):
                headers = await asyncio.to_thread(self._post, self._body(message))
        except HTTPError as error:
            raise _delivery_error(error) from None
        except (ValueError, http.client.InvalidURL):
            raise DeliveryRefused("SendGrid: the configured host or API key can't be used") from None
        except URLError as error:
            # urllib wraps what happens until the request is fully written, and nothing later.
            raise cannot_reach("SendGrid", error) from None
        except (OSError, http.client.HTTPException) as error:
            raise answer_lost("SendGrid", error) from None
        return Accepted(headers.get("X-Message-Id"))

    async def close(self) -> None:
        """Nothing to give back: the client opens one connection per call."""

    def _post(self, body: dict[str, object]) -> Mapping[str, str]:
        # The limit of the socket is shorter than the whole, so that a connection that never comes
        # about is told apart from an answer that never comes.
        response = self._client.client.mail.send.post(
            request_body=body, timeout=self._time_limit * CONNECT_SHARE
        )
        headers: Mapping[str, str] = response.headers
        return headers

    def _body(self, message: Message) -> dict[str, object]:
        contents = [{"type": "text/plain", "value": message.text}]
        if message.html is not None:
            contents.append({"type": "text/html", "value": message.html})
        custom_args = {"delivery_id": message.delivery_id, "kind": message.kind}
        return {
            "personalizations": [{"to": [_address(message.target)], "custom_args": custom_args}],
            "from": self._sender,
            "subject": message.subject,
            "content": contents,
            # Tracking rewrites links through the provider's host; people must see where they go.
            "tracking_settings": {
                "click_tracking": {"enable": False, "enable_text": False},
                "open_tracking": {"enable": False},
            },
        }


def _address(text: str) -> dict[str, str]:
    name, address = parseaddr(text)
    # What can't be parsed goes out as it is: SendGrid's refusal then names the field.
    return {"email": address or text, "name": name} if name else {"email": address or text}


def _delivery_error(error: Any) -> DeliveryError:
    # python_http_client is untyped: error has status_code, body (bytes) and headers.
    problem = status_error("SendGrid", error.status_code, _first_message(error.body), error.headers)
    if isinstance(problem, DeliveryFailed) and problem.retry_after is None:
        problem.retry_after = _until_reset(error.headers)
    return problem


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """SendGrid's documented header: the Unix time at which the limit is reset."""
    reset = headers.get("X-RateLimit-Reset", "")
    return max(0.0, int(reset) - time.time()) if reset.isdecimal() else None


def _first_message(body: bytes) -> str:
    try:
        return str(json.loads(body)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return ""
