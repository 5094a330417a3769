"""`mintkeeper up`: the whole stack as one command."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.local.stacks import CLI, PARTS, Up, alive, environment, mintkeeper, until

PROMISED = {
    "temporal_address", "temporal_namespace", "temporal_ui_url", "web_url", "horizon_url",
    "network_passphrase", "database_url", "providers_url", "pids", "demo",
}  # fmt: skip


def test_stack_file_names_everything(up):
    """`stack.json` has every promised field, and only its owner may read it."""
    document = up.document()
    assert set(document) >= PROMISED
    assert document["temporal_namespace"] == "default"
    assert set(document["pids"]) == PARTS
    assert document["demo"]["asset"] == f"EURT:{document['demo']['issuer']}"
    assert document["demo"]["destination"].startswith("G")
    assert document["demo"]["tenant"] == "acme"
    assert stat.S_IMODE((up.data_dir / "stack.json").stat().st_mode) == 0o600


def test_every_part_lives_and_answers(up):
    """Each process id is alive and each address answers."""
    document = up.document()
    assert all(alive(pid) for pid in document["pids"].values())
    for url in (
        document["horizon_url"],
        f"{document['providers_url']}/messages",
        document["temporal_ui_url"],
    ):
        assert httpx.get(url, follow_redirects=True).status_code == 200
    ready = httpx.get(f"{document['web_url']}/readyz")
    assert ready.json() == {"ready": True, "checks": {"database": "ok", "temporal": "ok", "horizon": "ok"}}


def test_parts_listen_on_loopback_only(up):
    """No address of the stack leaves this machine: the Temporal dev server knows no log-in."""
    document = up.document()
    hosts = [document["temporal_address"], *(document[name] for name in PROMISED if name.endswith("_url"))]
    assert all("127.0.0.1" in host for host in hosts if "postgresql" not in host)
    assert "host=/" in document["database_url"]


def test_keys_and_seeds_are_private(up):
    """Each person of the demo has a key; keys and seeds are readable by their owner only."""
    names = {path.name for path in (up.data_dir / "keys").iterdir()}
    people = {f"{name}.pem" for name in ("alice", "bob", "carol", "dave", "rita", "adam")}
    seeds = {"authority.seeds", "issuer.seed", "destination.seed", "funding.seed", "channels.phrase"}
    assert names >= people | seeds
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (up.data_dir / "keys").iterdir()}
    assert modes == {0o600}


def test_destination_trusts_the_asset(up):
    """The demo destination exists and can receive the demo asset."""
    document = up.document()
    account = httpx.get(f"{document['horizon_url']}/accounts/{document['demo']['destination']}").json()
    issuers = {line.get("asset_issuer") for line in account["balances"] if line.get("asset_code") == "EURT"}
    assert issuers == {document["demo"]["issuer"]}


def test_second_stack_is_refused(up):
    """One data directory, one stack: the second `up` says so in one line and touches nothing."""
    before = up.pids()
    second = subprocess.run(
        [*CLI, "up", "--data-dir", str(up.data_dir)], capture_output=True, text=True, env=environment()
    )
    assert second.returncode == 1
    assert second.stderr.startswith("error: a stack runs on ")
    assert len(second.stderr.strip().splitlines()) == 1
    assert up.pids() == before
    assert all(alive(pid) for pid in before.values())


@pytest.mark.parametrize("part", sorted(PARTS))
def test_killed_part_comes_back(up, part):
    """A part that dies is started again at the same address, and `stack.json` names its new process."""
    before = up.document()
    os.kill(before["pids"][part], signal.SIGKILL)
    pid = until(lambda: up.pids()[part] != before["pids"][part] and up.pids()[part], f"{part} again")
    assert alive(pid)
    assert {name: value for name, value in up.document().items() if name != "pids"} == {
        name: value for name, value in before.items() if name != "pids"
    }
    until(lambda: _answers(before, part), f"{part} serving again")


def _answers(document: dict, part: str) -> bool:
    own = {"providers": f"{document['providers_url']}/messages", "temporal": document["temporal_ui_url"]}
    try:
        answers = [
            httpx.get(url, follow_redirects=True)
            for url in (f"{document['web_url']}/readyz", own.get(part, document["horizon_url"]))
        ]
    except httpx.TransportError:
        return False
    return all(answer.status_code == 200 for answer in answers)


def test_killed_database_comes_back(up):
    """PostgreSQL is watched too, although it is none of the named parts."""
    postmaster = up.data_dir / "postgres" / "postmaster.pid"
    pid = int(postmaster.read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the old server gone")
    until(lambda: httpx.get(f"{up.document()['web_url']}/readyz").json()["ready"], "database serving again")


def test_request_lives_through_the_stack(up):
    """A mint request goes from `submit` over `approve` to a confirmed payment on the stack's own ledger."""
    submitted = mintkeeper(
        *("submit", "--amount", "12.5", "--topic", "treasury-eu", "--requester", "rita"), data_dir=up.data_dir
    )
    mintkeeper("approve", submitted["id"], "--as", "alice", data_dir=up.data_dir)
    shown = until(
        lambda: (
            (found := mintkeeper("show", submitted["id"], data_dir=up.data_dir))["submission"]
            and found["submission"]["outcome"]
            and found
        ),
        "an outcome",
    )
    assert shown["status"] == "CONFIRMED"
    document = up.document()
    payment = httpx.get(f"{document['horizon_url']}/transactions/{shown['submission']['hash']}").json()
    assert payment["successful"]


