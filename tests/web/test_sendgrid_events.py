"""`POST /sendgrid/events`: what SendGrid reports of our mails, believed only with its signature."""

import asyncio
import json
import time
from datetime import UTC, datetime

import aiohttp
import httpx
import pytest
from sqlalchemy import text

from db.writes import deliveries
from domain.errors import ConfigurationError
from sandbox.providers import running_providers
from sandbox.providers.events import PUBLIC_KEY, signed
from tests.support.outbox import PATIENCE, Outbox
from tests.web.test_acks import running, settings_of
from web.app import create_app

PATH = "/sendgrid/events"


@pytest.fixture
async def outbox(seeded):
    """An outbox whose stages tell people by email, and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


@pytest.fixture
async def web(seeded):
    """A client of a real web server that believes the sandbox's SendGrid."""
    settings = settings_of(seeded, authority="").model_copy(update={"sendgrid_webhook_key": PUBLIC_KEY})
    async for url in running(settings):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


@pytest.fixture
async def mail(outbox):
    """A delivery by email of a stage, taken by its provider."""
    [request] = await outbox.open()
    await outbox.run(
        "UPDATE deliveries SET channel = 'email', channel_kind = 'email', target = 'alice@acme.example', "
        "recipient = 'alice', state = 'accepted', accepted_at = now(), attempt = 1, next_attempt_at = NULL "
        "WHERE channel_kind = 'slack'"
    )
    return await row_of(outbox, request.id)


async def row_of(outbox, request_id):
    """The request's delivery by email."""
    async with outbox.database.transaction() as tx:
        found = await tx.execute(
            text("SELECT * FROM deliveries WHERE channel_kind = 'email' AND request_id = :id"),
            {"id": request_id},
        )
        return found.one()


def event(mail, kind, number=1, at=0, **more):
    """One event, `at` seconds after the test began."""
    return {
        "event": kind,
        "sg_event_id": f"event-{number}",
        "timestamp": int(time.time()) + at,
        "sg_message_id": "abc.filter-1",
        "delivery_id": mail.id,
        "email": "alice@acme.example",
    } | more


async def post(web, events, *, age=0, **changed):
    """Send a batch as SendGrid does, with changes to its headers."""
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    return await web.post(PATH, content=body, headers=signed(body, int(time.time()) - age) | changed)


async def receipts(outbox):
    """Every report that is kept."""
    async with outbox.database.transaction() as tx:
        found = await tx.execute(text("SELECT id, event, detail FROM provider_receipts ORDER BY id"))
        return [tuple(row) for row in found]


async def test_a_mail_that_arrived_is_delivered(outbox, web, mail):
    """`processed` and `deferred` are kept and change nothing; `delivered` does, once."""
    answer = await post(web, [event(mail, "processed", 1), event(mail, "deferred", 2)])
    assert (answer.status_code, answer.json()) == (200, {"events": 2, "new": 2})
    assert (await row_of(outbox, mail.request_id)).state == "accepted"
    for new in (1, 0):
        answer = await post(web, [event(mail, "delivered", 3, response="250 OK")])
        assert (answer.status_code, answer.json()["new"]) == (200, new)
    row = await row_of(outbox, mail.request_id)
    assert (row.state, row.delivered_at is not None, row.provider_id) == ("delivered", True, "abc")
    assert [found[1] for found in await receipts(outbox)] == ["processed", "deferred", "delivered"]


@pytest.mark.parametrize("kind", ["bounce", "dropped"])
async def test_a_lost_mail_is_dead_and_another_channel_takes_its_place(outbox, web, mail, kind):
    """With the provider's reason; the relay sends the message over the stage's next channel."""
    await post(web, [event(mail, kind, reason="550 no such user")])
    row = await row_of(outbox, mail.request_id)
    assert (row.state, row.error) == ("dead", f"sendgrid reports {kind}: 550 no such user")
    async with outbox.relay().running():
        async with asyncio.timeout(PATIENCE):
            while not (found := await substitutes(outbox, mail)):
                await asyncio.sleep(0.05)
    assert [one.recipient for one in found] == ["alice"] or found[0].channel != "email"
    assert (await row_of_id(outbox, mail.id)).replace_at is None


