"""SendGrid's event webhook: tells a URL, signed as SendGrid signs, what became of each mail.

A mail to an address that contains `bounce` bounces, one to `dropped` is dropped, any other is delivered
(twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.providers.messages import Incoming

_KEY = ec.derive_private_key(int.from_bytes(b"the sandbox's SendGrid signs"), ec.SECP256R1())
"""It protects nothing."""

PUBLIC_KEY = base64.b64encode(
    _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
"""As SendGrid shows it to the owner of the webhook."""

GATHERING_SECONDS = 0.5
"""Events of so long share a request, as SendGrid posts them in batches."""

ATTEMPTS = 5
PATIENCE_SECONDS = 5.0

_LAST = {"bounce": ("bounce", "550 5.1.1 no such user"), "dropped": ("dropped", "Bounced Address")}


def signed(body: bytes, timestamp: int) -> dict[str, str]:
    """The headers that make a body SendGrid's."""
    signature = _KEY.sign(str(timestamp).encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": str(timestamp),
    }


def event(message: Incoming, kind: str, reason: str = "") -> Mapping[str, object]:
    """One event of a mail, our own arguments of it included."""
    common = {
        "email": message.to,
        "timestamp": int(time.time()),
        "event": kind,
        "sg_event_id": uuid.uuid4().hex,
        "sg_message_id": f"{message.id}.filter0001.1-0",
        "delivery_id": message.delivery_id,
    }
    return {**common, "reason": reason} if reason else common


class Events:
    """Sends them to `url`, in the background; without one nothing is sent."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self._waiting: list[Mapping[str, object]] = []
        self._sending: set[asyncio.Task[None]] = set()

    def sent(self, message: Incoming) -> None:
        """A mail was taken: tell what becomes of it."""
        if not self.url:
            return
        last = next((found for word, found in _LAST.items() if word in message.to), ("delivered", ""))
        if not self._waiting:
            task = asyncio.create_task(self._tell_soon())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        self._waiting += [event(message, "processed"), event(message, *last)]

    async def _tell_soon(self) -> None:
        await asyncio.sleep(GATHERING_SECONDS)
        events, self._waiting = self._waiting, []
        await self._tell(events)

    async def _tell(self, events: Sequence[Mapping[str, object]]) -> None:
        body = json.dumps(events).encode()
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for attempt in range(ATTEMPTS):
                headers = signed(body, int(time.time()))
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with http.post(self.url, data=body, headers=headers) as answer:
                        if answer.status < 300:
                            return
                await asyncio.sleep(0.2 * 2**attempt)
