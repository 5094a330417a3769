"""Running the real command line, as a process of its own or, where nothing is shared, in this one."""

import asyncio
import functools
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from commands.stack import STACK_FILE
from tests.support import nursery
from tests.support.postgres import Seeded
from worker import mint_worker

ROOT = Path(__file__).parents[2]
ISSUER = "GBZXN7PIRZGNMHGA7MUUUF4GWPY5AYPV6LY4UV2GL6VJGIQRXFDNMADI"
DESTINATION = "GA5XIGA5C7QTPTWXQHY6MCJRMTRZDOSHR6EFIBNDQTCQHG262N4GGKTM"
NETWORK = "Test SDF Network ; September 2015"
CLOSED_PORT = "127.0.0.1:9"
"""Nobody listens there: a connection is refused at once."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


class CommandLine:
    """The CLI with an environment of its own."""

    def __init__(self, data_dir: Path, environment: dict[str, str], nursery: Path | None = None) -> None:
        self.data_dir = data_dir
        self.environment = environment
        self.nursery = nursery
        """Where processes are forked; None: each begins anew, with all its imports."""

    async def __call__(self, *arguments: str, **changes: str) -> Result:
        """Run `mintkeeper <arguments> --data-dir …`; `changes` to the environment by variable name."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MINTKEEPER_", "TEMPORAL_"))
        }
        environment = {**inherited, **self.environment, **changes}
        command = [*arguments, "--data-dir", str(self.data_dir)]
        begin = _begin_anew if self.nursery is None else functools.partial(nursery.run, self.nursery)
        code, out, err = await begin(command, environment)
        return Result(code, out.decode(), err.decode())


async def _begin_anew(command: list[str], environment: dict[str, str]) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *command, cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out, err


@pytest.fixture
def environment() -> dict[str, str]:
    """Nothing is reachable, and the network has a name."""
    return {
        "MINTKEEPER_NETWORK_PASSPHRASE": NETWORK,
        "MINTKEEPER_DATABASE_URL": f"postgresql://nobody@{CLOSED_PORT}/none",
        "MINTKEEPER_HORIZON_URL": f"http://{CLOSED_PORT}",
        "TEMPORAL_ADDRESS": CLOSED_PORT,
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }


@pytest.fixture
def cli(tmp_path, environment, command_nursery) -> CommandLine:
    """The CLI where everything it depends on is down."""
    return CommandLine(tmp_path, environment, command_nursery)


@pytest.fixture
def in_process(tmp_path, environment, monkeypatch):
    """Run a command in this process, for rules that are checked before anything is connected."""
    from cli import app

    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        done = CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path)])
        return Result(done.exit_code, done.stdout, done.stderr)

    return run


def submit_arguments(**changes: str) -> list[str]:
    """A correct `submit`, with some options changed."""
    options = {
        "tenant": "acme",
        "asset": f"EURT:{ISSUER}",
        "amount": "2500.0000000",
        "to": DESTINATION,
        "topic": "treasury-eu",
        "requester": "rita",
    } | changes
    return ["submit", *(f"--{name}={value}" for name, value in options.items()), "--json"]


def write_keys(data_dir: Path, seeded: Seeded) -> None:
    """Everybody's private key where the CLI looks for it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    directory = data_dir / "keys"
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, key in seeded.keys.items():
        path = directory / f"{name}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)


def write_stack(data_dir: Path, **changes: Any) -> None:
    """A `stack.json` as `up` writes it."""
    document = {
        "temporal_address": CLOSED_PORT,
        "temporal_namespace": "default",
        "temporal_ui_url": "http://127.0.0.1:8233",
        "web_url": "http://127.0.0.1:8080",
        "horizon_url": f"http://{CLOSED_PORT}",
        "network_passphrase": NETWORK,
        "database_url": f"postgresql://nobody@{CLOSED_PORT}/none",
        "providers_url": f"http://{CLOSED_PORT}",
        "demo": {"tenant": "acme", "issuer": ISSUER, "asset": f"EURT:{ISSUER}", "destination": DESTINATION},
        "pids": {"temporal": os.getpid()},
    } | changes
    (data_dir / STACK_FILE).write_text(json.dumps(document))


@pytest_asyncio.fixture
async def desk(tmp_path, environment, seeded, temporal_server, command_nursery) -> AsyncIterator[CommandLine]:
    """The CLI with a real database and a real Temporal server; no worker unless a test starts one."""
    write_keys(tmp_path, seeded)
    connected = {
        "MINTKEEPER_DATABASE_URL": seeded.url,
        "TEMPORAL_ADDRESS": temporal_server.client.service_client.config.target_host,
    }
    yield CommandLine(tmp_path, environment | connected, command_nursery)
    # the next test's worker polls the same queue, with another database
    async for left in temporal_server.client.list_workflows("ExecutionStatus = 'Running'"):
        await temporal_server.client.get_workflow_handle(left.id).terminate()


@pytest.fixture
def worker(seeded, temporal_server):
    """A worker of the queue `mint`, as `worker.py` builds it: `async with worker(): …`."""
    return lambda: mint_worker(temporal_server.client, seeded.database)


@pytest.fixture
def admin(in_process, seeded, tmp_path, monkeypatch):
    """Run commands that need the database only, in this process."""
    monkeypatch.setenv("MINTKEEPER_DATABASE_URL", seeded.url)
    write_keys(tmp_path, seeded)
    return in_process
