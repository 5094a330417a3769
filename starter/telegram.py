"""Buttons of messages in Telegram: who pressed which, and telling them what came of it."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from db import reads
from db.session import Database
from domain.ack import AckClaim, AckRefusal, Authority
from domain.errors import AckRefused
from starter.acks import Connect, acknowledge, subject_of

log = logging.getLogger("mintkeeper.telegram")

LONGEST_NOTE = 200
"""Characters that Telegram shows."""

PATIENCE_SECONDS = 5.0

_HANDLE = re.compile(r"[0-9a-f]{16,60}")

UNKNOWN = "This button is not known here any more."
LEFT = "Received: it takes effect as soon as a worker runs."


async def press(
    connect: Connect, database: Database, authority: Authority, handle: str, telegram_user: str
) -> str:
    """Acknowledge for whoever pressed a button; answers what to tell them. Raises Unavailable.

    In their own name when their Telegram account is that of a user who may speak for themselves, else in
    the name of the group, as the link in the message does. Pressed again, or by the next one, it answers
    the same.
    """
    try:
        token = await _token(database, authority, handle, telegram_user)
        if token is None:
            return UNKNOWN
        receipt = await acknowledge(connect, database, authority, token)
    except AckRefused as refusal:
        return f"Not recorded: {refusal.message}"
    return LEFT if receipt is None else f"{receipt.acknowledged_by} is on it. This approves nothing."


async def _token(database: Database, authority: Authority, handle: str, telegram_user: str) -> str | None:
    """A token such as the link of the same message has, with who pressed the button; None: no such button."""
    if not _HANDLE.fullmatch(handle):
        # a member's own program can press anything; Telegram would repeat for ever what we refuse
        return None
    now = datetime.now(UTC)
    async with database.transaction() as tx:
        pressed = await reads.button(tx, handle)
        if pressed is None:
            return None
        record = await reads.request(tx, pressed.request_id)
        if record is None:
            raise AckRefused("this button belongs to no request of ours", AckRefusal.WRONG_REQUEST)
        subject = await subject_of(tx, record, pressed.run_id, now)
        by = await reads.pressed_by(tx, pressed, telegram_user)
    return authority.issue(AckClaim.for_button(subject, pressed, by, now))


async def tell(base_url: str, bot_token: str, query_id: str, note: str) -> None:
    """Show a note to whoever pressed; that they can't see it changes nothing of what was recorded."""
    url = f"{base_url.rstrip('/')}/bot{quote(bot_token, safe=':')}/answerCallbackQuery"
    body = {"callback_query_id": query_id, "text": note[:LONGEST_NOTE]}
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            status = (await http.post(url, json=body)).status_code
    except httpx.HTTPError as error:
        # its text may hold the URL, and that the token
        log.warning("Telegram could not be told of a pressed button: %s", type(error).__name__)
        return
    if status != httpx.codes.OK:
        log.warning("Telegram could not be told of a pressed button: it answered %d", status)
