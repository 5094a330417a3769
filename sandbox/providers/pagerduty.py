"""PagerDuty Events API v2: `POST /v2/enqueue`.

Accepted events are 202 with their `dedup_key`; a bad one is 400 with `status`, `message` and a list
of `errors` (developer.pagerduty.com, "Events API v2").
"""

from __future__ import annotations

import json
import uuid

from sandbox.providers.messages import Incoming
from sandbox.providers.vendor import Answer, Call, JsonObject, mapping, refuses_token

ACTIONS = ("trigger", "acknowledge", "resolve")


class PagerDuty:
    """The one endpoint of the events API."""

    name = "pagerduty"

    def __init__(self) -> None:
        self._events = 0

    def answer(self, call: Call) -> Answer:
        """Take an event, or say which of its fields is wrong."""
        if call.path != "v2/enqueue":
            return Answer(404, {"status": "not found", "message": "Not Found", "errors": []})
        errors = _errors(call.body)
        if errors:
            return Answer(400, _refusal("invalid event", "Event object is invalid", errors))
        return self._accepted(call.body)

    def too_many(self, retry_after: int) -> Answer:
        """429 for a routing key that sends too fast."""
        body = _refusal("throttle exceeded", "Requests for this service are arriving too quickly.", [])
        return Answer(429, body, {"Retry-After": str(retry_after)})

    def broken(self) -> Answer:
        """500 without a usable body."""
        return Answer(500, "<!DOCTYPE html><title>500</title><h1>Internal Server Error</h1>")

    def _accepted(self, body: JsonObject) -> Answer:
        payload = mapping(body.get("payload"))
        dedup_key = str(body.get("dedup_key") or uuid.uuid4().hex)
        self._events += 1
        summary = str(payload.get("summary", ""))
        details = payload.get("custom_details")
        message = Incoming(
            # One dedup key covers several events, so the record needs a number of its own.
            id=f"{dedup_key}#{self._events}",
            to=str(body["routing_key"]),
            subject=f"{body['event_action']}: {summary or dedup_key}",
            text=summary if details is None else f"{summary}\n{json.dumps(details, indent=2)}",
            delivery_id=str(mapping(details).get("delivery_id", "")),
            updates=dedup_key if body["event_action"] != "trigger" else "",
        )
        answer = {"status": "success", "message": "Event processed", "dedup_key": dedup_key}
        return Answer(202, answer, message=message)


def _errors(body: JsonObject) -> list[str]:
    errors = []
    if refuses_token(str(body.get("routing_key", ""))):
        errors.append("'routing_key' is missing or blank")
    action = body.get("event_action")
    if action not in ACTIONS:
        errors.append("'event_action' must be one of trigger, acknowledge or resolve")
    if action == "trigger":
        payload = mapping(body.get("payload"))
        needed = ("summary", "source", "severity")
        errors += [f"'payload.{name}' is missing or blank" for name in needed if not payload.get(name)]
    elif not body.get("dedup_key"):
        errors.append("'dedup_key' is missing or blank")
    return errors


def _refusal(status: str, message: str, errors: list[str]) -> JsonObject:
    return {"status": status, "message": message, "errors": errors}
