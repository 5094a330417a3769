"""What a provider says in an error is kept as one plain line: it stops nothing else."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer

from activities.notifications.channels import ChannelSettings, build_channels
from activities.notifications.letter import Links
from activities.notifications.revising import Reviser
from tests.notifications.test_revising import outbox
from tests.support.outbox import PATIENCE

__all__ = ["outbox"]


async def test_words_that_can_not_be_stored_keep_no_other_message_from_its_update(outbox):
    """Slack's error for one message holds a NUL; the other one of the batch is brought up to date."""

    async def update(request: web.Request) -> web.Response:
        said = await request.json()
        if said["ts"] == "1":
            return web.json_response({"ok": False, "error": "no\x00such"})
        return web.json_response({"ok": True, "ts": "2", "channel": "C1"})

    app = web.Application()
    app.router.add_post("/api/chat.update", update)
    requests = await outbox.open(2)
    await outbox.run(
        "UPDATE deliveries SET state = 'accepted', accepted_at = now(), next_attempt_at = NULL, "
        "provider_id = 'C1:' || CASE WHEN request_id = (SELECT min(id) FROM mint_requests) THEN '1' "
        "ELSE '2' END WHERE channel_kind = 'slack'"
    )
    for request in requests:
        await outbox.cancel(request)
    await outbox.run("UPDATE deliveries SET revise_at = now() WHERE revise_at IS NOT NULL")
    async with TestServer(app) as server:
        settings = ChannelSettings(slack_bot_token="xoxb", slack_base_url=str(server.make_url("/api/")))
        channels = build_channels(settings)
        outbox.clients += channels.values()
        links = Links("", "", "default")
        async with Reviser(outbox.database, channels, links).running(), asyncio.timeout(PATIENCE):
            while any(row.revise_at for row in await outbox.rows()):
                await asyncio.sleep(0.05)
    rows = sorted(await outbox.rows(), key=lambda row: row.provider_id)
    assert "not brought up to date" in rows[0].note
    assert rows[1].revised_at is not None
