"""`GET /metrics`: what Prometheus reads is what the database holds, whoever answers, and never goes back."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from db import reads
from db.writes.acks import record_ack
from db.writes.requests import run_stage
from db.writes.run_commands import command_request
from db.writes.sla import keep_snapshot
from domain.commands import Command, CommandAction
from domain.records import DeliveryState
from sandbox.providers import running_providers
from settings import Settings
from tests.db.factories import open_one
from tests.db.sla import hours, no_terms, report_at, transition
from tests.support.acks import claim_for
from tests.support.outbox import Outbox
from tests.web.test_acks import running, settings_of


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


async def scrape(settings: Settings) -> dict[tuple, float]:
    """Every sample of a web server that was started for this, by name and labels."""
    async for url in running(settings):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"][:10]) == (200, "text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def runs(samples, what, **labels):
    """One counter of escalation runs."""
    labelled = {"tenant": "acme", "stage": "0"} | labels
    return samples.get((f"notify_escalation_{what}_total", *sorted(labelled.items())), 0)


def deliveries(samples, channel, kind, state):
    """How many deliveries are in a state."""
    labels = sorted({"channel": channel, "channel_kind": kind, "state": state}.items())
    return samples.get(("notify_deliveries", *labels), 0)


async def test_every_figure_is_what_happened(seeded, outbox):
    """Opened, told, acknowledged, one dead letter, one late: counted from the rows, from any process."""
    policy, settings = seeded.policy.id, settings_of(seeded, authority="")
    first, second = await outbox.open(2)
    await outbox.run("UPDATE deliveries SET due_at = due_at - interval '20 s' WHERE channel_kind = 'slack'")
    async with outbox.relay().running():
        await outbox.until("accepted")
    await acknowledge(outbox, first)
    now = datetime.now(UTC)
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, second.id)
        await run_stage(tx, record=record, stage=1, due_at=now, at=now)
    await outbox.run(
        "UPDATE deliveries SET state = 'dead', next_attempt_at = NULL, error = 'gone' "
        "WHERE channel_kind = 'slack' AND kind = 'reminder'"
    )
    before = await scrape(settings)
    assert runs(before, "started", policy=policy) == 2
    assert runs(before, "stage_sent", policy=policy) == 2
    assert runs(before, "stage_sent", policy=policy, stage="1") == 1
    assert runs(before, "ack", policy=policy) == 1
    assert [runs(before, what, policy=policy) for what in ("cancelled", "no_route", "throttled")] == [0, 0, 0]
    assert deliveries(before, "slack-mint", "slack", "accepted") == 2
    assert deliveries(before, "slack-mint", "slack", "dead") == before[("notify_dead_letters",)] == 1
    assert before["notify_lateness_seconds_count", ("channel_kind", "slack")] == 2
    assert before["notify_lateness_seconds_bucket", ("channel_kind", "slack"), ("le", "10.0")] == 0
    assert before["notify_lateness_seconds_bucket", ("channel_kind", "slack"), ("le", "60.0")] == 2
    assert 40 <= before["notify_lateness_seconds_sum", ("channel_kind", "slack")] <= 120
    assert ("notify_lateness_seconds_count", ("channel_kind", "in-app")) not in before
    assert any(name.startswith("process_") for name, *_ in before)
    await outbox.open()
    after = await scrape(settings)
    counters = {key: value for key, value in before.items() if key[0].startswith("notify_escalation")}
    assert all(after[key] >= value for key, value in counters.items())
    assert runs(after, "started", policy=policy) == 3


async def acknowledge(outbox, request):
    """Somebody is on it."""
    async with outbox.database.transaction() as tx:
        record = await reads.lock_request(tx, request.id)
        claim = await claim_for(outbox.database, request.id)
        await record_ack(tx, record=record, claim=claim, token_sha256="0" * 64, at=datetime.now(UTC))


async def test_quiet_hours_make_nothing_late(seeded, outbox):
    """What was held back is counted from the end of the quiet hours on."""
    await outbox.open()
    async with outbox.relay().running():
        await outbox.until("accepted")
    await outbox.run(
        "UPDATE deliveries SET due_at = accepted_at - interval '8 h', deferred_until = accepted_at "
        "WHERE channel_kind = 'slack'"
    )
    samples = await scrape(settings_of(seeded, authority=""))
    assert samples["notify_lateness_seconds_bucket", ("channel_kind", "slack"), ("le", "0.1")] == 1


async def test_runs_of_events_are_counted_by_how_they_began(seeded, outbox):
    """Started, throttled and suppressed ones apart; a cancelled one was started too."""
    [request] = await outbox.open()
    for number, state in enumerate(("running", "cancelled", "throttled", "suppressed")):
        await insert_run(outbox, request, number, state)
    samples = await scrape(settings_of(seeded, authority=""))
    policy = seeded.policy.id
    assert runs(samples, "started", policy=policy) == 3
    assert runs(samples, "cancelled", policy=policy, stage="1") == 1
    assert [runs(samples, what, policy=policy) for what in ("throttled", "suppressed")] == [1, 1]


async def test_an_escalation_that_goes_on_again_was_cancelled_all_the_same(seeded, outbox):
    """A counter never goes back."""
    [request] = await outbox.open()
    for number, action in enumerate((CommandAction.CANCEL_ESCALATION, CommandAction.RESUME_ESCALATION)):
        now = datetime.now(UTC)
        command = Command(
            id=f"cmd_{number:026d}",
            action=action,
            tenant="acme",
            actor="adam",
            issued_at=now,
            target=request.id,
            body={"reason": "a test"},
        )
        async with outbox.database.transaction() as tx:
            record = await reads.lock_request(tx, request.id)
            await command_request(tx, record=record, command=command, at=now, proof={})
        samples = await scrape(settings_of(seeded, authority=""))
        assert runs(samples, "cancelled", policy=seeded.policy.id, stage="1") == 1


async def insert_run(outbox, request, number, state):
    """The row of an operational event's run."""
    now = datetime.now(UTC)
    ended = (None, None) if state == "running" else (now, "adam")
    async with outbox.database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO escalation_runs (id, tenant, event_kind, request_id, occurrence, rule_id,"
                " policy_id, action_hash, sla_scale, state, version, next_stage, started_at, closes_at,"
                " ended_at, ended_by, reason) VALUES (:id, 'acme', 'sla.overdue', :request_id, :occurrence,"
                " 'event:sla.overdue', :policy_id, :hash, 1, :state, 1, 1, :at, :closes_at, :ended_at,"
                " :ended_by, '')"
            ),
            {
                "id": f"esc_{number:032x}",
                "request_id": request.id,
                "occurrence": str(number),
                "policy_id": outbox.seeded.policy.id,
                "hash": "a" * 64,
                "state": state,
                "at": now,
                "closes_at": now + timedelta(days=1),
                "ended_at": ended[0],
                "ended_by": ended[1],
            },
        )


