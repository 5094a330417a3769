"""A request with a client and a desk around it, and what they are told."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db import reads
from db.writes import codes, conversation
from domain.codes import CodePurpose, code_of
from domain.passes import SessionSecret
from tests.db.factories import open_one

SECRET_TEXT = "a-session-secret-for-tests-0123456789abcdef"
SECRET = SessionSecret(SECRET_TEXT)


async def an_open(database, **changes):
    """A request that has just been opened."""
    async with database.transaction() as tx:
        return await open_one(tx, **{"at": datetime.now(UTC), **changes})


async def held(tx, record):
    """The request as it stands, held."""
    return await reads.lock_request(tx, record.request.id)


async def say(database, record, author="rita", said="hello", message_id="ms_1", at=None):
    """Say something in a transaction of its own."""
    async with database.transaction() as tx:
        return await conversation.say(
            tx,
            record=await held(tx, record),
            author=author,
            text=said,
            message_id=message_id,
            at=at or datetime.now(UTC),
        )


async def send_code(database, record, recipient="rita", purpose=CodePurpose.TRACK, at=None, secret=SECRET):
    """Send a code; answers its id and what the recipient reads."""
    async with database.transaction() as tx:
        code_id = await codes.send_code(
            tx,
            record=await held(tx, record),
            purpose=purpose,
            recipient=recipient,
            secret=secret,
            at=at or datetime.now(UTC),
        )
    return code_id, code_of(secret, code_id)


async def use_code(database, record, typed, recipient="rita", purpose=CodePurpose.TRACK, at=None):
    """Try a code."""
    async with database.transaction() as tx:
        return await codes.use_code(
            tx,
            request_id=record.request.id,
            purpose=purpose,
            recipient=recipient,
            typed=typed,
            secret=SECRET,
            at=at or datetime.now(UTC),
        )


def wrong(code):
    """Another code than this one."""
    return f"{(int(code) + 1) % 1_000_000:06}"


async def told(database, record, *kinds):
    """Who is told what: (letter, channel kind, recipient) each, sorted."""
    rows = await all_rows(
        database,
        "SELECT kind, channel_kind, recipient FROM deliveries WHERE request_id = :id",
        id=record.request.id,
    )
    return sorted(tuple(row) for row in rows if row.kind in kinds)


async def inbox(database, record, event):
    """The in-app messages of an event: (recipient's kind, recipient, body) each."""
    rows = await all_rows(
        database,
        "SELECT recipient_kind, recipient, body FROM notifications WHERE request_id = :id AND event = :event "
        "ORDER BY recipient",
        id=record.request.id,
        event=event,
    )
    return [tuple(row) for row in rows]


async def all_rows(database, query, **params):
    """Every row of a query."""
    async with database.transaction() as tx:
        return (await tx.execute(text(query), params)).all()


async def run(database, statement, **params):
    """Run a statement."""
    async with database.transaction() as tx:
        await tx.execute(text(statement), params)


def ago(**delta):
    """So long before now."""
    return datetime.now(UTC) - timedelta(**delta)
