"""A receiver of webhooks that are signed as Standard Webhooks says: `POST /webhook/<name>`.

It knows the specification and nothing of the library that mintkeeper signs with. A name that contains
`unknown` is not there, one that contains `gone` wants no more messages, one that contains `moved`
points elsewhere (standardwebhooks.com, "Signature scheme", "Operational considerations").
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from sandbox.providers.messages import Incoming
from sandbox.providers.vendor import Answer, Call, first_line, mapping, refuses_target

SECRET = "whsec_" + base64.b64encode(hashlib.sha256(b"the sandbox's webhook secret").digest()).decode()
"""What the receiver believes; it protects nothing."""

TOLERANCE = 300
"""Seconds by which a message's time may differ from ours."""


class Webhook:
    """One receiver at every name; a repeated `webhook-id` is another message of the same delivery."""

    name = "webhook"

    def __init__(self) -> None:
        self._received = 0

    def answer(self, call: Call) -> Answer:
        """Take a message that is signed with SECRET, and no other."""
        if refuses_target(call.path):
            return Answer(404, {"error": "not found"})
        if "gone" in call.path:
            return Answer(410, {"error": "gone"})
        if "moved" in call.path:
            return Answer(302, None, {"Location": "/webhook/elsewhere"})
        problem = _problem(call)
        return Answer(401, {"error": problem}) if problem else self._accepted(call)

    def too_many(self, retry_after: int) -> Answer:
        """429 with the common header."""
        return Answer(429, {"error": "too many requests"}, {"Retry-After": str(retry_after)})

    def broken(self) -> Answer:
        """500 without a usable body."""
        return Answer(500, "<!DOCTYPE html><title>500</title><h1>Internal Server Error</h1>")

    def _accepted(self, call: Call) -> Answer:
        self._received += 1
        data = mapping(call.body.get("data"))
        text = str(data.get("text", ""))
        message = Incoming(
            id=str(self._received),
            to=call.path,
            subject=str(data.get("subject") or first_line(text)),
            text=text,
            delivery_id=call.headers["webhook-id"],
        )
        return Answer(204, None, message=message)


def _problem(call: Call) -> str:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, at, signatures = (call.headers.get(name, "") for name in names)
    if not (message_id and at.isdecimal() and signatures):
        return "a header of Standard Webhooks is missing"
    if abs(time.time() - int(at)) > TOLERANCE:
        return "the message is too old or too new"
    signed = f"{message_id}.{at}.".encode() + call.raw
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    offered = signatures.split(" ")
    return "" if any(hmac.compare_digest(expected, one) for one in offered) else "the signature is wrong"
