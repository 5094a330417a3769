"""What Telegram tells us: somebody pressed the button of a message."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from starter.telegram import press, tell
from starter.temporal import connect
from web.bodies import TooLarge, limited_body, refusal
from web.pages.acks import authority_of
from web.state import Wired

router = APIRouter(tags=["providers"])

SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the name of a header

LARGEST = 1024 * 1024
"""Bytes; an update has a few kB."""

REAL = "https://api.telegram.org"


class User(BaseModel):
    """Who pressed."""

    id: int


class CallbackQuery(BaseModel):
    """The press of a button."""

    model_config = ConfigDict(populate_by_name=True)

    id: Annotated[str, Field(min_length=1, max_length=200)]
    sender: Annotated[User, Field(alias="from")]
    data: Annotated[str, Field(max_length=64)] = ""


class Update(BaseModel):
    """As much of an update as we use; every other kind of it is none of our business."""

    update_id: int
    callback_query: CallbackQuery | None = None


@router.post("/telegram/updates", responses={400: {}, 403: {}, 404: {}, 413: {}, 503: {}})
async def updates(request: Request, state: Wired) -> JSONResponse:
    """Take one update; Telegram repeats it until it hears 200, which is harmless."""
    secret = state.settings.telegram_webhook_secret
    if not secret:
        return refusal(404, "not_found", "MINTKEEPER_TELEGRAM_WEBHOOK_SECRET is not set")
    if not hmac.compare_digest(request.headers.get(SECRET, "").encode(), secret.encode()):
        return refusal(403, "forged", "the update does not carry the webhook's secret")
    try:
        update = Update.model_validate_json(await limited_body(request, LARGEST))
    except TooLarge:
        return refusal(413, "too_large", f"an update may have {LARGEST} bytes")
    except ValidationError:
        return refusal(400, "invalid_input", "this is no update of Telegram's")
    if update.callback_query is None:
        return JSONResponse({"ignored": True})
    return JSONResponse(await _pressed(state, update.callback_query))


async def _pressed(state: Wired, query: CallbackQuery) -> dict[str, Any]:
    note = await press(connect, state.database, authority_of(state), query.data, str(query.sender.id))
    settings = state.settings
    await tell(settings.telegram_base_url or REAL, settings.telegram_bot_token, query.id, note)
    return {"told": note}
