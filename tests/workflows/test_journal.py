"""The structured log: one JSON line an event, enough to follow a run, and nothing that must stay secret."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from activities import journal
from activities.journal import Run
from db.writes.letters import Notice
from domain.mint_request import MintStatus
from sandbox.providers import running_providers
from tests.notifications.test_ack_links import LINK
from tests.support.acks import AUTHORITY
from tests.support.commands import command
from tests.support.events import raised, rule_for, until_run
from tests.support.outbox import Outbox
from tests.workflows.test_acks import acknowledge, refused

RUN = Run("run", "mr_1", "acme", "policy-1")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lines(capture, event=None):
    """The events that were written, each a JSON object of one line."""
    found = [json.loads(line) for line in capture.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in found if event in (None, line["event"])]


def notice(number, **changed):
    """A message as a stage writes it."""
    values = {
        "id": f"{number:064x}",
        "kind": "opened",
        "stage": 0,
        "channel": "email",
        "channel_kind": "email",
        "target": "alice@acme.example",
        "recipient": "alice",
        "time_zone": "UTC",
        "inbox_kind": None,
        "inbox": None,
    }
    return Notice(**(values | changed))


def test_a_stage_says_whom_and_over_which_channel(capsys):
    """People by name, groups by their channel's name: their addresses stay out."""
    group = {"channel": "slack-mint", "channel_kind": "slack", "target": "#secret", "recipient": "#secret"}
    held = notice(3, recipient="bob", deferred_until=NOW + timedelta(hours=8))
    journal.stage_sent(RUN, 1, NOW, [notice(1), notice(2, **group), held])
    [line] = lines(capsys)
    assert (line["event"], line["stage"], line["run_id"]) == ("escalation.stage_sent", 1, "run")
    assert (line["request_id"], line["tenant"], line["policy"]) == ("mr_1", "acme", "policy-1")
    assert line["delivery_ids"] == [f"{number:064x}" for number in (1, 2, 3)]
    assert "alice, bob over email; the group over slack-mint" in line["rationale"]
    assert "quiet hours hold back 1 of 3" in line["rationale"]
    assert "#secret" not in str(line)
    assert "@" not in str(line)


def test_a_stage_that_reaches_nobody_says_so(capsys):
    """And what follows from it."""
    journal.stage_sent(RUN, 2, NOW, [])
    [line] = lines(capsys)
    assert line["delivery_ids"] == []
    assert "nobody could be reached, so the next stage runs at once" in line["rationale"]


def test_a_log_that_can_t_be_written_stops_nothing(monkeypatch):
    """Whoever read it has gone away: the step that it tells of stands."""

    class Broken:
        def write(self, _):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    journal.started(RUN, "because")


@pytest.fixture
def everything_logged(caplog):
    """Ours at their most talkative, all others as talkative as anybody would let them be."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="mintkeeper")
    return caplog


async def test_a_request_that_was_acknowledged_leaves_its_lines_and_no_secret(
    desk, capsys, everything_logged
):
    """Opened, told over Slack, acknowledged, refused, an event beside it: what the logs have of it."""
    await rule_for(desk)
    async with desk.worker(), running_providers() as url, aiohttp.ClientSession(url) as http:
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        outbox = Outbox(desk.seeded, url, http)
        async with outbox.relay(authority=AUTHORITY).running(), asyncio.timeout(30):
            while not (received := await outbox.received()):
                await asyncio.sleep(0.05)
        await outbox.close()
        token = LINK.findall(received[0]["text"])[0]
        await acknowledge(desk, ticket, token=token)
        await refused(desk, ticket, recipient="bob")
        run_id = (await raised(desk, ticket)).run_id
        await until_run(desk, run_id, lambda run: run.next_stage > 0 or run.ended_at is not None)
    captured = capsys.readouterr().err
    events = [json.loads(line) for line in captured.splitlines() if line.startswith("{")]
    own = [event for event in events if event["run_id"] == ticket.id]
    assert [event["event"] for event in own] == [
        "escalation.started",
        "escalation.stage_sent",
        "escalation.ack",
    ]
    assert all(event["rationale"] and event["policy"] == desk.seeded.policy.id for event in own)
    assert received[0]["delivery_id"] in own[1]["delivery_ids"]
    assert own[2]["delivery_ids"] == [received[0]["delivery_id"]]
    assert "slack-mint is on it" in own[2]["rationale"]
    assert [event["event"] for event in events if event["run_id"] == run_id][:1] == ["escalation.started"]
    said = captured + everything_logged.text + str([vars(record) for record in everything_logged.records])
    async with desk.seeded.database.transaction() as tx:
        rows = await tx.execute(text("SELECT DISTINCT email FROM users WHERE email IS NOT NULL"))
        addresses = list(rows.scalars())
    assert addresses
    for secret in (token, token[:60], "#mint", *addresses, received[0]["text"].splitlines()[0]):
        assert secret not in said


async def test_a_cancelled_run_leaves_a_line_with_what_is_not_sent(desk, capsys):
    """By whom, before which stage, and which messages; the reason that was given stays in the audit."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        assert (await command(desk, ticket.id, body={"reason": "called them"})).accepted
    [line] = lines(capsys, "escalation.cancelled")
    async with desk.seeded.database.transaction() as tx:
        rows = await tx.execute(text("SELECT id FROM deliveries WHERE state = 'skipped' ORDER BY id"))
        unsent = list(rows.scalars())
    assert unsent
    assert (line["run_id"], line["stage"], line["delivery_ids"]) == (ticket.id, 1, unsent)
    assert line["rationale"].startswith("adam cancelled it")
    assert "called them" not in str(line)
