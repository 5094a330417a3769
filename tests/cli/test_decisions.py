"""Deciding and assigning with the real CLI, database, Temporal server and worker."""

import asyncio
from datetime import UTC, datetime

import pytest
from temporalio.client import WorkflowExecutionStatus

from domain.approvals import Verdict
from domain.errors import OutcomeUnknown
from domain.mint_request import workflow_id
from starter.decisions import decide, make_decision, sign_decision
from tests.cli.conftest import submit_arguments

TWO_APPROVALS = {"amount": "20000"}
"""More than 10,000: two approvals, one of them of tier 2 or above."""


async def submitted(desk, **changes) -> str:
    """The id of a fresh, open request."""
    result = await desk(*submit_arguments(**changes))
    assert result.json["opened"], result.err
    return result.json["id"]


async def test_approvals_count_until_the_rule_is_satisfied(desk, worker):
    """Each answer says what is still missing; who has approved once can't do so twice."""
    async with worker():
        request_id = await submitted(desk, **TWO_APPROVALS)
        first = await desk("approve", request_id, "--as", "alice", "--reason", "seen the invoice", "--json")
        twice = await desk("approve", request_id, "--as", "alice", "--json")
        second = await desk("approve", request_id, "--as", "carol", "--json")
        shown = (await desk("show", request_id, "--json")).json
    assert (first.code, first.json["accepted"], first.json["missing"]) == (0, True, 1)
    assert first.json["missing_tier"] == 2
    assert (twice.code, twice.error["code"], twice.error["reason"]) == (
        1,
        "decision_refused",
        "already_decided",
    )
    assert (second.code, second.json["status"], second.json["missing"]) == (0, "APPROVED", 0)
    assert [approval["approver"] for approval in shown["approvals"]] == ["alice", "carol"]


async def test_refusals_say_which_rule(desk, worker):
    """Four eyes, tiers and roles, each with its reason, exit code 1 and no effect."""
    async with worker():
        request_id = await submitted(desk)
        requester, early, admin = await asyncio.gather(
            desk("approve", request_id, "--as", "rita", "--json"),
            desk("approve", request_id, "--as", "dave", "--json"),
            desk("approve", request_id, "--as", "adam", "--json"),
        )
        shown = (await desk("show", request_id, "--json")).json
    assert [result.code for result in (requester, early, admin)] == [1, 1, 1]
    assert requester.error["reason"] == "self_approval"
    assert early.error["reason"] == "tier_not_eligible"
    assert admin.error["reason"] == "unknown_approver"
    assert (shown["status"], shown["approvals"]) == ("PENDING", [])


async def test_a_rejection_ends_the_request_and_it_can_be_asked_for_again(desk, worker):
    """Later decisions get the recorded outcome; a re-submission is a new request, linked both ways."""
    async with worker():
        request_id = await submitted(desk)
        early = await desk("resubmit", request_id, "--as", "rita", "--json")
        rejected = await desk("reject", request_id, "--as", "bob", "--reason", "wrong amount", "--json")
        late = await desk("approve", request_id, "--as", "alice", "--json")
        again = await desk("resubmit", request_id, "--as", "rita", "--json")
        doubled = await desk("resubmit", request_id, "--as", "rita", "--json")
        old, new = await asyncio.gather(
            desk("show", request_id, "--json"), desk("show", again.json["id"], "--json")
        )
    assert (early.code, early.error["code"]) == (1, "refused")
    assert rejected.json["status"] == "REJECTED"
    assert (late.code, late.error["code"]) == (1, "not_open")
    assert f"{request_id} is REJECTED already" in late.error["message"]
    assert again.json["resubmission_of"] == request_id
    assert (doubled.code, doubled.error["code"]) == (1, "refused")
    assert (old.json["resubmitted_as"], new.json["resubmission_of"]) == (again.json["id"], request_id)
    assert new.json["status"] == "PENDING"


async def test_the_requester_cancels(desk, worker):
    """Only the requester or an admin, and the answer is the recorded state."""
    async with worker():
        request_id = await submitted(desk)
        other = await desk("cancel", request_id, "--as", "bob", "--json")
        done = await desk("cancel", request_id, "--as", "rita", "--json")
    assert other.error["reason"] == "not_entitled"
    assert (done.code, done.json["status"]) == (0, "CANCELLED")


async def test_without_a_worker_a_decision_becomes_a_durable_signal(desk, worker):
    """The outcome is not known yet, and how to look is said; it takes effect when a worker runs."""
    async with worker():
        request_id = await submitted(desk)
        sent = await desk("approve", request_id, "--as", "alice", "--signal", "--json")
        await until_status(desk, request_id, "APPROVED")
    assert (sent.code, sent.json["sent"], sent.json["accepted"]) == (0, "signal", None)
    assert sent.json["look"] == f"mintkeeper show {request_id}"


