"""Messages, documents and codes on their way to people: escaped, retried, and dead in time."""

import asyncio
import logging
import re
from datetime import UTC, datetime

import aiohttp
import pytest

from activities.notifications.facts import NotificationFacts
from activities.notifications.render import render
from db import reads
from db.writes.requests import change_status
from domain.client_words import WORDS
from domain.codes import CodePurpose
from domain.mint_request import MintStatus
from sandbox.providers import running_providers
from tests.notifications.test_digest import a_row, digest
from tests.support.outbox import PATIENCE, Outbox
from tests.support.talk import SECRET, all_rows, an_open, run, say, send_code, use_code

EVIL = '<img src=x onerror=alert(1)> & "quoted"'


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


def _moments(facts):
    """The facts of a row with its moments as moments."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") else value
        for name, value in facts.items()
    }


def mailing(outbox, **changes):
    """A relay that sends real mails to the console, and knows the secret."""
    channels = outbox.channels(
        sendgrid_api_key="SG.local", sendgrid_host=f"{outbox.url}/sendgrid", email_from="mint@acme.test"
    )
    return outbox.relay(channels, **{"secret": SECRET, **changes})


async def until(outbox, state, *kinds):
    """Wait until every mail of the kinds is in the state."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await all_rows(
                outbox.database,
                "SELECT * FROM deliveries WHERE channel_kind = 'email' AND kind = ANY (:kinds)",
                kinds=list(kinds),
            )
            if rows and all(row.state == state for row in rows):
                return rows
            await asyncio.sleep(0.05)


async def mails(outbox):
    """What has arrived by email."""
    return [message for message in await outbox.received() if message["provider"] == "sendgrid"]


async def test_html_in_a_message_stays_text(outbox):
    """In the mail's HTML it is escaped, in its text it is as it was typed."""
    record = await an_open(outbox.database)
    await say(outbox.database, record, author="alice", said=EVIL)
    async with mailing(outbox).running():
        [row] = await until(outbox, "accepted", "message")
    [mail] = await mails(outbox)
    assert EVIL in mail["text"]
    # the desk is one: who of it has written is nothing to the client
    assert "alice" not in mail["subject"] + mail["text"]
    for for_client in (True, False):
        facts = NotificationFacts(**_moments(row.facts), public_url="", for_client=for_client)
        html = render("message", facts).html
        assert "<img" not in html
        assert "&lt;img" in html


@pytest.mark.parametrize("kind", ["500", "429"])
async def test_a_provider_that_is_down_loses_and_doubles_nothing(outbox, kind):
    """A failed delivery is tried again: what was written once is not blocked by having been tried."""
    record = await an_open(outbox.database)
    fault = {"kind": kind, "provider": "sendgrid"} | ({"retry_after": 1000} if kind == "429" else {})
    await outbox.fault(**fault)
    await say(outbox.database, record, author="alice")
    async with mailing(outbox).running():
        await until(outbox, "failed", "message")
        # the same message again changes nothing of it
        await say(outbox.database, record, author="alice")
    # this relay would keep the pause that it was asked for; the next one knows of none
    await run(outbox.database, "UPDATE deliveries SET next_attempt_at = now() WHERE state = 'failed'")
    async with mailing(outbox).running():
        await until(outbox, "accepted", "message")
    assert len(await mails(outbox)) == 1


def digits(mail):
    """The code in a mail."""
    return re.search(r"one-time code[a-z ]*: (\d{6})", mail["text"])[1]


async def test_a_code_arrives_by_mail_and_is_good(outbox):
    """What the mail says is what opens."""
    record = await an_open(outbox.database)
    _, code = await send_code(outbox.database, record)
    async with mailing(outbox).running():
        await until(outbox, "accepted", "code_track")
    [mail] = await mails(outbox)
    assert digits(mail) == code
    assert mail["to"] == "rita@acme.example"
    assert await use_code(outbox.database, record, digits(mail))


async def test_a_code_for_a_client_leads_to_their_own_page(outbox):
    """A link to the client's page, and nothing that only we could use: no command, no page of ours."""
    record = await an_open(outbox.database)
    await send_code(outbox.database, record)
    async with mailing(outbox).running():
        await until(outbox, "accepted", "code_track")
    [mail] = await mails(outbox)
    assert f"/track/{record.request.track_number}" in mail["text"]
    for internal in ("mintkeeper show", "/requests/", "/workflows/", "Waiting for", "approval"):
        assert internal not in mail["text"]


