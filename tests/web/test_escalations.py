"""`/escalations/{run}/cancel` and `/resume` of the real web server: signed commands, and nothing else."""

import pytest

from domain.commands import CommandAction
from tests.support.commands import a_command
from tests.support.tokens import bearer
from tests.web.test_acks import web as web


def body(envelope):
    """What is posted."""
    return envelope.model_dump(mode="json", by_alias=True)


async def test_an_admin_cancels_and_an_approver_resumes(web, desk, pending):
    """200 with the outcome; the run says so, and the request goes on."""
    told = await web.post(f"/escalations/{pending.id}/cancel", json=body(a_command(desk, pending.id)))
    assert (told.status_code, told.json()["by"]) == (200, "adam")
    me = await bearer(desk.seeded, "alice")
    shown = (await web.get(f"/api/escalations/{pending.id}", headers=me)).json()
    assert (shown["state"], shown["ended_by"], shown["request_status"]) == ("cancelled", "adam", "PENDING")
    resume = a_command(desk, pending.id, "alice", CommandAction.RESUME_ESCALATION)
    told = await web.post(f"/escalations/{pending.id}/resume", json=body(resume))
    assert told.status_code == 200
    [run] = (await web.get("/api/escalations", headers=me)).json()["escalations"]
    assert (run["id"], run["state"]) == (pending.id, "running")


async def test_the_same_command_again_takes_effect_once(web, desk, pending):
    """A client that lost the answer sends it again: the first answer, one audit event."""
    command = body(a_command(desk, pending.id))
    first, again = [await web.post(f"/escalations/{pending.id}/cancel", json=command) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (200, first.json())
    assert (await desk.kinds(pending)).count("escalation.cancelled") == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"by": "rita"}, 403),
        ({"key_of": "rita"}, 403),
        ({"action": CommandAction.RESUME_ESCALATION}, 403),
        ({"target": "mr_00000000000000000000000000"}, 403),
    ],
)
async def test_what_is_not_entitled_is_forbidden(web, desk, pending, changes, status):
    """A problem document with the reason; nothing has happened."""
    answer = await web.post(
        f"/escalations/{pending.id}/cancel", json=body(a_command(desk, pending.id, **changes))
    )
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "command_refused"
    assert (await desk.record(pending)).escalation_cancelled_at is None


async def test_a_reason_is_needed(web, desk, pending):
    """400, and the command is as good as unused."""
    command = body(a_command(desk, pending.id, body={}))
    answer = await web.post(f"/escalations/{pending.id}/cancel", json=command)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_garbage_and_unknown_runs_are_told_apart(web, desk, pending):
    """400 for what is no command, 404 for a run that nobody knows, 409 for one that is over."""
    assert (await web.post(f"/escalations/{pending.id}/cancel", content=b"{}")).status_code == 400
    nobody = "esc_" + "0" * 32
    assert (
        await web.post(f"/escalations/{nobody}/cancel", json=body(a_command(desk, nobody)))
    ).status_code == 404
    me = await bearer(desk.seeded, "alice")
    assert (await web.get(f"/api/escalations/{nobody}", headers=me)).status_code == 404
    await desk.decide(pending, "alice")
    over = await web.post(f"/escalations/{pending.id}/cancel", json=body(a_command(desk, pending.id)))
    assert over.status_code == 409
