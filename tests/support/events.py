"""Operational events of a request, raised as its workflow does, and their runs."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.escalations import EscalationActivities
from db.reads.escalations import event_run
from db.writes.event_rules import set_event_rule
from domain.run_steps import EventStep
from domain.runs import EventAction, EventKind, EventRule, run_workflow_id
from starter.workflows import RequestWorkflows
from tests.support.desk import PATIENCE


async def rule_for(desk, kind=EventKind.STALLED, action=EventAction.ESCALATE, policy=None, *, urgent=True):
    """What the tenant wants at events of a kind."""
    policy_id = (policy or desk.seeded.policy).id if action is EventAction.ESCALATE else None
    rule = EventRule(
        tenant=desk.seeded.tenant, event_kind=kind, action=action, policy_id=policy_id, urgent=urgent
    )
    async with desk.seeded.database.transaction() as tx:
        await set_event_rule(tx, rule=rule, actor="adam", at=datetime.now(UTC))


async def raised(desk, ticket, kind=EventKind.STALLED, occurrence="approved"):
    """Raise an event as the request's workflow does; what became of it."""
    activities = EscalationActivities(desk.seeded.database, RequestWorkflows(desk.client))
    step = EventStep(request_id=ticket.id, kind=kind, occurrence=occurrence)
    return await ActivityEnvironment().run(activities.raise_event, step)


async def run_of(desk, run_id):
    """The run as the database stands."""
    async with desk.seeded.database.transaction() as tx:
        return await event_run(tx, run_id)


async def until_run(desk, run_id, reached):
    """Wait until the database shows what is wanted of a run."""
    async with asyncio.timeout(PATIENCE):
        while not reached(run := await run_of(desk, run_id)):
            await asyncio.sleep(0.05)
        return run


def handle_of(desk, run_id):
    """The workflow of a run."""
    return desk.client.get_workflow_handle(run_workflow_id(run_id))


async def messages_of(desk, run_id):
    """Stage, kind, channel kind, recipient and state of every message of a run."""
    query = text(
        "SELECT stage, kind, channel_kind, recipient, state, note FROM deliveries WHERE run_id = :id "
        "ORDER BY stage, channel, recipient"
    )
    async with desk.seeded.database.transaction() as tx:
        return (await tx.execute(query, {"id": run_id})).all()
