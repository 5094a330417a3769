"""Decisions that the server signs for somebody who has signed in: what the worker and an auditor believe."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from db import reads
from domain.approvals import STEP_UP, Verdict
from domain.mint_request import MintStatus
from domain.proven_decisions import verify_decisions
from starter.decisions import decide, sign_decision
from tests.support.acks import KEY
from tests.support.desk import PATIENCE

FOREIGN = Ed25519PrivateKey.from_private_bytes(b"\x0e" * 32)


async def send(desk, ticket, by, verdict=Verdict.APPROVE, *, key=KEY, amr=("pwd",), **changes):
    """Send a decision with these means of authentication, signed by that key."""
    decision = desk.decision(ticket, by, verdict, amr=amr, **changes)
    return await decide(desk.client, ticket.id, sign_decision(decision, key), decision.decision_id, PATIENCE)


async def the_chain(desk):
    """Every event of the tenant."""
    async with desk.seeded.database.transaction() as tx:
        return await reads.audit_events(tx, desk.seeded.tenant)


async def test_what_the_server_vouches_for_takes_effect_and_is_proven(desk, pending):
    """Approved by a person who has signed in; the chain names the key first, and proves it by itself."""
    outcome = await send(desk, pending, "alice", amr=("pwd", "otp"))
    assert (outcome.accepted, outcome.status) == (True, "APPROVED")
    events = await the_chain(desk)
    kinds = [json.loads(event.body)["kind"] for event in events]
    assert kinds.index("authority_keys.set") < kinds.index("decision.approve")
    report = verify_decisions(events)
    assert (report.vouched, report.faults) == (1, ())


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("signed by the approver's own key", "bad_signature"),
        ("signed by a foreign key", "bad_signature"),
        ("signed by the authority, without saying how", "bad_signature"),
    ],
)
async def test_nobody_else_can_vouch(desk, pending, case, reason):
    """The authority signs what it vouches for, the approver everything else: neither passes as the other."""
    keys = {"signed by the approver's own key": desk.seeded.keys["alice"], "signed by a foreign key": FOREIGN}
    amr = () if "without" in case else ("pwd",)
    outcome = await send(desk, pending, "alice", key=keys.get(case, KEY), amr=amr)
    assert (outcome.accepted, outcome.reason) == (False, reason)
    assert (await desk.record(pending)).approvals == ()


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("rita", "self_approval"),
        ("carol", "tier_not_eligible"),
        ("lena", "unknown_approver"),
        ("mallory", "unknown_approver"),
    ],
)
async def test_the_rules_hold_for_those_who_sign_in(desk, pending, by, reason):
    """Being vouched for gives nobody a role, a tier, or a second pair of eyes."""
    outcome = await send(desk, pending, by)
    assert (outcome.accepted, outcome.reason) == (False, reason)


async def test_a_browser_and_a_key_are_the_same_person(desk):
    """Who has approved with their own key can't approve once more from a browser."""
    async with desk.worker():
        ticket = await desk.submit(amount=200_000_000_000)
        await desk.until_status(ticket, MintStatus.PENDING)
        assert (await desk.decide(ticket, "alice")).accepted
        outcome = await send(desk, ticket, "alice")
        assert (outcome.accepted, outcome.reason) == (False, "already_decided")


async def test_a_second_factor_counts_for_the_decision_that_names_it(desk):
    """Above the rule's amount the server's word is enough only if it says that there was a second factor."""
    async with desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE approval_rules SET step_up_above_stroops = 0"))
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        refused = await send(desk, ticket, "alice", amr=("pwd", "otp"))
        assert (refused.accepted, refused.reason) == (False, "step_up_required")
        assert (await send(desk, ticket, "alice", amr=("pwd", STEP_UP))).accepted


async def test_a_requester_cancels_from_a_browser(desk, pending):
    """Cancelling is vouched for in the same way."""
    outcome = await send(desk, pending, "rita", Verdict.CANCEL)
    assert (outcome.accepted, outcome.status) == (True, "CANCELLED")
    assert verify_decisions(await the_chain(desk)).faults == ()


def detail(name, value):
    """Change one detail of an event."""
    return lambda content: content["details"].update({name: value})


HARMED = {
    "the key is another": ("authority_keys.set", detail("publicKey", "00" * 32)),
    "the key is not there": ("authority_keys.set", lambda content: content.update(kind="nothing")),
    "the decision is another's": ("decision.approve", lambda content: content.update(actor="bob")),
    "the decision is about another request": (
        "decision.approve",
        lambda content: content.update(requestId="mr_x"),
    ),
    "the signed decision is gone": ("decision.approve", detail("envelope", None)),
    "the approver had asked for it": ("request.opened", lambda content: content.update(actor="alice")),
    "nobody had asked for it": ("request.opened", lambda content: content.update(kind="nothing")),
    "the verdict is another": ("decision.approve", lambda content: content.update(kind="decision.reject")),
}


@pytest.mark.parametrize("case", HARMED)
async def test_an_auditor_finds_what_the_server_never_signed(desk, pending, case):
    """A decision that rests on no key of the chain, says something else, or is the requester's is a fault."""
    await send(desk, pending, "alice")
    events = await the_chain(desk)
    kind, change = HARMED[case]
    found = next(number for number, event in enumerate(events) if json.loads(event.body)["kind"] == kind)
    content = json.loads(events[found].body)
    change(content)
    events[found] = events[found].model_copy(update={"body": json.dumps(content)})
    assert verify_decisions(events).faults
