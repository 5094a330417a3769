"""What SendGrid reports about our mails: its signed event webhook."""

from __future__ import annotations

import binascii
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from sendgrid.helpers.eventwebhook import EventWebhook

from db.writes.receipts import Receipt, record
from domain.errors import ConfigurationError
from web.bodies import TooLarge, limited_body, refusal
from web.state import Wired

router = APIRouter(tags=["providers"])

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

TOLERANCE_SECONDS = 600
"""A report that was signed longer ago, or in the future, is taken for a replay."""

LARGEST = 4 * 1024 * 1024
"""Bytes. SendGrid sends some hundred kB at most, about a thousand events."""

LONGEST_DETAIL = 300

_DELIVERY = re.compile(r"[0-9a-f]{64}")


class Event(BaseModel):
    """As much of an event as we use; `delivery_id` is our own argument of the mail."""

    sg_event_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    event: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    timestamp: Annotated[int, Field(ge=0, le=32_503_680_000)]
    delivery_id: str
    sg_message_id: Annotated[str, Field(max_length=300)] = ""
    reason: Any = ""
    response: Any = ""
    type: Any = ""

    def receipt(self) -> Receipt:
        """For the database."""
        detail = " ".join(str(part) for part in (self.type, self.reason or self.response) if part)
        return Receipt(
            provider="sendgrid",
            id=self.sg_event_id,
            delivery_id=self.delivery_id,
            event=self.event,
            detail=_one_line(detail),
            # what follows the first dot says which of SendGrid's machines had it
            message_id=_one_line(self.sg_message_id.partition(".")[0]),
            at=datetime.fromtimestamp(self.timestamp, UTC),
        )


_EVENTS = TypeAdapter(list[Event])


def check_key(key: str) -> None:
    """Raise ConfigurationError unless it is the public key that SendGrid shows, or empty."""
    try:
        EventWebhook(key)
    except ValueError as error:
        raise ConfigurationError(
            "MINTKEEPER_SENDGRID_WEBHOOK_KEY is not the verification key that SendGrid shows (base64)"
        ) from error


@router.post("/sendgrid/events", responses={400: {}, 403: {}, 404: {}, 413: {}, 503: {}})
async def events(request: Request, state: Wired) -> JSONResponse:
    """Take a batch of events; doubled, late and unknown ones are harmless."""
    key = state.settings.sendgrid_webhook_key
    if not key:
        return refusal(404, "not_found", "MINTKEEPER_SENDGRID_WEBHOOK_KEY is not set")
    try:
        body = await limited_body(request, LARGEST)
    except TooLarge:
        return refusal(413, "too_large", f"a batch may have {LARGEST} bytes")
    if not _is_authentic(key, body, request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")):
        return refusal(403, "forged", "the batch was not signed by SendGrid within the last ten minutes")
    try:
        batch = _EVENTS.validate_python(_ours(body))
    except (ValueError, ValidationError):
        return refusal(400, "invalid_input", "the batch is no JSON list of events")
    async with state.database.transaction() as tx:
        new = await record(tx, [event.receipt() for event in batch])
    return JSONResponse({"events": len(batch), "new": new})


def _is_authentic(key: str, body: bytes, signature: str, timestamp: str) -> bool:
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    try:
        verified: bool = EventWebhook(key).verify_signature(body.decode(), signature, timestamp)
    except (UnicodeDecodeError, binascii.Error, ValueError):
        return False
    return verified


def _ours(body: bytes) -> list[Any]:
    """The events of our mails: other programs may send with the same account. Raises ValueError."""
    batch = TypeAdapter(list[dict[str, Any]]).validate_json(body)
    return [event for event in batch if _DELIVERY.fullmatch(str(event.get("delivery_id", "")))]


def _one_line(words: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:LONGEST_DETAIL]
