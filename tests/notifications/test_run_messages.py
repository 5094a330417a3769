"""Messages of operational events' runs: fallbacks, updates and incidents as for a request's own."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import text

from db.reads.escalations import lock_event_run
from db.writes import dictionaries
from db.writes.event_rules import set_event_rule
from db.writes.events import raise_event
from db.writes.run_steps import end_run, run_event_stage
from domain.runs import EventAction, EventKind, EventRule, RunState
from sandbox.providers import running_providers
from tests.support.outbox import PATIENCE, Outbox

NOW = datetime.now(UTC)


@pytest.fixture
async def outbox(seeded):
    """An empty outbox and an empty console."""
    async with running_providers() as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


async def run_of_an_event(outbox):
    """A request that is overdue, with the first stage of the run about that."""
    rule = EventRule(
        tenant="acme",
        event_kind=EventKind.SLA_OVERDUE,
        action=EventAction.ESCALATE,
        policy_id=outbox.seeded.policy.id,
        urgent=True,
    )
    [request] = await outbox.open()
    await outbox.run("DELETE FROM deliveries")
    async with outbox.database.transaction() as tx:
        await set_event_rule(tx, rule=rule, actor="adam", at=NOW)
        run = await raise_event(
            tx, request_id=request.id, kind=EventKind.SLA_OVERDUE, occurrence="PENDING:1", at=NOW
        )
    async with outbox.database.transaction() as tx:
        run = await lock_event_run(tx, run.id)
        return await run_event_stage(tx, run=run, stage=0, due_at=NOW, at=NOW, ran=[])


async def cancel(outbox, run):
    """An admin ends it."""
    async with outbox.database.transaction() as tx:
        await end_run(
            tx,
            run=await lock_event_run(tx, run.id),
            state=RunState.CANCELLED,
            actor="adam",
            at=NOW - timedelta(minutes=1),
            reason="known",
        )


async def until(outbox, condition):
    """Wait until a condition of SQL about deliveries holds for none any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with outbox.database.transaction() as tx:
                if not await tx.scalar(text(f"SELECT count(*) FROM deliveries WHERE {condition}")):
                    return
            await asyncio.sleep(0.05)


async def test_the_message_of_a_run_that_was_cancelled_says_so(outbox):
    """By whom; one update."""
    run = await run_of_an_event(outbox)
    async with outbox.relay().running():
        await until(outbox, "state IN ('pending', 'sending')")
        await cancel(outbox, run)
        await until(outbox, "revise_at IS NOT NULL")
    first, second = await outbox.received()
    assert second["updates"] == first["id"]
    assert second["text"].splitlines()[0] == "2500.00 EURT for rita: escalation cancelled by adam"


async def test_the_incident_of_a_run_has_the_runs_action_hash(outbox):
    """So that the same event within the policy's window is the same incident; it is resolved with its run."""
    async with outbox.database.transaction() as tx:
        await dictionaries.set_channel(
            tx, tenant="acme", name="slack-mint", kind="pagerduty", settings={}, actor="adam", at=NOW
        )
    run = await run_of_an_event(outbox)
    pager = {"pagerduty_routing_key": "R1", "pagerduty_base_url": f"{outbox.url}/pagerduty"}
    async with outbox.relay(outbox.channels(**pager)).running():
        await until(outbox, "state IN ('pending', 'sending')")
        await cancel(outbox, run)
        await until(outbox, "revise_at IS NOT NULL")
    received = [(m["id"].partition("#")[0], m["subject"].partition(":")[0]) for m in await outbox.received()]
    assert received == [(run.action_hash, "trigger"), (run.action_hash, "resolve")]


async def test_a_runs_message_that_is_given_up_goes_over_the_next_channel(outbox):
    """To the people of the run's own stage, as messages of the same run."""
    run = await run_of_an_event(outbox)
    await outbox.run("UPDATE deliveries SET target = '#unknown' WHERE channel_kind = 'slack'")
    async with outbox.relay().running():
        await until(outbox, "state IN ('pending', 'sending')")
    async with outbox.database.transaction() as tx:
        query = "SELECT recipient, run_id, state FROM deliveries WHERE fallback_of IS NOT NULL ORDER BY 1"
        found = (await tx.execute(text(query))).all()
    assert [tuple(row) for row in found] == [("alice", run.id, "accepted"), ("bob", run.id, "accepted")]
    assert await outbox.received() == []


async def test_a_throttled_run_sends_nothing(outbox):
    """The provider hears of the first run only; the request's own messages are never throttled."""
    run = await run_of_an_event(outbox)
    [own] = await outbox.open()
    async with outbox.database.transaction() as tx:
        second = await raise_event(
            tx, request_id=run.request_id, kind=run.event_kind, occurrence="PENDING:2", at=NOW
        )
    assert second.state is RunState.THROTTLED
    async with outbox.relay().running():
        await until(outbox, "state IN ('pending', 'sending')")
    assert sorted(own.id in message["text"] for message in await outbox.received()) == [False, True]
    async with outbox.database.transaction() as tx:
        query = text("SELECT DISTINCT state FROM deliveries WHERE run_id = :id")
        assert list((await tx.execute(query, {"id": second.id})).scalars()) == ["throttled"]
