"""`mintkeeper demo --exit --json`: the product's promise, played from a CSV file to the ledger."""

import json
import signal
import subprocess

import pytest

from tests.local.stacks import CLI, PATIENCE, environment, processes_of


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The demo's document, from one run with the defaults."""
    data = tmp_path_factory.mktemp("demo") / "data"
    done = subprocess.run(
        [*CLI, "demo", "--exit", "--json", "--data-dir", str(data)],
        capture_output=True, text=True, timeout=180, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not processes_of(data)
    return json.loads(done.stdout)["requests"]


def _kinds(request: dict) -> str:
    return " ".join(event["kind"] for event in request["timeline"])


def test_interrupted_demo_leaves_nothing(tmp_path):
    """Ctrl-C in the middle stops everything and is no success."""
    command = [*CLI, "demo", "--json", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as demo:
        assert any("submitted" in line for line in demo.stderr)
        demo.send_signal(signal.SIGINT)
        document, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1
    assert json.loads(document)["error"]["code"] == "interrupted"
    assert not processes_of(tmp_path / "data")


def test_every_end_is_reached(played):
    """All the ends of the issue are there, the re-submission among them."""
    ends = sorted(request["status"] for request in played)
    assert ends == ["CONFIRMED"] * 4 + ["EXPIRED", "REJECTED", "TIMEOUT_FAILED"]


def test_resubmission_is_linked_both_ways(played):
    """What expired was asked for again as a new request, which was confirmed."""
    by_id = {request["id"]: request for request in played}
    expired = next(request for request in played if request["status"] == "EXPIRED")
    again = by_id[expired["resubmitted_as"]]
    assert again["resubmission_of"] == expired["id"]
    assert again["status"] == "CONFIRMED"


def test_tier_two_takes_over(played):
    """A request that tier 1 left alone was escalated, claimed and approved by tier 2."""
    taken = [request for request in played if request["assignee"] == "carol"]
    assert len(taken) == 1
    assert taken[0]["escalation_level"] == 2
    assert [approval["tier"] for approval in taken[0]["approvals"]] == [2]


def test_reminder_and_escalation_are_in_the_timelines(played):
    """The timelines tell when people were reminded and when the request was escalated."""
    told = " ".join(_kinds(request) for request in played)
    assert "remind" in told
    assert "escalat" in told


def test_timeout_has_its_proof(played):
    """What never landed says so with the three steps of the proof."""
    lost = next(request for request in played if request["status"] == "TIMEOUT_FAILED")
    proof = lost["submission"]["proof"]
    assert proof["kind"] == "never_landed"
    assert proof["absent_hashes"] == [lost["submission"]["hash"]]
    assert proof["account_sequence"] < proof["transaction_sequence"]


def test_confirmed_ones_are_on_the_ledger(played):
    """Each confirmed request names its ledger."""
    confirmed = [request for request in played if request["status"] == "CONFIRMED"]
    assert all(request["submission"]["ledger"] for request in confirmed)
    assert len({request["submission"]["hash"] for request in confirmed}) == 4