async def substitutes(outbox, mail):
    """What took the place of a delivery."""
    async with outbox.database.transaction() as tx:
        found = await tx.execute(text("SELECT * FROM deliveries WHERE fallback_of = :id"), {"id": mail.id})
        return found.all()


async def row_of_id(outbox, id):
    """One delivery."""
    async with outbox.database.transaction() as tx:
        return (await tx.execute(text("SELECT * FROM deliveries WHERE id = :id"), {"id": id})).one()


ORDERS = {
    "a bounce after the delivery": ([("delivered", 0), ("bounce", 5)], "dead"),
    "the same, heard the other way round": ([("bounce", 5), ("delivered", 0)], "dead"),
    "both at once": ([("bounce", 0), ("delivered", 0)], "dead"),
    "both at once, the other way round": ([("delivered", 0), ("bounce", 0)], "dead"),
    "delivered when it was sent again": ([("bounce", 0), ("delivered", 5)], "delivered"),
    "the same, late": ([("delivered", 5), ("bounce", 0)], "delivered"),
}


@pytest.mark.parametrize(("order", "state"), ORDERS.values(), ids=ORDERS)
async def test_the_latest_event_counts_in_whatever_order_they_come(outbox, web, mail, order, state):
    """By the provider's own time, in one batch or in several."""
    events = [event(mail, kind, number, at) for number, (kind, at) in enumerate(order)]
    for one in events:
        assert (await post(web, [one])).status_code == 200
    assert (await row_of(outbox, mail.request_id)).state == state
    await post(web, [*reversed(events), *events])
    assert (await row_of(outbox, mail.request_id)).state == state


async def test_an_event_that_overtakes_the_record_of_its_attempt_is_not_lost(outbox, web, mail):
    """The relay still holds the row as `sending` and writes `accepted` afterwards: it stays delivered."""
    for kind, state, number in (("delivered", "delivered", 1), ("bounce", "dead", 2)):
        await outbox.run(
            "UPDATE deliveries SET state = 'sending', accepted_at = NULL, "
            "lease_until = now() + interval '60 s' WHERE channel_kind = 'email'"
        )
        await post(web, [event(mail, kind, number, at=number)])
        async with outbox.database.transaction() as tx:
            await deliveries.accepted(tx, results=[(mail.id, "abc", "")], at=datetime.now(UTC))
        row = await row_of(outbox, mail.request_id)
        assert (row.state, row.lease_until, row.accepted_at is None) == (state, None, False)


@pytest.mark.parametrize(("kind", "state"), [("delivered", "delivered"), ("bounce", "dead")])
async def test_a_mail_that_carried_several_deliveries_counts_for_all_of_them(outbox, web, mail, kind, state):
    """After quiet hours they shared it; it names one. What went to somebody else is untouched."""
    requests = [mail.request_id, *[request.id for request in await outbox.open(2)]]
    await outbox.run(
        "UPDATE deliveries SET channel = 'email', channel_kind = 'email', target = 'alice@acme.example', "
        "recipient = 'alice', state = 'accepted', accepted_at = now(), attempt = 1, next_attempt_at = NULL, "
        "deferred_until = '2026-01-01T08:00Z', provider_id = 'abc' WHERE channel_kind IN ('slack', 'email')"
    )
    await outbox.run(f"UPDATE deliveries SET recipient = 'bob' WHERE request_id = '{requests[2]}'")
    await post(web, [event(mail, kind)])
    states = [(await row_of(outbox, request_id)).state for request_id in requests]
    assert states == [state, state, "accepted"]


async def test_what_is_not_ours_is_ignored(outbox, web, mail):
    """A delivery that we do not know, or a mail of another program with the same account."""
    unknown = event(mail, "delivered", 1, delivery_id="0" * 64)
    foreign = {"event": "delivered", "sg_event_id": "x", "timestamp": 1, "email": "x@y.example"}
    odd = [foreign | {"delivery_id": value} for value in ("", "order-7", 7, None, ["x"])]
    answer = await post(web, [unknown, foreign, *odd])
    assert (answer.status_code, answer.json()) == (200, {"events": 1, "new": 0})
    assert await receipts(outbox) == []


