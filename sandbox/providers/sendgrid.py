"""Twilio SendGrid v3: `POST /v3/mail/send`.

Success is 202 with an empty body and `X-Message-Id`; every error is a list of
`{message, field, help}` (twilio.com/docs/sendgrid/api-reference, "Rate Limits" and "Mail Send").
"""

from __future__ import annotations

import time
import uuid

from sandbox.providers.messages import Incoming
from sandbox.providers.vendor import Answer, Call, JsonObject, items, mapping, refuses_target, refuses_token


class SendGrid:
    """The one endpoint that mintkeeper's client calls."""

    name = "sendgrid"

    def answer(self, call: Call) -> Answer:
        """Accept a mail, or refuse it with the provider's own wording."""
        if call.path != "v3/mail/send":
            return _refused(404, "not found", None)
        if refuses_token(call.token):
            return _refused(401, "The provided authorization grant is invalid, expired, or revoked", None)
        return _missing(call.body) or _accepted(call.body)

    def too_many(self, retry_after: int) -> Answer:
        """429; SendGrid's own header names the moment when the limit is reset, in Unix seconds."""
        headers = {
            "Retry-After": str(retry_after),
            "X-RateLimit-Limit": "600",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(time.time()) + retry_after),
        }
        return Answer(429, _errors("too many requests", None), headers)

    def broken(self) -> Answer:
        """500 in the shape of all other errors."""
        return Answer(500, _errors("Internal Server Error", None))


def _recipients(body: JsonObject) -> list[str]:
    groups = items(body.get("personalizations"))
    return [str(mapping(to).get("email", "")) for group in groups for to in items(mapping(group).get("to"))]


def _missing(body: JsonObject) -> Answer | None:
    recipients = _recipients(body)
    if not recipients:
        message = "The personalizations field is required and must have at least one personalization."
        return _refused(400, message, "personalizations")
    for address in recipients:
        if "@" not in address or refuses_target(address):
            return _refused(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
    if "@" not in str(mapping(body.get("from")).get("email", "")):
        return _refused(400, "The from email does not contain a valid address.", "from.email")
    if not body.get("subject"):
        return _refused(400, "The subject is required.", "subject")
    if not items(body.get("content")):
        return _refused(400, "The content is required.", "content")
    return None


def _accepted(body: JsonObject) -> Answer:
    contents = {str(mapping(part).get("type")): mapping(part) for part in items(body.get("content"))}
    text = contents.get("text/plain", next(iter(contents.values())))
    custom = mapping(mapping(items(body.get("personalizations"))[0]).get("custom_args"))
    message = Incoming(
        id=uuid.uuid4().hex[:22],
        to=", ".join(_recipients(body)),
        subject=str(body["subject"]),
        text=str(text.get("value", "")),
        delivery_id=str(custom.get("delivery_id", "")),
    )
    return Answer(202, None, {"X-Message-Id": message.id}, message)


def _refused(status: int, message: str, field: str | None) -> Answer:
    return Answer(status, _errors(message, field))


def _errors(message: str, field: str | None) -> JsonObject:
    return {"errors": [{"message": message, "field": field, "help": None}]}
