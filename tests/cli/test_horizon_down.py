"""Horizon is down when a mint is asked for and approved: it waits, nothing is lost, and one mint comes."""

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager

import httpx

from sandbox.ledger.server import SandboxOptions, running_sandbox
from tests.cli.conftest import NETWORK, ROOT, CommandLine, submit_arguments
from tests.support.ledger import mint_ledger

PATIENCE = 90.0
"""Seconds after which the test gives up; the worker asks Horizon again every 10 s at the latest."""


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@asynccontextmanager
async def running_worker(cli: CommandLine):
    """A worker process for requests and for the ledger, which starts although Horizon is down."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINTKEEPER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "cli.py"), "worker", "--queues", "mint,stellar"),
        *("--data-dir", str(cli.data_dir)),
        env={**inherited, **cli.environment},
    )
    try:
        yield
        assert process.returncode is None
    finally:
        process.terminate()
        await process.wait()


async def until_status(cli: CommandLine, request_id: str, status: str) -> dict:
    """Wait until `show` says so."""
    async with asyncio.timeout(PATIENCE):
        # the request may not be recorded yet
        while (shown := (await cli("show", request_id, "--json")).json).get("status") != status:
            await asyncio.sleep(0.5)
        return shown


async def test_what_was_approved_while_horizon_was_down_is_minted_once_it_is_up(desk, tmp_path):
    """Accepted, approved, kept; the doctor names Horizon; after it has come up there is one payment."""
    data = tmp_path / "ledger.db"
    async with mint_ledger(1, interval=0, data=data) as ledger:
        asset, holder = str(ledger.asset), ledger.holder.public_key
        signers = {"ISSUER_SEED": ledger.issuer.secret, "CHANNEL_SEED": ledger.channels[0].secret}
    port = free_port()
    environment = {
        "MINTKEEPER_HORIZON_URL": f"http://127.0.0.1:{port}",
        "MINTKEEPER_ISSUER_SIGNER": "env:ISSUER_SEED",
        "MINTKEEPER_CHANNEL_SIGNER": "env:CHANNEL_SEED",
    }
    cli = CommandLine(desk.data_dir, desk.environment | environment | signers, desk.nursery)
    async with running_worker(cli):
        submitted = await cli(*submit_arguments(asset=asset, to=holder, key="while-down"))
        assert (submitted.code, submitted.err) == (0, "")
        request_id = submitted.json["id"]
        await until_status(cli, request_id, "PENDING")
        approved = await cli("approve", request_id, "--as", "alice", "--json")
        assert (approved.code, approved.json["accepted"]) == (0, True)
        doctor = await cli("doctor", "--json")
        [finding] = [check for check in doctor.error["checks"] if check["name"] == "horizon"]
        assert finding["state"] == "failed"
        assert f"cannot reach Horizon at http://127.0.0.1:{port}" in finding["detail"]
        waiting = (await cli("show", request_id, "--json")).json
        assert (waiting["status"], waiting["submission"]) == ("APPROVED", None)
        again = await cli(*submit_arguments(asset=asset, to=holder, key="while-down"))
        assert (again.code, again.json["id"]) == (0, request_id)
        options = SandboxOptions(network_passphrase=NETWORK, port=port, interval=0, data=data)
        async with running_sandbox(options):
            confirmed = await until_status(cli, request_id, "CONFIRMED")
            async with httpx.AsyncClient(base_url=environment["MINTKEEPER_HORIZON_URL"]) as horizon:
                page = (await horizon.get(f"/accounts/{holder}/payments", params={"limit": 200})).json()
    assert confirmed["submission"]["outcome"] == "CONFIRMED"
    payments = [record for record in page["_embedded"]["records"] if record["type"] == "payment"]
    assert [(payment["amount"], payment["transaction_hash"]) for payment in payments] == [
        ("2500.0000000", confirmed["submission"]["hash"])
    ]