async def test_without_a_database_there_are_no_figures(seeded):
    """503 with one line: half the figures would be taken for all of them."""
    settings = settings_of(seeded, authority="").model_copy(
        update={"database_url": "postgresql://nobody@127.0.0.1:9/none"}
    )
    async for url in running(settings):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.get("/metrics")
    assert answer.status_code == 503
    assert answer.text.startswith("mintkeeper: cannot reach the database at 127.0.0.1:9")
    assert answer.text.count("\n") == 1


async def test_the_deliveries_are_counted_from_their_index_alone(seeded, outbox):
    """A scrape must not read the messages themselves, which are ten times as large."""
    from db.reads.metrics import _DELIVERIES

    await outbox.open()
    async with outbox.database.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        explained = await tx.execute(text(f"EXPLAIN {_DELIVERIES.text}"))
        plan = "\n".join(explained.scalars())
    assert "Index Only Scan using deliveries_figures" in plan
    assert "deliveries_due" in plan
    assert "deliveries_leased" in plan


async def test_scrapes_at_the_same_time_all_get_an_answer(seeded, outbox):
    """They wait for each other; none takes the connections that people need."""
    await outbox.open()
    async for url in running(settings_of(seeded, authority="")):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answers = await asyncio.gather(*(client.get("/metrics") for _ in range(8)))
            assert (await client.get("/healthz")).status_code == 200
    assert {answer.status_code for answer in answers} == {200}
    assert DeliveryState.PENDING in answers[0].text


async def test_overdue_requests_are_those_of_the_last_check(seeded):
    """By tenant, topic and status; a status without a threshold has no figure, and no check no time."""
    settings = settings_of(seeded, authority="")
    name = ("sla_overdue_requests", ("status", "PENDING"), ("tenant", "acme"), ("topic", "treasury-eu"))
    before = await scrape(settings)
    assert name not in before
    assert ("sla_checked_timestamp_seconds",) not in before
    await no_terms(seeded.database)
    async with seeded.database.transaction() as tx:
        await transition(tx, 5)
        await open_one(tx)
        await open_one(tx, topic="treasury-us")
    for at in (hours(4), hours(6)):
        report = await report_at(seeded, at)
        async with seeded.database.transaction() as tx:
            await keep_snapshot(tx, report)
    after = await scrape(settings)
    assert after[name] == 1
    assert after[("sla_checked_timestamp_seconds",)] == hours(6).timestamp()
    assert [sample for sample in after if sample[0] == name[0]] == [name]
