"""Messages wait for the end of quiet hours, unless they are urgent: late, doubled, killed."""

import asyncio
from datetime import UTC, datetime

from db import reads
from db.writes import requests, submissions
from db.writes.requests import report_stalled
from domain.mint_request import MintStatus
from domain.quiet_hours import QuietHours
from tests.db.factories import anomaly, later, open_one, submitting
from tests.support.acks import AUTHORITY
from tests.support.outbox import PATIENCE
from tests.support.quiet import HOUR, LINK, around, around_now, everywhere, morning, quiet, remind, rows_of
from tests.support.quiet import outbox as outbox


async def test_messages_wait_and_say_so_but_not_in_the_app(outbox):
    """Slack waits for the end of the tenant's window; what is read in the app is there at once."""
    before = datetime.now(UTC)
    await outbox.open()
    [row] = await rows_of(outbox, "slack")
    end = around_now().until(before)
    assert (row.state, row.deferred_until, row.next_attempt_at) == ("deferred", end, end)
    assert row.note == f"quiet hours until {end:%Y-%m-%d %H:%M} UTC"
    in_app = await rows_of(outbox, "in-app")
    assert in_app
    assert {row.state for row in in_app} == {"accepted"}
    async with outbox.relay().running():
        await outbox.until_listening()
        await outbox.run("NOTIFY mintkeeper_deliveries")
        await asyncio.sleep(0.5)
    assert await outbox.received() == []
    assert (await rows_of(outbox, "slack"))[0].state == "deferred"


async def test_people_have_their_own_hours_and_the_times_of_their_own_zone(outbox):
    """alice's hours are over already, bob has the tenant's; their mail says the time where they live."""
    await quiet(outbox, around_now(-3 * HOUR, -HOUR), "alice")
    await quiet(outbox, around_now(-HOUR, HOUR), "carol")
    opened = await outbox.open(2)
    for request in opened:
        await remind(outbox, request)
    mails = {row.recipient: row for row in await rows_of(outbox, "email") if row.kind == "reminder"}
    assert mails["alice"].state == "pending"
    assert mails["carol"].deferred_until + HOUR == mails["bob"].deferred_until
    await morning(outbox)
    async with outbox.relay(everywhere(outbox), authority=AUTHORITY).running(), asyncio.timeout(PATIENCE):
        while any(row.state != "accepted" for row in await rows_of(outbox, "email")):
            await asyncio.sleep(0.02)
    received = [message for message in await outbox.received() if message["provider"] == "sendgrid"]
    counted = {to: sum(message["to"] == to for message in received) for to in {m["to"] for m in received}}
    assert counted["alice@acme.example"] == 2
    assert counted["bob@acme.example"] == counted["carol@acme.example"] == 1
    [to_bob] = [message for message in received if message["to"] == "bob@acme.example"]
    assert to_bob["subject"] == "2 mint requests waited for the end of quiet hours: 2 to decide"
    assert "CET" in to_bob["text"] or "CEST" in to_bob["text"]
    assert all(f"mintkeeper approve {request.id} --as bob" in to_bob["text"] for request in opened)
    assert len(LINK.findall(to_bob["text"])) == 2


async def test_a_stage_near_the_expiry_goes_out_at_once(outbox):
    """From two hours before the end on nothing waits."""
    [request] = await outbox.open()
    await remind(outbox, request, datetime.now(UTC) + 22 * HOUR)
    rows = [*await rows_of(outbox, "slack"), *await rows_of(outbox, "email")]
    assert {row.state for row in rows if row.kind != "opened"} == {"pending"}


async def test_nothing_waits_until_the_request_has_nearly_expired(outbox):
    """A night that is longer than the request: what waits goes out two hours before the end."""
    await quiet(outbox, around_now(-HOUR, -1.5 * HOUR))
    [request] = await outbox.open()
    async with outbox.database.transaction() as tx:
        record = await reads.request(tx, request.id)
    [row] = await rows_of(outbox, "slack")
    assert row.deferred_until == record.expires_at - 2 * HOUR


async def test_an_anomaly_waits_for_nobody(outbox):
    """Money may be at stake; every other end of a request can wait for the morning."""
    await quiet(outbox, around(later(hours=3)))
    async with outbox.database.transaction() as tx:
        record = await submitting(tx)
        await submissions.conclude(tx, record=record, result=anomaly(record), at=later(hours=3))
        await requests.change_status(
            tx,
            record=await open_one(tx),
            to=MintStatus.CANCELLED,
            step="cancelled",
            kind="request.cancelled",
            actor="rita",
            at=later(hours=3),
        )
    states = {(row.kind, row.state) for row in await rows_of(outbox, "email")}
    assert states == {("anomaly", "pending"), ("cancelled", "deferred")}


async def test_the_leads_alert_about_a_request_that_has_time_waits(outbox):
    """It is deferred as the others are, and the leads' own hours count."""
    [request] = await outbox.open()
    await quiet(outbox, QuietHours(), "lena")
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        await report_stalled(
            tx, record=record, step="audit.late:9", kind="audit.late", message="late", at=datetime.now(UTC)
        )
    stalled = [row for row in await rows_of(outbox, "slack") if row.kind == "stalled"]
    assert [row.state for row in stalled] == ["deferred"]


async def test_a_zone_that_this_machine_lacks_keeps_no_message(outbox, caplog):
    """It is sent, and the log says what is wrong."""
    await outbox.run(
        "UPDATE tenants SET quiet_hours = jsonb_set(quiet_hours, '{0,zone}', '\"Europe/Atlantis\"')"
    )
    await outbox.open()
    assert [row.state for row in await rows_of(outbox, "slack")] == ["pending"]
    assert "'Europe/Atlantis' is no IANA time zone" in caplog.text