@pytest.mark.parametrize("status", ["CANCELLED", "REJECTED", "EXPIRED"])
async def test_a_client_s_letters_are_in_client_s_words(outbox, status):
    """What became of their request, and their own page: no command, no page, tier or status word of ours."""
    record = await an_open(outbox.database)
    await say(outbox.database, record, author="alice", said="please wait")
    async with outbox.database.transaction() as tx:
        await change_status(
            tx,
            record=await reads.lock_request(tx, record.request.id),
            to=MintStatus(status),
            step="ended",
            kind="request.ended",
            actor="alice",
            at=datetime.now(UTC),
        )
    async with mailing(outbox).running():
        await until(outbox, "accepted", "message", status.lower())
    mine = [mail for mail in await mails(outbox) if mail["to"] == "rita@acme.example"]
    assert len(mine) == 2
    for mail in mine:
        said = mail["subject"] + mail["text"]
        assert f"/track/{record.request.track_number}" in said
        for internal in (
            "mintkeeper ",
            "/requests/",
            "/workflows/",
            "mr_",
            "alice",
            "approval",
            "tier",
            status,
        ):
            assert internal not in said
    assert any(WORDS[MintStatus(status)][1] in mail["text"] for mail in mine)
    assert any("please wait" in mail["text"] for mail in mine)


async def test_a_step_up_code_comes_with_the_command_it_is_for(outbox):
    """Ready to paste, to the approver."""
    record = await an_open(outbox.database)
    _, code = await send_code(outbox.database, record, recipient="alice", purpose=CodePurpose.STEP_UP)
    async with mailing(outbox).running():
        await until(outbox, "accepted", "code_step_up")
    [mail] = await mails(outbox)
    assert f"mintkeeper approve {record.request.id} --as alice --code {code}" in mail["text"]


async def test_a_dead_code_is_not_sent_however_long_the_provider_was_down(outbox):
    """It dies with the code, in the queue or between two attempts."""
    record = await an_open(outbox.database)
    await outbox.fault(kind="500", provider="sendgrid")
    await send_code(outbox.database, record)
    async with mailing(outbox).running():
        await until(outbox, "failed", "code_track")
        await run(outbox.database, "UPDATE one_time_codes SET expires_at = now()")
        await run(outbox.database, "UPDATE deliveries SET next_attempt_at = now() WHERE state = 'failed'")
        await outbox.run("NOTIFY mintkeeper_deliveries")
        [row] = await until(outbox, "skipped", "code_track")
    assert row.note == "the code is not good any more"
    assert await mails(outbox) == []


async def test_a_relay_without_the_secret_sends_no_code(outbox):
    """The delivery is dead and says why; nothing wrong goes out."""
    await send_code(outbox.database, await an_open(outbox.database))
    async with mailing(outbox, secret=None).running():
        [row] = await until(outbox, "dead", "code_track")
    assert "MINTKEEPER_SESSION_SECRET" in row.error
    assert await mails(outbox) == []


async def test_no_code_stands_in_a_log(outbox, caplog):
    """Where mail is not configured the message becomes a line in the log, without the code."""
    caplog.set_level(logging.DEBUG)
    _, code = await send_code(outbox.database, await an_open(outbox.database))
    async with outbox.relay(secret=SECRET).running():
        await until(outbox, "accepted", "code_track")
    assert "EMAIL MOCK" in caplog.text
    assert f" {code}" not in caplog.text


def test_what_somebody_said_is_not_hidden_by_how_the_request_stands():
    """Held back together: one entry for the reminder, one for the words, one request in the headline."""
    said = {"author": "rita", "excerpt": "please hurry"}
    rows = [
        a_row(1, kind="reminder"),
        a_row(1, said, kind="message", id="a" * 64, stage=None),
        a_row(1, said, kind="message", id="b" * 64, stage=None),
    ]
    message = digest(*rows, acks=False)
    assert message.subject == "1 mint request waited for the end of quiet hours: 1 to decide"
    assert message.text.count("rita wrote about") == 1
    assert message.text.count("2. ") == 1
    assert "3. " not in message.text
