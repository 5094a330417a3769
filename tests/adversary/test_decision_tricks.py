"""Decisions made to count twice, for somebody else, or too late; messages that hold the turn."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.decisions import DecisionActivities
from activities.requests import RequestActivities
from activities.upkeep import UpkeepActivities
from db import reads
from db.writes import requests
from domain.approvals import Verdict
from domain.errors import MintkeeperError
from domain.mint_request import MintStatus
from domain.steps import AssignMessage, CommentMessage, DecideStep, StageStep
from domain.upkeep import WorkflowState
from starter import decisions
from starter.ids import new_message_id
from tests.support.desk import Ticket

TWO_APPROVALS = 200_000_000_000


@pytest.fixture
async def pending(desk):
    """A request that needs two approvals, with its worker running."""
    async with desk.worker():
        ticket = await desk.submit(amount=TWO_APPROVALS)
        await desk.until_status(ticket, MintStatus.PENDING)
        yield ticket


@pytest.mark.parametrize(("by", "verdict"), [("bob", Verdict.REJECT), ("alice", Verdict.REJECT)])
async def test_a_taken_decision_id_never_answers_for_another_decision(desk, pending, by, verdict):
    """What did not take effect is not called accepted, whoever used the id before."""
    assert (await desk.decide(pending, "alice", decision_id="dc_taken-1")).accepted
    await pending.handle.signal("reject", desk.sign(pending, by, verdict, decision_id="dc_taken-1"))
    assert await desk.until_refused(pending) == ["already_decided"]
    assert (await desk.record(pending)).status is MintStatus.PENDING


async def test_an_id_that_approved_another_request_is_refused_and_audited(desk, pending):
    """A decision belongs to one request; the refusal is no internal error and holds nobody up."""
    assert (await desk.decide(pending, "alice", decision_id="dc_reused-1")).accepted
    other = await desk.submit(amount=TWO_APPROVALS)
    await other.handle.signal("approve", desk.sign(other, "alice", decision_id="dc_reused-1"))
    assert await desk.until_refused(other) == ["already_decided"]
    assert (await desk.record(other)).approvals == ()


async def written(desk, age):
    """A request of that age that stands in the database alone."""
    order = await desk.order(created_at=datetime.now(UTC) - age)
    async with desk.seeded.database.transaction() as tx:
        await requests.open_request(
            tx,
            request=order.request,
            policy=order.policy,
            rule=order.rule,
            sla_scale=1,
            created_at=order.created_at,
            expires_at=order.created_at + timedelta(hours=24),
            run_id="run",
        )
    ticket = Ticket(order.request, desk.client.get_workflow_handle(f"mint-{order.request.id}"))
    signed = desk.sign(ticket, "alice").model_dump(mode="json", by_alias=True)
    at = order.created_at + timedelta(hours=1)
    step = DecideStep(request_id=ticket.id, tenant="acme", signed=signed, expected=(Verdict.APPROVE,), at=at)
    return ticket, step


async def test_a_decision_held_up_beyond_the_deadline_is_refused(desk):
    """Processing began in time, the database came back too late: the deadline is judged at the write."""
    ticket, step = await written(desk, timedelta(hours=25))
    answer = await DecisionActivities(desk.seeded.database).decide(step)
    assert (answer.outcome.accepted, answer.outcome.reason) == (False, "expired")
    assert (await desk.record(ticket)).approvals == ()


async def test_a_stage_finds_the_approval_that_the_workflow_never_heard_of(desk):
    """Written by a worker that died before it answered: the stage runs not and says where it stands."""
    ticket, step = await written(desk, timedelta(hours=4))
    assert (await DecisionActivities(desk.seeded.database).decide(step)).outcome.accepted
    stage = StageStep(request_id=ticket.id, stage=1, due_at=datetime.now(UTC), at=datetime.now(UTC))
    standing = await RequestActivities(desk.seeded.database).run_stage(stage)
    assert standing.status is MintStatus.APPROVED
    assert "stage.reminder" not in await desk.kinds(ticket)


async def test_a_stranger_can_not_release_or_assign(desk, pending):
    """Whoever acts is a known, active user, also when nothing but the assignee changes."""
    message = AssignMessage(actor="alice", message_id=new_message_id())
    await decisions.send_assignment(desk.client, pending.id, "claim", message, 30)
    for verb, assignee in (("release", None), ("assign", "bob")):
        forged = AssignMessage(actor="mallory", assignee=assignee, message_id=new_message_id())
        with pytest.raises(MintkeeperError, match="mallory"):
            await decisions.send_assignment(desk.client, pending.id, verb, forged, 30)
    assert (await desk.record(pending)).assignee == "alice"


async def test_a_comment_id_of_another_request_is_refused_at_once(desk, pending):
    """A colliding id is refused, not retried while it holds the turn of everybody else."""
    comment = CommentMessage(author="alice", text="looking", comment_id="cm_shared")
    before = await desk.record(pending)
    await decisions.send_comment(desk.client, pending.id, comment)
    other = await desk.submit(amount=TWO_APPROVALS)
    await desk.until(pending, lambda record: record.version > before.version)
    for _ in range(20):
        await decisions.send_comment(desk.client, other.id, comment)
    assert (await desk.decide(other, "alice")).accepted
    assert "comment.added" not in await desk.kinds(other)


class EndsMeanwhile:
    """Temporal as the audit sees it when a request ends between its list and its look."""

    def __init__(self, end):
        self.end, self.restarted = end, []

    async def state(self, request_id):
        await self.end()
        return WorkflowState.CLOSED

    async def restart(self, record):
        self.restarted.append(record.request.id)


async def test_the_audit_does_not_restart_what_ended_meanwhile(desk, pending):
    """A workflow that closed by itself after the list was read is no lost workflow."""
    from temporalio.testing import ActivityEnvironment

    async def end():
        await desk.decide(pending, "bob", Verdict.REJECT)
        await pending.handle.result()

    workflows = EndsMeanwhile(end)
    upkeep = UpkeepActivities(desk.seeded.database, workflows)
    report = await ActivityEnvironment().run(upkeep.audit_pending)
    assert (report.restarted, workflows.restarted) == ((), [])
    async with desk.seeded.database.transaction() as tx:
        assert await reads.open_requests(tx) == []
