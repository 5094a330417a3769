"""One-time codes where they must not be: with a provider's echo, at an old address, after another clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from activities.notifications.channels import ChannelSettings, build_channels
from db.writes import dictionaries
from domain.codes import CodePurpose
from domain.passes import PassPurpose, check_pass, issue_pass, open_secret
from tests.notifications.test_talk_messages import mailing, outbox, until
from tests.support.outbox import PATIENCE
from tests.support.talk import SECRET, all_rows, an_open, run, send_code, use_code

__all__ = ["outbox"]

FAILED = "SELECT error FROM deliveries WHERE kind = 'code_track' AND error <> ''"
SKIPPED = "SELECT 1 FROM deliveries WHERE kind = 'code_track' AND state = 'skipped'"


async def only_telegram(db):
    """The client has no address but a Telegram chat."""
    async with db.transaction() as tx:
        await dictionaries.set_channel(
            tx, tenant="acme", name="tg", kind="telegram", settings={"chat_id": "-100"}, actor="t",
            at=datetime.now(UTC),
        )  # fmt: skip
    await run(db, "UPDATE users SET email = NULL, telegram_chat = '4711' WHERE name = 'rita'")


@pytest.mark.parametrize("status", [400, 500])
async def test_a_provider_that_repeats_the_message_in_its_error_puts_no_code_into_the_ledger(outbox, status):
    """Neither the delivery nor its attempts nor anything else in the database holds the digits."""

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "description": (await request.json())["text"]}, status=status)

    app = web.Application()
    app.router.add_post("/{bot}/sendMessage", refuse)
    db, record = outbox.database, await an_open(outbox.database)
    await only_telegram(db)
    _, code = await send_code(db, record, purpose=CodePurpose.TRACK)
    async with TestServer(app) as server:
        channels = build_channels(
            ChannelSettings(telegram_bot_token="1:a", telegram_base_url=str(server.make_url("/")).rstrip("/"))
        )
        outbox.clients += channels.values()
        async with outbox.relay(channels, secret=SECRET).running(), asyncio.timeout(PATIENCE):
            while not (rows := await all_rows(db, FAILED)):
                await asyncio.sleep(0.05)
    assert f"Telegram answered {status}" in rows[0].error
    assert code not in rows[0].error
    for row in await all_rows(db, "SELECT detail FROM delivery_attempts"):
        assert code not in row.detail


@pytest.mark.parametrize(
    "change",
    ["UPDATE users SET email = 'new@acme.example' WHERE name = 'rita'", "UPDATE users SET email = NULL"],
)
async def test_a_code_does_not_go_to_an_address_that_was_changed_since(outbox, change):
    """Somebody else may read the old one; a new code goes to the new one."""
    db = outbox.database
    await send_code(db, await an_open(db))
    await run(db, change)
    async with mailing(outbox).running():
        [row] = await until(outbox, "skipped", "code_track")
    assert "address" in row.note


@pytest.mark.parametrize(
    "change", ["UPDATE users SET telegram_chat = '9'", "UPDATE users SET active = false WHERE name = 'rita'"]
)
async def test_nor_into_a_chat_that_was_changed_or_whose_owner_has_left(outbox, change):
    """The Telegram chat of a person is an address as well."""
    db = outbox.database
    await only_telegram(db)
    await send_code(db, await an_open(db))
    await run(db, change)
    async with mailing(outbox).running(), asyncio.timeout(PATIENCE):
        while not (rows := await all_rows(db, SKIPPED)):
            await asyncio.sleep(0.05)
    assert len(rows) == 1


async def test_the_newest_code_counts_also_when_it_came_from_a_clock_that_is_behind(seeded):
    """Two web servers, three seconds apart: the code that was sent last is good, the first one dead."""
    db, now = seeded.database, datetime.now(UTC)
    record = await an_open(db)
    _, first = await send_code(db, record, at=now)
    _, second = await send_code(db, record, at=now - timedelta(seconds=3))
    assert not await use_code(db, record, first, at=now + timedelta(seconds=1))
    assert await use_code(db, record, second, at=now + timedelta(seconds=1))


def test_a_secret_of_any_bytes_is_a_secret():
    """The environment may hold bytes that are no UTF-8."""
    secret, now = open_secret(b"\xff\xfe".decode("utf-8", "surrogateescape") * 16), datetime.now(UTC)
    token = issue_pass(secret, PassPurpose.TRACK, "mr_1", now + timedelta(minutes=1))
    check_pass(secret, token, purpose=PassPurpose.TRACK, subject="mr_1", now=now)
