"""An outbox whose tenant and people have quiet hours."""

import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from db import reads
from db.writes import dictionaries
from db.writes.requests import run_stage
from domain.quiet_hours import DAYS, QuietHours
from sandbox.providers import running_providers
from tests.support.outbox import Outbox

HOUR = timedelta(hours=1)
LINK = re.compile(r"http://127\.0\.0\.1:8080/acks/([A-Za-z0-9_-]+)")
COLUMNS = "SELECT * FROM deliveries WHERE channel_kind = '{}' ORDER BY recipient, id"


@pytest.fixture
async def outbox(seeded):
    """An outbox of a tenant whose quiet hours have begun an hour ago and last another two."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        await quiet(opened, around_now())
        yield opened
        await opened.close()


def around(moment, begin=-HOUR, end=2 * HOUR):
    """Quiet hours relative to a moment, every day."""
    times = {"from": f"{moment + begin:%H:%M}", "to": f"{moment + end:%H:%M}"}
    return QuietHours.parse([{"days": list(DAYS), **times, "zone": "UTC"}])


def around_now(begin=-HOUR, end=2 * HOUR):
    """Quiet hours relative to now, every day."""
    return around(datetime.now(UTC), begin, end)


async def quiet(outbox, hours, *users):
    """Set the tenant's quiet hours, or those of users."""
    by = {"tenant": "acme", "hours": hours, "actor": "adam", "at": datetime.now(UTC)}
    async with outbox.database.transaction() as tx:
        for user in users:
            await dictionaries.set_user_quiet_hours(tx, name=user, **by)
        if not users:
            await dictionaries.set_tenant_quiet_hours(tx, **by)


async def rows_of(outbox, kind):
    """The rows of a kind of channel."""
    async with outbox.database.transaction() as tx:
        return (await tx.execute(text(COLUMNS.format(kind)))).all()


def notes(rows):
    """What the rows say beside the quiet hours that they waited for."""
    assert all(row.note.startswith("quiet hours until ") for row in rows)
    return {row.note.partition("; ")[2] for row in rows}


async def remind(outbox, request, at=None):
    """The reminder is due; it goes to Slack and by email to tiers 1 and 2."""
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        at = at or datetime.now(UTC)
        await run_stage(tx, record=record, stage=1, due_at=at, at=at)


async def morning(outbox):
    """Let the window be over: the same moment for all that wait."""
    await outbox.run("UPDATE deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
    await outbox.run("NOTIFY mintkeeper_deliveries")


def everywhere(outbox):
    """Channels that all lead to the provider console."""
    return outbox.channels(
        sendgrid_api_key="SG.local",
        sendgrid_host=f"{outbox.url}/sendgrid",
        email_from="mint@acme.example",
        telegram_bot_token="1:local",
        telegram_base_url=f"{outbox.url}/telegram",
    )
