"""Alarms that can't be raised, and policies with absurd times: the mint goes on without them."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from domain.approvals import Verdict
from domain.errors import InvalidInput
from domain.escalation import EscalationPolicy
from domain.mint_request import MintStatus
from tests.support.anomalies import desk_loses_a_sequence, look
from tests.support.desk import PATIENCE
from tests.support.events import rule_for
from workflows import ledger_steps, mint_request

POISON = (
    "CREATE FUNCTION no_runs() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'no runs today'; END $$",
    "CREATE TRIGGER no_runs BEFORE INSERT ON escalation_runs FOR EACH ROW EXECUTE FUNCTION no_runs()",
)
CURE = ("DROP TRIGGER no_runs ON escalation_runs", "DROP FUNCTION no_runs")


async def typed(desk, *statements):
    """Type SQL."""
    async with desk.seeded.database.transaction() as tx:
        for statement in statements:
            await tx.execute(text(statement))


@pytest.fixture
async def no_alarms(minting_desk, monkeypatch):
    """A desk on which raising an event fails for ever, and is asked for at once."""
    monkeypatch.setattr(ledger_steps, "STALLED_AFTER", timedelta(seconds=1))
    monkeypatch.setattr(ledger_steps, "_LAST_ALARMS", timedelta(seconds=1))
    monkeypatch.setattr(mint_request, "_SOON", timedelta(seconds=1))
    await rule_for(minting_desk)
    await typed(minting_desk, *POISON)
    yield minting_desk
    await typed(minting_desk, *CURE)


async def until_asked(ticket):
    """Wait until the workflow has asked for its alarm."""
    async with asyncio.timeout(PATIENCE):
        while True:
            described = await ticket.handle.describe()
            pending = described.raw_description.pending_activities
            if any(one.activity_type.name == "raise_event" for one in pending):
                return
            await asyncio.sleep(0.05)


async def test_a_late_submission_is_settled_although_its_alarm_can_not_be_raised(no_alarms):
    """No worker for the ledger at first; once there is one the payment is sent, found and confirmed."""
    desk, ledger = no_alarms, no_alarms.ledger
    desk.ledger = None
    async with desk.worker():
        ticket = await desk.start(await _order(desk, ledger))
        await desk.decide(ticket, "alice")
        await until_asked(ticket)
    desk.ledger = ledger
    async with desk.worker():
        await desk.until_status(ticket, MintStatus.CONFIRMED)
        async with asyncio.timeout(PATIENCE):
            assert (await ticket.handle.result()).status is MintStatus.CONFIRMED


async def _order(desk, ledger):
    desk.ledger = ledger
    order = await desk.order()
    desk.ledger = None
    return order


async def test_an_anomaly_is_resolved_although_its_alarm_can_not_be_raised(no_alarms):
    """An operator's signed word ends it, database and workflow both."""
    desk = no_alarms
    desk.window_seconds = 5
    async with desk.worker():
        ticket = await desk_loses_a_sequence(desk)
        await until_asked(ticket)
        inspection = await look(desk, ticket)
        word = {"reason": "spent by hand", "evidence": inspection.evidence}
        assert (await desk.decide(ticket, "adam", Verdict.FAILED, **word)).accepted
        async with asyncio.timeout(PATIENCE):
            assert (await ticket.handle.result()).status is MintStatus.FAILED


@pytest.mark.parametrize(
    "field", ["ackTimeoutSeconds", "throttleWindowSeconds", "urgentBeforeExpirySeconds", "autoCloseMinutes"]
)
def test_no_policy_has_times_beyond_all_calendars(seeded, field):
    """Added to a date in a workflow they would stop it for ever: no decision, no expiry."""
    policy = json.loads(seeded.policy.model_dump_json(by_alias=True))
    with pytest.raises(InvalidInput, match=field):
        EscalationPolicy.parse(json.dumps(policy | {field: 10**12}))
