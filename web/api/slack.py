"""What Slack tells us: somebody pressed a button of a message, or sent a modal off."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from slack_sdk.signature import SignatureVerifier

from domain.errors import InvalidInput
from domain.slack import REASON, Interaction, Origin, ViewSubmission, interactions
from web.bodies import TooLarge, limited_body, refusal
from web.slack import ACTIONS, press, reason_problem, send_reason, tell_late
from web.state import State, Wired

router = APIRouter(tags=["providers"])

LARGEST = 512 * 1024
"""Bytes; an interaction repeats its message, and has some 20 kB."""

ANSWER_SECONDS = 2.5
"""Slack gives up after 3; what takes longer goes on and is told beside the message."""

_TYPES = frozenset({"block_actions", "view_submission"})


@router.post("/slack/interactions", responses={400: {}, 403: {}, 404: {}, 413: {}})
async def interact(request: Request, state: Wired) -> Response:
    """Take one interaction; the same one again is the same decision."""
    secret = state.settings.slack_signing_secret
    if not secret:
        return refusal(404, "not_found", "MINTKEEPER_SLACK_SIGNING_SECRET is not set")
    try:
        raw = await limited_body(request, LARGEST)
    except TooLarge:
        return refusal(413, "too_large", f"an interaction may have {LARGEST} bytes")
    if not is_signed(secret, raw, request):
        return refusal(403, "forged", "this was not signed by Slack within the last five minutes")
    try:
        interaction = _read(raw)
    except (ValueError, RecursionError, InvalidInput):
        return refusal(400, "invalid_input", "this is no interaction of Slack's")
    if isinstance(interaction, ViewSubmission):
        return await _sent_off(state, interaction)
    if interaction is not None and interaction.actions[0].action_id in ACTIONS:
        await state.background.within(press(state, interaction), ANSWER_SECONDS)
    return Response()


def is_signed(secret: str, raw: bytes, request: Request) -> bool:
    """Tell whether Slack signed these very bytes, and lately (docs.slack.dev, "Verifying requests")."""
    timestamp = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 20 and signature.isascii()):
        return False
    try:
        return SignatureVerifier(secret).is_valid(raw, timestamp, signature)
    except UnicodeDecodeError:
        return False


def _read(raw: bytes) -> Interaction | None:
    """The interaction; None: one of another type. Raises ValueError, InvalidInput."""
    [payload] = parse_qs(raw.decode(), strict_parsing=True, max_num_fields=10).get("payload", [])
    document: Any = json.loads(payload)
    kind = document["type"] if isinstance(document, dict) and "type" in document else ""
    if not (isinstance(kind, str) and kind):
        raise InvalidInput("an interaction has a type")
    return interactions.validate_python(document) if kind in _TYPES else None


async def _sent_off(state: State, event: ViewSubmission) -> Response:
    """Close the modal, or keep it open with what is wrong."""
    if event.view.callback_id != REASON:
        return Response()
    try:
        origin = Origin.model_validate_json(event.view.private_metadata)
    except ValidationError:
        return refusal(400, "invalid_input", "this is no modal of ours")
    problem = reason_problem(event.view.reason)
    if not problem:
        work, late = send_reason(state, event, origin), tell_late(state, event, origin)
        problem = await state.background.within(work, ANSWER_SECONDS, late) or ""
    return JSONResponse({"response_action": "errors", "errors": {REASON: problem}}) if problem else Response()