async def until_status(desk, request_id, status) -> dict:
    """Wait until `show` says so; the test's own time limit is the only one."""
    async with asyncio.timeout(30):
        while True:
            shown = (await desk("show", request_id, "--json")).json
            if shown["status"] == status:
                return shown


async def test_an_answer_that_does_not_come_is_unknown_and_the_same_decision_asks_again(
    desk, worker, seeded, temporal_server
):
    """After a time-out the decision may still count: the same id gets the first answer, once."""
    async with worker():
        request_id = await submitted(desk)
    # the worker has polled a moment ago, so the CLI expects an answer
    lost = await desk("approve", request_id, "--as", "alice", "--wait", "2", "--json")
    assert (lost.code, lost.error["code"]) == (1, "outcome_unknown")
    decision_id = lost.error["decision_id"]
    assert f"--decision-id {decision_id}" in lost.error["message"]
    async with worker():
        again = await desk("approve", request_id, "--as", "alice", "--decision-id", decision_id, "--json")
        shown = (await desk("show", request_id, "--json")).json
    assert (again.code, again.json["accepted"], again.json["status"]) == (0, True, "APPROVED")
    assert [approval["decision_id"] for approval in shown["approvals"]] == [decision_id]


async def test_a_lost_workflow_is_not_mistaken_for_an_outcome(desk, worker, temporal_server):
    """Terminated behind our back, PENDING in the database: refused, with what the database knows."""
    async with worker():
        request_id = await submitted(desk)
        handle = temporal_server.client.get_workflow_handle(workflow_id(request_id))
        await handle.terminate()
        result = await desk("approve", request_id, "--as", "alice", "--json")
    assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED
    assert (result.code, result.error["code"]) == (1, "not_open")
    assert "no running workflow" in result.error["message"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
async def test_a_key_that_others_can_read_is_refused(desk, worker, mode):
    """Nothing is signed with it, and the message says how to mend it."""
    (desk.data_dir / "keys" / "alice.pem").chmod(mode)
    result = await desk("approve", "mr_" + "0" * 26, "--as", "alice", "--json")
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "chmod 600" in result.error["message"]


async def test_a_reason_of_more_than_2000_characters_is_refused(desk, worker):
    """The limit is named before anything is sent; 2,000 are fine."""
    async with worker():
        request_id = await submitted(desk)
        long = await desk("reject", request_id, "--as", "bob", "--reason", "x" * 2001, "--json")
        fits = await desk("reject", request_id, "--as", "bob", "--reason", "x" * 2000, "--json")
    assert (long.code, long.error["code"], long.error["field"]) == (1, "invalid_input", "reason")
    assert (fits.code, fits.json["status"]) == (0, "REJECTED")


async def test_claims_assignments_and_comments(desk, worker):
    """They say who works on it and what was said; they approve nothing."""
    async with worker():
        request_id = await submitted(desk)
        claimed = await desk("claim", request_id, "--as", "alice", "--json")
        taken = await desk("claim", request_id, "--as", "bob", "--json")
        assigned = await desk("assign", request_id, "--as", "adam", "--to", "bob", "--json")
        said = await desk("comment", request_id, "waiting for the invoice", "--as", "bob", "--json")
        released = await desk("release", request_id, "--as", "bob", "--json")
        shown = (await desk("show", request_id, "--json")).json
    assert claimed.json["assignee"] == "alice"
    assert (taken.code, taken.error["code"]) == (1, "refused")
    assert assigned.json["assignee"] == "bob"
    assert said.code == 0
    assert released.json["assignee"] is None
    assert (shown["status"], shown["approvals"]) == ("PENDING", [])
    assert "waiting for the invoice" in str(shown["timeline"])


async def test_watch_ends_with_the_request(desk, worker):
    """It follows the timeline on stderr and answers the last state."""
    async with worker():
        request_id = await submitted(desk)
        watching = asyncio.create_task(desk("watch", request_id, "--json", "--interval", "0.2"))
        await desk("cancel", request_id, "--as", "rita", "--reason", "not needed")
        watched = await watching
    assert (watched.code, watched.json["status"]) == (0, "CANCELLED")
    assert "request.opened" in watched.err


async def test_a_time_out_is_told_apart_from_a_refusal(desk, worker, seeded, temporal_server):
    """`decide` with nobody to answer raises OutcomeUnknown with the id to ask again with."""
    result = await desk(*submit_arguments())
    decision = make_decision(
        decision_id="dc_00000001",
        request_id=result.json["id"],
        digest="0" * 64,
        verdict=Verdict.APPROVE,
        approver="alice",
        reason="",
        issued_at=datetime.now(UTC),
    )
    signed = sign_decision(decision, seeded.keys["alice"])
    with pytest.raises(OutcomeUnknown, match="--decision-id dc_00000001"):
        await decide(temporal_server.client, result.json["id"], signed, "dc_00000001", limit_seconds=0.5)
