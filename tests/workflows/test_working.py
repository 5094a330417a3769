"""Claims, assignments, comments, views: working on a request without deciding it."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import MintkeeperError
from domain.mint_request import MintStatus
from domain.steps import AssignMessage, CommentMessage
from starter import decisions
from starter.ids import new_message_id

HOUR = timedelta(hours=1)


async def send(desk, ticket, verb, actor, assignee=None, message_id=None):
    """Send a claim, release or assignment and return how the request stands."""
    message = AssignMessage(actor=actor, assignee=assignee, message_id=message_id or new_message_id())
    return await decisions.send_assignment(desk.client, ticket.id, verb, message, 30)


async def test_a_claim_holds_until_it_is_released(desk, pending):
    """A second claim is refused by name; after a release anyone may claim."""
    assert (await send(desk, pending, "claim", "alice")).assignee == "alice"
    with pytest.raises(MintkeeperError, match="alice works on"):
        await send(desk, pending, "claim", "bob")
    assert (await send(desk, pending, "release", "alice")).assignee is None
    assert (await send(desk, pending, "claim", "bob")).assignee == "bob"
    assert (await desk.view(pending)).assignee == "bob"
    kinds = [kind for kind in await desk.kinds(pending) if kind.startswith("request.")]
    assert kinds == ["request.opened", "request.claim", "request.release", "request.claim"]


async def test_an_assignment_names_a_known_active_user(desk, pending):
    """Assigning to a stranger is refused and changes nothing."""
    with pytest.raises(MintkeeperError, match="mallory"):
        await send(desk, pending, "assign", "adam", "mallory")
    assert (await send(desk, pending, "assign", "adam", "bob")).assignee == "bob"


async def test_the_same_claim_twice_is_one(desk, pending):
    """An update id and its step key make a repeated claim harmless."""
    await send(desk, pending, "claim", "alice", message_id="c1")
    await send(desk, pending, "claim", "alice", message_id="c1")
    assert (await desk.kinds(pending)).count("request.claim") == 1


async def test_neither_claim_nor_comment_approves(desk, pending):
    """Working on a request decides nothing."""
    await send(desk, pending, "claim", "alice")
    comment = CommentMessage(author="alice", text="looking", comment_id="cm1")
    await decisions.send_comment(desk.client, pending.id, comment)
    await decisions.send_comment(desk.client, pending.id, comment)
    assert (await send(desk, pending, "release", "alice")).status is MintStatus.PENDING
    assert (await desk.kinds(pending)).count("comment.added") == 1


async def test_a_comment_by_a_stranger_is_dropped(desk, pending):
    """Unknown authors neither reach the record nor move the clock."""
    await decisions.send_comment(
        desk.client, pending.id, CommentMessage(author="mallory", text="hi", comment_id="cm2")
    )
    assert (await send(desk, pending, "claim", "alice")).assignee == "alice"
    assert "comment.added" not in await desk.kinds(pending)


async def test_the_view_says_what_is_awaited(desk, pending):
    """Query `view`: state, missing approvals, eligible tiers, next timer and deadline."""
    view = await desk.view(pending)
    assert (view.status, view.missing_approvals, view.eligible_tiers) == (MintStatus.PENDING, 1, (1,))
    assert view.next_timer["name"] == "reminder due"
    assert view.expires_at - view.created_at == 24 * HOUR
    assert view.digest == pending.request.digest()


async def test_activity_restarts_the_reminder_only_under_the_inactivity_clock(desk):
    """A claim at 3 h moves the reminder to 7 h if the policy says so; the expiry stays."""
    from db.writes import publication

    policy = desk.seeded.policy.model_copy(update={"id": "acme-inactive", "clock": "inactivity"})
    async with desk.seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))
    start = datetime.now(UTC) - 3 * HOUR
    async with desk.worker():
        for chosen, expected in ((policy, 7), (desk.seeded.policy, 4)):
            ticket = await desk.submit(policy=chosen, created_at=start)
            await desk.until_status(ticket, MintStatus.PENDING)
            await send(desk, ticket, "claim", "alice")
            view = await desk.view(ticket)
            due = datetime.fromisoformat(view.next_timer["due_at"])
            assert abs(due - (start + expected * HOUR)) < timedelta(minutes=5)
            assert view.expires_at == start + 24 * HOUR