async def test_a_message_that_was_skipped_stays_skipped(outbox, web, mail):
    """An earlier attempt of it arrived all the same: kept as a report."""
    await outbox.run("UPDATE deliveries SET state = 'skipped' WHERE channel_kind = 'email'")
    await post(web, [event(mail, "delivered")])
    assert (await row_of(outbox, mail.request_id)).state == "skipped"
    assert len(await receipts(outbox)) == 1


FORGED = {
    "no signature": {"X-Twilio-Email-Event-Webhook-Signature": ""},
    "another signature": {"X-Twilio-Email-Event-Webhook-Signature": "MEUCIQ=="},
    "no base64": {"X-Twilio-Email-Event-Webhook-Signature": "*"},
    "another time": {"X-Twilio-Email-Event-Webhook-Timestamp": str(int(time.time()) + 1)},
    "no time": {"X-Twilio-Email-Event-Webhook-Timestamp": ""},
    "no number": {"X-Twilio-Email-Event-Webhook-Timestamp": "1e9"},
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
async def test_what_sendgrid_did_not_sign_is_forbidden(outbox, web, mail, headers):
    """403, and nothing is kept."""
    assert (await post(web, [event(mail, "delivered")], **headers)).status_code == 403
    assert await receipts(outbox) == []


@pytest.mark.parametrize(("age", "status"), [(0, 200), (590, 200), (-590, 200), (620, 403), (-620, 403)])
async def test_a_batch_is_good_for_ten_minutes(outbox, web, mail, age, status):
    """An old recording is no news."""
    assert (await post(web, [event(mail, "delivered")], age=age)).status_code == status


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"nonsense", b"null", b'"text"'])
async def test_signed_garbage_is_a_bad_request(outbox, web, mail, body):
    """400 and nothing is kept."""
    assert (await post(web, body)).status_code == 400
    assert await receipts(outbox) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"sg_event_id": ""},
        {"sg_event_id": None},
        {"event": "DROP TABLE"},
        {"timestamp": "soon"},
        {"timestamp": -1},
    ],
)
async def test_a_batch_counts_whole_or_not_at_all(outbox, web, mail, changes):
    """One of our events that can't be read: 400, and the good one before it is not kept either."""
    bad = event(mail, "delivered", 2) | changes
    assert (await post(web, [event(mail, "delivered", 1), bad])).status_code == 400
    assert await receipts(outbox) == []
    assert (await row_of(outbox, mail.request_id)).state == "accepted"


async def test_a_huge_batch_is_not_read(web, mail):
    """413 before anything is verified."""
    assert (await web.post(PATH, content=b" " * 5_000_000)).status_code == 413


async def test_without_a_key_the_address_does_not_exist(seeded):
    """Nobody could be believed."""
    async for url in running(settings_of(seeded, authority="")):
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post(PATH, content=b"[]")).status_code == 404


def test_a_key_that_is_none_is_said_at_the_start(seeded):
    """Not at the first event, hours later."""
    settings = settings_of(seeded, authority="").model_copy(update={"sendgrid_webhook_key": "garbage"})
    with pytest.raises(ConfigurationError, match="SENDGRID_WEBHOOK_KEY"):
        create_app(settings)


async def test_the_whole_loop_over_http(outbox, web):
    """The relay sends a mail, the console reports back, the delivery is delivered; another one bounces."""
    await outbox.http.post("/sendgrid/webhook", json={"url": f"{web.base_url}{PATH}"})
    first, second = await outbox.open(2)
    for request, target in ((first, "alice@acme.example"), (second, "bounce@acme.example")):
        await outbox.run(
            "UPDATE deliveries SET channel = 'email', channel_kind = 'email', recipient = 'alice', "
            f"target = '{target}' WHERE channel_kind = 'slack' AND request_id = '{request.id}'"
        )
    email = {
        "sendgrid_api_key": "SG.x",
        "sendgrid_host": f"{outbox.url}/sendgrid",
        "email_from": "a@b.example",
    }
    async with outbox.relay(outbox.channels(**email)).running(), asyncio.timeout(PATIENCE):
        while True:
            rows = [await row_of(outbox, request.id) for request in (first, second)]
            if [row.state for row in rows] == ["delivered", "dead"]:
                break
            await asyncio.sleep(0.05)
    assert rows[0].provider_id
    assert rows[1].error == "sendgrid reports bounce: 550 5.1.1 no such user"
