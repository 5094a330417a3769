"""The doctor: what it finds in a healthy house, and in an ailing one."""

import os
import subprocess
import sys

import pytest
import pytest_asyncio
from aiohttp import web
from temporalio.testing import WorkflowEnvironment

from commands.stack import read_stack
from starter.account_care import set_password
from tests.cli.conftest import NETWORK, write_stack
from tests.support.temporal import server_options


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def temporal_server():
    """A server of our own: on the shared one another test's worker still counts for a minute."""
    async with await WorkflowEnvironment.start_local(**server_options()) as env:
        yield env


@pytest.fixture
async def horizon():
    """The root document of a Horizon, as far as the doctor reads it."""

    async def root(_request):
        return web.json_response({"network_passphrase": NETWORK})

    app = web.Application()
    app.router.add_get("/", root)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def states(result) -> dict[str, str]:
    """State by check, healthy or not."""
    document = result.json if "checks" in result.json else result.error
    return {check["name"]: check["state"] for check in document["checks"]}


async def test_who_can_sign_in_and_over_what_is_said(desk, seeded):
    """No admin with an account and an address without TLS are notes; half a provider is a failure."""
    plain = await desk("doctor", "--json", MINTKEEPER_PUBLIC_URL="http://mint.example")
    assert (states(plain)["accounts"], states(plain)["public url"]) == ("note", "note")
    await set_password(seeded.database, "acme", "adam", "three quiet river stones", actor="setup")
    better = await desk(
        "doctor",
        "--json",
        MINTKEEPER_PUBLIC_URL="https://mint.example",
        MINTKEEPER_OIDC_ISSUER="https://x.example",
    )
    found = states(better)
    assert (found["accounts"], found["public url"], found["sign-in provider"]) == ("ok", "ok", "failed")


async def test_a_healthy_house(desk, worker, horizon):
    """Everything that this test runs is found well; what it does not run is named."""
    async with worker():
        result = await desk("doctor", "--json", MINTKEEPER_HORIZON_URL=horizon)
    found = states(result)
    for name in ("database", "schema", "temporal", "search attributes", "worker mint", "horizon", "keys"):
        assert found[name] == "ok"
    assert (found["channel slack"], found["worker stellar"], found["issuer signer"]) == (
        "note",
        "failed",
        "failed",
    )
    assert result.code == 1


async def test_another_network_is_noticed(desk, horizon):
    """A Horizon of another network would make every signature worthless."""
    result = await desk("doctor", MINTKEEPER_HORIZON_URL=horizon, MINTKEEPER_NETWORK_PASSPHRASE="Other")
    assert result.code == 1
    assert "MINTKEEPER_NETWORK_PASSPHRASE" in result.out
    assert "horizon" in result.err


async def test_a_key_that_others_can_read_is_noticed(desk):
    """The doctor says which, and how to mend it."""
    path = desk.data_dir / "keys" / "alice.pem"
    path.chmod(0o644)
    result = await desk("doctor", "--json")
    checks = {check["name"]: check for check in result.error["checks"]}
    assert checks["key alice"]["mend"] == f"run 'chmod 600 {path}'"


def test_a_stack_that_runs_no_more_does_not_count(tmp_path):
    """A file may outlive its stack; an unreadable one is none."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_stack(tmp_path, pids={"temporal": ended.pid})
    assert read_stack(tmp_path) is None
    write_stack(tmp_path, pids={"temporal": ended.pid, "worker": os.getpid()})
    assert read_stack(tmp_path) is not None
    (tmp_path / "stack.json").write_text("{")
    assert read_stack(tmp_path) is None


async def test_the_authority_key_is_looked_at(desk, horizon, tmp_path):
    """None, a good one, an old one, one that others can read, an empty one; and the clocks agree."""
    path = tmp_path / "authority.seeds"

    async def found():
        setting = {"MINTKEEPER_AUTHORITY_KEY": f"file:{path}"}
        return states(await desk("doctor", "--json", MINTKEEPER_HORIZON_URL=horizon, **setting))

    assert states(await desk("doctor", "--json"))["authority key"] == "note"
    rotated = await desk("keys", "rotate", "--file", str(path), "--json")
    assert rotated.json["signs"] == rotated.json["keys"][0]["key_id"]
    healthy = await found()
    assert (healthy["authority key"], healthy["clock"]) == ("ok", "ok")
    fresh = path.read_text()
    path.write_text(fresh.replace(fresh[10:14], "2019", 1))
    assert (await found())["authority key"] == "note"
    path.chmod(0o644)
    assert (await found())["authority key"] == "failed"
    path.chmod(0o600)
    path.write_text("# nothing\n")
    assert (await found())["authority key"] == "failed"
    path.unlink()
    assert (await found())["authority key"] == "failed"
