"""Step-up and delegation together: the code is that of whoever signs, never of the one they stand in for."""

from domain.approvals import RefusalReason
from domain.codes import CodePurpose
from tests.db.test_absences import a_pending, decide
from tests.support.absences import send_away
from tests.support.talk import all_rows, run, send_code, use_code


async def step_up(db, record, who):
    """Ask for a code and use it."""
    _, code = await send_code(db, record, recipient=who, purpose=CodePurpose.STEP_UP)
    assert await use_code(db, record, code, recipient=who, purpose=CodePurpose.STEP_UP)


async def test_a_delegate_needs_a_code_of_their_own(seeded):
    """The absent approver's code stays theirs; the delegate's own is bound to the one decision."""
    db = seeded.database
    await run(db, "UPDATE approval_rules SET step_up_above_stroops = 1, min_tier = 2")
    await send_away(seeded, "carol", "bob")
    record = await a_pending(seeded)
    await step_up(db, record, "carol")
    refused = await decide(seeded, record, "bob")
    assert (refused.accepted, refused.reason) == (False, RefusalReason.STEP_UP_REQUIRED)
    await step_up(db, record, "bob")
    assert (await decide(seeded, record, "bob")).accepted
    rows = await all_rows(db, "SELECT recipient, decision_id IS NOT NULL AS bound FROM one_time_codes")
    assert sorted(tuple(row) for row in rows) == [("bob", True), ("carol", False)]
    [approval] = await all_rows(db, "SELECT approver, on_behalf_of FROM approvals")
    assert tuple(approval) == ("bob", "carol")
