"""Signed commands in the audit chain: an auditor proves who stopped or resumed a run, or that nobody did."""

import json
from datetime import UTC, datetime

import pytest

from db import reads
from domain.commands import Command, CommandAction, sign_command
from domain.mint_request import MintStatus
from domain.proven_decisions import verify_decisions
from starter.ids import new_command_id
from tests.support.acks import KEY
from tests.support.commands import command, raw_command

RESUME = CommandAction.RESUME_ESCALATION


def vouched(ticket, **changes):
    """A command that the server has signed for somebody who had signed in."""
    values = {
        "tenant": "acme",
        "actor": "adam",
        "action": CommandAction.CANCEL_ESCALATION,
        "target": ticket.id,
        "body": {"reason": "handled by phone"},
        "id": new_command_id(),
        "issued_at": datetime.now(UTC),
        "amr": ("pwd",),
    }
    return sign_command(Command(**(values | changes)), KEY)


async def chain(desk):
    """Every event of the tenant."""
    async with desk.seeded.database.transaction() as tx:
        return await reads.audit_events(tx, desk.seeded.tenant)


async def test_both_kinds_of_signature_are_proven_by_the_chain_alone(desk, pending):
    """Signed by the server as the very first thing it signs for a tenant, and by one's own key."""
    assert (await raw_command(desk, pending.id, vouched(pending))).accepted
    assert (await command(desk, pending.id, by="alice", action=RESUME)).accepted
    report = verify_decisions(await chain(desk))
    assert (report.commands, report.faults) == (2, ())


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("another actor", {"actor": "alice"}),
        ("another kind", {"kind": "escalation.resumed"}),
        ("another run", {"runId": "mr_0"}),
        ("another reason", {"reason": "because"}),
        ("no command at all", {"envelope": None}),
    ],
)
async def test_an_event_that_nobody_signed_is_named(desk, pending, case, change):
    """Written into the chain by who can write to the database: one line says which."""
    assert (await raw_command(desk, pending.id, vouched(pending))).accepted
    events = await chain(desk)
    forged = []
    for event in events:
        content = json.loads(event.body)
        if content["kind"] == "escalation.cancelled":
            for name, value in change.items():
                (content if name in ("actor", "kind") else content["details"])[name] = value
        forged.append(event.model_copy(update={"body": json.dumps(content)}))
    [fault] = verify_decisions(forged).faults
    assert "command" in fault, case


async def test_a_vouched_command_is_good_once_and_for_its_run_only(desk, pending):
    """Sent again it gets the first answer, and to another run it says nothing."""
    other = await desk.submit()
    await desk.until_status(other, MintStatus.PENDING)
    order = vouched(pending)
    assert (await raw_command(desk, pending.id, order)).accepted
    assert not (await raw_command(desk, other.id, order)).accepted
    assert (await command(desk, pending.id, by="alice", action=RESUME)).accepted
    await raw_command(desk, pending.id, order)
    assert (await desk.record(pending)).escalation_cancelled_by is None
