"""An operator's way out of ANOMALY with the real CLI, workers, Temporal server, database and ledger."""

import hashlib
import json
from contextlib import AsyncExitStack

import pytest

from activities.stellar.activities import StellarActivities
from activities.stellar.channel_accounts import ChannelAccountActivities
from activities.stellar.horizon import Horizon
from domain.mint_request import MintStatus
from tests.cli.conftest import CLOSED_PORT, submit_arguments
from tests.support.anomalies import desk_loses_a_sequence
from tests.support.desk import Desk
from tests.support.ledger import mint_ledger
from worker import stellar_worker


@pytest.fixture
async def operations(desk, seeded, temporal_server):
    """A desk that mints on a sandbox ledger, in the CLI's own database and namespace."""
    async with mint_ledger(2, interval=0) as ledger:
        yield Desk(temporal_server, temporal_server.client, seeded, ledger=ledger, window_seconds=5)


async def test_an_anomaly_is_inspected_and_resolved(desk, operations, tmp_path):
    """Seen, saved, refused where the evidence says otherwise, signed where it agrees, and then over."""
    saved, changed = tmp_path / "evidence.json", tmp_path / "changed.json"
    async with operations.worker():
        ticket = await desk_loses_a_sequence(operations)
        resolve = ("resolve", ticket.id, "--as", "adam", "--reason", "the key was stolen", "--json")
        shown = await desk("ledger", "inspect", ticket.id)
        panel = await desk("show", ticket.id)
        looked = await desk("ledger", "inspect", ticket.request.track_number, "--save", str(saved), "--json")
        again = await desk("ledger", "inspect", ticket.id, "--save", str(saved), "--json")
        changed.write_bytes(saved.read_bytes().replace(b'"FROZEN"', b'"FREE"'))
        wrong = await desk(*resolve, "--outcome", "confirmed")
        forged = await desk(*resolve, "--outcome", "failed", "--evidence", str(changed))
        strange = await desk(*resolve, "--outcome", "failed", "--evidence", str(tmp_path / "keys"))
        stranger = await desk(
            "resolve", ticket.id, "--as", "alice", "--reason", "r", "--outcome", "failed", "--json"
        )
        assert (await operations.record(ticket)).status is MintStatus.ANOMALY
        done = await desk(*resolve, "--outcome", "failed", "--evidence", str(saved))
        late = await desk(*resolve, "--outcome", "failed")
        ended = await desk("ledger", "inspect", ticket.id, "--json")
    document = looked.json
    assert f"mintkeeper ledger inspect {ticket.id}" in panel.out
    assert shown.code == 0, shown.err
    for word in (
        "FAILED",
        "stroops",
        "used up by",
        "same sequence",
        "absent",
        "the request's digest",
        "FROZEN",
    ):
        assert word in shown.out
    assert f'mintkeeper resolve {ticket.id} --as ADMIN --outcome failed --reason "WHY"' in shown.out
    assert document["supports"] == ["FAILED", "TIMEOUT_FAILED"]
    assert document["next"].endswith(f"--evidence {saved}")
    assert document["evidence_sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert document["evidence"] == json.loads(saved.read_bytes())
    assert (again.code, again.error["code"]) == (1, "refused")
    assert (wrong.code, wrong.error["reason"]) == (1, "evidence_contradicts")
    assert (forged.code, forged.error["reason"]) == (1, "evidence_unknown")
    assert (strange.code, strange.error["code"]) == (1, "invalid_input")
    assert (stranger.code, stranger.error["reason"]) == (1, "not_entitled")
    assert (done.code, done.json["status"]) == (0, "FAILED"), done.err
    assert done.json["evidence_sha256"] == document["evidence_sha256"]
    assert (late.code, late.error["code"]) == (1, "not_open")
    assert (ended.json["conclusion"], ended.json["stored"]["proof"]["kind"]) == ("FAILED", "operator")
    assert ended.json["next"] == "nothing: the request is FAILED"


async def test_a_resolution_looks_for_itself(desk, operations):
    """Without a file the ledger is inspected at once, shown, and what it shows is signed."""
    async with operations.worker():
        ticket = await desk_loses_a_sequence(operations)
        done = await desk(
            "resolve", ticket.id, "--as", "adam", "--reason", "stolen", "--outcome", "timeout_failed"
        )
        record = await operations.until_status(ticket, MintStatus.TIMEOUT_FAILED)
    assert done.code == 0, done.err
    assert record.result.proof.evidence_sha256 in done.out
    assert "the request is TIMEOUT_FAILED" in done.out


async def test_nobody_looks_where_no_worker_serves_the_ledger(desk, worker):
    """One clear line says which worker is missing, also where one has polled a moment ago."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        result = await desk("ledger", "inspect", request_id, "--json")
    assert (result.code, result.error["code"]) == (1, "unavailable")
    assert "mintkeeper worker --queues stellar" in result.error["message"]
    assert len(result.err.splitlines()) == 1


async def test_what_was_not_signed_is_not_inspected_or_resolved(desk, operations):
    """PENDING: there is nothing the ledger could know, and nothing to resolve."""
    async with operations.worker():
        ticket = await operations.submit()
        await operations.until_status(ticket, MintStatus.PENDING)
        looked = await desk("ledger", "inspect", ticket.id, "--json")
        command = ("resolve", ticket.id, "--as", "adam", "--reason", "r", "--outcome", "failed", "--json")
        resolved = await desk(*command)
    assert (looked.code, looked.error["code"]) == (1, "refused")
    assert "nothing was signed" in looked.error["message"]
    assert (resolved.code, resolved.error["code"]) == (1, "not_open")
    assert "is PENDING" in resolved.error["message"]


async def test_a_horizon_that_is_down_is_named(desk, worker, operations, seeded):
    """The worker looks in vain, and the operator reads why."""
    async with operations.worker():
        ticket = await operations.submit()
        await operations.decide(ticket, "alice")
        await ticket.handle.result()
    horizon = Horizon(f"http://{CLOSED_PORT}")
    means = (seeded.database, horizon, operations.ledger.wallet(), operations.ledger.rules())
    client = operations.client
    async with AsyncExitStack() as stack:
        stack.push_async_callback(horizon.close)
        await stack.enter_async_context(worker())
        activities = StellarActivities(*means), ChannelAccountActivities(*means)
        await stack.enter_async_context(stellar_worker(client, *activities))
        result = await desk("ledger", "inspect", ticket.id, "--json")
    assert (result.code, result.error["code"]) == (1, "unavailable")
    assert "cannot reach Horizon" in result.error["message"]
