"""One-time codes: sent, tried, used up, and removed when nothing can depend on them any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from db.session import Transaction
from db.writes import audit
from db.writes.letters import Letter, Notice
from db.writes.routing import Routing, routing
from db.writes.steps import announce, announcement_statement
from db.writes.talk import active_person
from domain.codes import (
    KEPT,
    LIFETIME,
    MOST_PER_HOUR,
    MOST_TRIES,
    CodePurpose,
    code_of,
    hash_of,
    is_right,
    new_code_id,
    readable,
)
from domain.errors import AccessRefused, Refused
from domain.passes import AccessRefusal, SessionSecret
from domain.records import RequestRecord

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:of, 0))")
_LATELY = text("""
SELECT count(*) FROM one_time_codes
WHERE request_id = :request_id AND purpose = :purpose AND recipient = :recipient AND created_at > :since
""")
# the newest is the only one that counts: whoever asks again has lost the one before
_ISSUE = announcement_statement(
    """older AS (
    UPDATE one_time_codes o SET expires_at = :at FROM found
    WHERE o.request_id = found.request_id AND o.purpose = :purpose AND o.recipient = :code_recipient
        AND o.used_at IS NULL AND o.expires_at > :at
    RETURNING o.id)""",
    """issued AS (
    INSERT INTO one_time_codes (id, tenant, request_id, purpose, recipient, code_hash, created_at, expires_at)
    SELECT :code_id, :tenant, request_id, :purpose, :code_recipient, :code_hash, :at, :code_expires_at
    -- asked for, so that codes are always held before the audit chain
    FROM found WHERE (SELECT count(*) FROM older) >= 0
    RETURNING request_id)""",
    source="issued",
)
# the row is held from the count of the try until the transaction ends: parallel tries wait for each other;
# what has ended is passed by, since another server's clock may have dated it after the newest
_TRY = text("""
UPDATE one_time_codes SET tries = tries + 1
WHERE id = (SELECT id FROM one_time_codes WHERE request_id = :request_id AND purpose = :purpose
        AND recipient = :recipient AND expires_at > :at ORDER BY created_at DESC, id DESC LIMIT 1)
    AND used_at IS NULL AND expires_at > :at AND tries < :most
RETURNING id, tenant, code_hash
""")
_USE = text("UPDATE one_time_codes SET used_at = :at WHERE id = :id")
_BIND = text("""
UPDATE one_time_codes SET decision_id = :decision_id
WHERE id = (SELECT id FROM one_time_codes WHERE request_id = :request_id AND purpose = 'step-up'
    AND recipient = :recipient AND used_at > :since AND decision_id IS NULL
    ORDER BY used_at DESC LIMIT 1 FOR UPDATE)
RETURNING id
""")
_REMOVE = text("""
WITH gone AS (
    DELETE FROM one_time_codes WHERE id IN (
        SELECT id FROM one_time_codes WHERE expires_at < :before LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING id
)
SELECT count(*) FROM gone
""")
_TELEGRAM_CHAT = text("SELECT telegram_chat FROM users WHERE tenant = :tenant AND name = :name")


async def send_code(
    tx: Transaction,
    *,
    record: RequestRecord,
    purpose: CodePurpose,
    recipient: str,
    secret: SessionSecret,
    at: datetime,
) -> str:
    """Make a code for the user `recipient` and send it to them; answers its id. Hold the request's row.

    Codes of the same kind before it die. Raises NotFound or InvalidInput for the user, and Refused when
    they can't be reached or had MOST_PER_HOUR of them within the hour.
    """
    request = record.request
    of = {"request_id": request.id, "purpose": purpose, "recipient": recipient}
    await tx.run(_LOCK, {"of": "/".join(("otc", *of.values()))})
    await _check_rate(tx, of, at)
    code_id = new_code_id()
    letter = Letter(
        record, await routing(tx, request), at, f"code_{purpose.name.lower()}", f"code:{code_id}", urgent=True
    )
    notice = await _notice(tx, letter, letter.routing, recipient)
    await announce(
        tx,
        record=record,
        step=f"code:{code_id}",
        kind="code.sent",
        actor=recipient,
        at=at,
        details={"codeId": code_id, "purpose": purpose, "recipient": recipient, "channel": notice.channel},
        notices=[notice],
        statement=_ISSUE,
        extra={
            "code_id": code_id,
            "purpose": purpose,
            "code_recipient": recipient,
            "code_hash": hash_of(secret, code_id, code_of(secret, code_id)),
            "code_expires_at": at + LIFETIME,
        },
        facts={"code_id": code_id, "code_expires_at": (at + LIFETIME).isoformat()},
    )
    return code_id


async def _check_rate(tx: Transaction, of: dict[str, Any], at: datetime) -> None:
    lately = int(await tx.value(_LATELY, {**of, "since": at - timedelta(hours=1)}) or 0)
    if lately >= MOST_PER_HOUR:
        raise Refused(f"{MOST_PER_HOUR} codes were sent within the last hour: wait before asking for another")


async def _notice(tx: Transaction, letter: Letter, channels: Routing, recipient: str) -> Notice:
    """By email, else into the user's own Telegram chat: a code goes to one person."""
    tenant = letter.record.request.tenant
    person = await active_person(tx, tenant, recipient)
    email, telegram = channels.first("email"), channels.first("telegram")
    if email and person.email:
        return letter.by_email(email, [person])[0]
    chat = await tx.value(_TELEGRAM_CHAT, {"tenant": tenant, "name": recipient})
    if telegram and chat:
        return letter.to_group(telegram, str(chat))
    raise Refused(
        f"no code can be sent to {recipient}: set an email address (and an email channel) or a Telegram chat"
    )


async def use_code(
    tx: Transaction,
    *,
    request_id: str,
    purpose: CodePurpose,
    recipient: str,
    typed: str,
    secret: SessionSecret,
    at: datetime,
) -> bool:
    """Count a try of the newest code, and use it up if it is right; answers whether it is.

    Give it a transaction of its own, and commit it whatever the answer: a try counts.
    """
    of = {"request_id": request_id, "purpose": purpose, "recipient": recipient}
    found = await tx.row(_TRY, {**of, "at": at, "most": MOST_TRIES})
    code = readable(typed)
    if found is None or code is None or not is_right(secret, found.id, found.code_hash, code):
        return False
    await tx.run(_USE, {"id": found.id, "at": at})
    await audit.append(
        tx,
        tenant=found.tenant,
        request_id=request_id,
        step=f"code-used:{found.id}",
        kind="code.used",
        actor=recipient,
        at=at,
        details={"codeId": found.id, "purpose": purpose},
    )
    return True


def wrong_code() -> AccessRefused:
    """The one answer to every code that is not right, whatever is wrong with it."""
    return AccessRefused(
        "the code is not right, or not good any more: ask for a new one", AccessRefusal.WRONG_CODE
    )


async def bind_step_up(
    tx: Transaction, *, request_id: str, approver: str, decision_id: str, now: datetime
) -> bool:
    """Let a step-up code that the approver used within LIFETIME stand for one decision; answers whether."""
    params = {"request_id": request_id, "recipient": approver, "decision_id": decision_id}
    return await tx.value(_BIND, {**params, "since": now - LIFETIME}) is not None


async def remove_ended(tx: Transaction, *, now: datetime, limit: int) -> int:
    """Remove codes that ended KEPT ago: no decision can need them any more. Answers how many."""
    return int(await tx.value(_REMOVE, {"before": now - KEPT, "limit": limit}) or 0)
