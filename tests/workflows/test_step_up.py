"""Step-up: above the rule's amount an approval takes effect only with a one-time code, each good once."""

import asyncio
from datetime import UTC, datetime

import pytest

from db import reads
from domain.approvals import RefusalReason, Verdict
from domain.codes import CodePurpose
from domain.mint_request import MintStatus
from tests.support.talk import ago, all_rows, run, send_code, use_code

STEP_UP = CodePurpose.STEP_UP


@pytest.fixture
async def asked(desk):
    """A desk whose rules ask for a code above 1,000 units, with its worker running."""
    await run(desk.seeded.database, "UPDATE approval_rules SET step_up_above_stroops = 10000000000")
    async with desk.worker():
        yield desk


async def a_request(desk, units=2500, **changes):
    """A request that waits."""
    ticket = await desk.submit(amount=units * 10_000_000, **changes)
    return ticket, await desk.until_status(ticket, MintStatus.PENDING)


async def step_up(desk, record, by, at=None):
    """Ask for a code and use it."""
    db = desk.seeded.database
    _, code = await send_code(db, record, recipient=by, purpose=STEP_UP, at=at)
    assert await use_code(db, record, code, recipient=by, purpose=STEP_UP, at=at)


async def test_without_a_code_it_is_refused_with_what_to_do_and_with_one_it_counts(asked):
    """`step_up_required`, an audit event, and the request still waits; then it is approved."""
    ticket, record = await a_request(asked)
    refused = await asked.decide(ticket, "alice")
    assert (refused.accepted, refused.reason) == (False, RefusalReason.STEP_UP_REQUIRED)
    assert "code request" in refused.message
    assert await asked.refusals(ticket) == ["step_up_required"]
    await step_up(asked, record, "alice")
    assert (await asked.decide(ticket, "alice")).accepted


async def test_up_to_the_amount_nobody_is_asked(asked):
    """Exactly the amount is not above it."""
    ticket, _ = await a_request(asked, units=1000)
    assert (await asked.decide(ticket, "alice")).accepted


async def test_a_code_that_was_sent_but_not_used_counts_for_nothing(asked):
    """Nor does another approver's, another request's, or one that was used too long ago."""
    ticket, record = await a_request(asked)
    _, other = await a_request(asked)
    await step_up(asked, record, "alice", at=ago(minutes=10, seconds=1))
    await send_code(asked.seeded.database, record, recipient="alice", purpose=STEP_UP)
    await step_up(asked, record, "bob")
    await step_up(asked, other, "alice")
    assert (await asked.decide(ticket, "alice")).reason is RefusalReason.STEP_UP_REQUIRED


async def test_a_rejection_needs_no_code(asked):
    """Only what could mint does."""
    ticket, _ = await a_request(asked)
    assert (await asked.decide(ticket, "alice", Verdict.REJECT)).accepted


async def test_a_code_is_bound_to_one_decision(asked):
    """Of five approvals at once one takes effect, and the code is gone with it."""
    ticket, record = await a_request(asked, units=20_000)
    await step_up(asked, record, "alice")
    answers = await asyncio.gather(*(asked.decide(ticket, "alice") for _ in range(5)))
    assert sum(answer.accepted for answer in answers) == 1
    [row] = await all_rows(asked.seeded.database, "SELECT decision_id FROM one_time_codes")
    assert row.decision_id is not None


async def test_a_decision_that_is_refused_for_something_else_keeps_the_code(asked):
    """The daily cap says no: the transaction is rolled back, and the code is good for the next try."""
    await run(asked.seeded.database, "UPDATE approval_rules SET daily_cap_stroops = 1")
    ticket, record = await a_request(asked)
    await step_up(asked, record, "alice")
    assert (await asked.decide(ticket, "alice")).reason is RefusalReason.DAILY_CAP
    [row] = await all_rows(asked.seeded.database, "SELECT decision_id FROM one_time_codes")
    assert row.decision_id is None


async def test_the_same_decision_again_needs_no_second_code(asked):
    """A client that lost the answer sends it again and hears the first answer."""
    ticket, record = await a_request(asked)
    await step_up(asked, record, "alice")
    signed = asked.sign(ticket, "alice", decision_id="dc_same_one")
    for _ in range(2):
        await ticket.handle.signal("approve", signed)
    await asked.until_status(ticket, MintStatus.APPROVED)
    assert await asked.refusals(ticket) == []


async def test_an_open_request_keeps_the_rule_it_was_opened_with(asked):
    """The amount is pinned with the rule: lifting it later changes nothing, and nor does lowering."""
    ticket, _ = await a_request(asked)
    await run(asked.seeded.database, "UPDATE approval_rules SET step_up_above_stroops = NULL")
    assert (await asked.decide(ticket, "alice")).reason is RefusalReason.STEP_UP_REQUIRED


async def test_a_client_who_writes_does_not_move_the_workflow_s_clock(desk):
    """Whoever signals a comment as the requester: it is written as the client's, and no delay begins anew."""
    async with desk.worker():
        ticket = await desk.submit()
        before = await desk.until_status(ticket, MintStatus.PENDING)
        message = {"author": "rita", "text": "hurry", "comment_id": "ms_by_signal"}
        await ticket.handle.signal("comment", message)
        async with asyncio.timeout(30):
            while not (found := await all_rows(desk.seeded.database, "SELECT author_kind FROM comments")):
                await asyncio.sleep(0.05)
        assert found[0].author_kind == "CLIENT"
        assert (await desk.view(ticket)).next_timer["due_at"] is not None
        async with desk.seeded.database.transaction() as tx:
            after = await reads.request(tx, ticket.id)
        assert after.last_activity_at == before.last_activity_at < datetime.now(UTC)