def test_other_horizon(tmp_path: Path):
    """With `--horizon` no sandbox is started; that network's friendbot funds the demo accounts."""
    passphrase = "Another Network ; for a test"
    command = [*CLI, "sandbox", "--port", "0", "--network-passphrase", passphrase, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as ledger:
        url = json.loads("".join(ledger.stdout.readline() for _ in range(3)))["url"]
        options = ("--horizon", url, "--network-passphrase", passphrase)
        with Up(tmp_path / "data", *options) as running:
            document = running.document()
            assert set(document["pids"]) == PARTS - {"sandbox"}
            assert (document["horizon_url"], document["network_passphrase"]) == (url, passphrase)
            destination = httpx.get(f"{url}/accounts/{document['demo']['destination']}").json()
            assert "EURT" in {line.get("asset_code") for line in destination["balances"]}
        ledger.terminate()
    assert ledger.returncode == 0


def test_horizon_needs_its_passphrase(tmp_path: Path):
    """A Horizon without its network's passphrase is wrong usage."""
    command = [*CLI, "up", "--data-dir", str(tmp_path), "--horizon", "http://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert "belong together" in done.stderr


def test_ctrl_c_stops_cleanly(tmp_path: Path):
    """Ctrl-C ends `up` with 0 and leaves no process and no `stack.json` behind."""
    with Up(tmp_path / "data") as running:
        assert running.processes() >= set(running.pids().values())
        _ends_cleanly(running, signal.SIGINT)


def _ends_cleanly(running: Up, number: signal.Signals) -> None:
    before = running.processes()
    assert running.end(number) == 0
    assert not running.processes()
    assert not any(alive(pid) for pid in before)
    assert not (running.data_dir / "stack.json").exists()


def test_killed_stack_leaves_nothing(tmp_path: Path):
    """When `up` itself is killed hard its parts end too, and the next `up` starts on the same data."""
    with Up(tmp_path / "data") as running:
        processes = running.processes()
        running.end(signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in processes), "all parts gone")
    with Up(tmp_path / "data") as running:
        assert all(alive(pid) for pid in running.pids().values())


def test_restart_loses_nothing(tmp_path: Path):
    """A request that was pending before a restart is pending after it, with its timers, and goes on."""
    data = tmp_path / "data"
    with Up(data, "--sla-scale", "100") as running:
        addresses = running.document()
        pending = mintkeeper(
            *("submit", "--amount", "7", "--topic", "treasury-us", "--requester", "rita"), data_dir=data
        )
        before = mintkeeper("show", pending["id"], data_dir=data)
        _ends_cleanly(running, signal.SIGTERM)
    with Up(data, "--sla-scale", "100") as running:
        kept = ("temporal_address", "web_url", "horizon_url", "providers_url", "demo")
        assert [running.document()[name] for name in kept] == [addresses[name] for name in kept]
        after = mintkeeper("show", pending["id"], data_dir=data)
        assert after["status"] == "PENDING"
        assert (after["created_at"], after["expires_at"]) == (before["created_at"], before["expires_at"])
        assert after["next_timer"] == before["next_timer"]
        assert mintkeeper("approve", pending["id"], "--as", "bob", data_dir=data)["accepted"]
