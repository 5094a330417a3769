"""A real `mintkeeper up` as a subprocess, and the command line beside it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLI = [sys.executable, str(ROOT / "cli.py")]
PARTS = {"temporal", "sandbox", "worker", "web", "providers"}
PATIENCE = 90.0


def environment() -> dict:
    """Ours, without settings that a developer's shell may carry."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("MINTKEEPER_", "TEMPORAL_"))
    }


def mintkeeper(*arguments: str, data_dir: Path, code: int = 0) -> dict:
    """Run a command with `--json`; answers its document."""
    command = [*CLI, *arguments, "--data-dir", str(data_dir), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def signed_in(up: "Up", name: str) -> dict[str, str]:
    """The header of a new API token of a user of the running stack."""
    token = mintkeeper("user", "token", name, data_dir=up.data_dir)["token"]
    return {"Authorization": f"Bearer {token}"}


class Up:
    """One `mintkeeper up`; killed hard at the end if a test left it running."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [*CLI, "up", "--data-dir", str(data_dir), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def __enter__(self) -> "Up":
        self.until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()
        self.process.communicate()

    def until_ready(self) -> list[str]:
        """Read stdout up to `ready`; answers the lines before it."""
        lines = []
        for line in self.process.stdout:
            if line.strip() == "ready":
                return lines
            lines.append(line.rstrip())
        raise AssertionError(f"up ended with {self.process.wait()}: {self.process.stderr.read()}")

    def document(self) -> dict:
        """What `stack.json` says now."""
        return json.loads((self.data_dir / "stack.json").read_text())

    def pids(self) -> dict[str, int]:
        return self.document()["pids"]

    def processes(self) -> set[int]:
        """Every process of the stack but `up` itself, PostgreSQL's included."""
        return processes_of(self.data_dir) - {self.process.pid}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


def processes_of(data_dir: Path) -> set[int]:
    """Every process whose command line names the data directory."""
    found = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {int(entry.name) for entry in found if str(data_dir) in _command_line(entry)}


def _command_line(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_text(errors="replace")
    except OSError:
        # it ended while we looked
        return ""


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that nobody has waited for yet does not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(condition, what: str, limit: float = PATIENCE):
    """Wait for a condition; answers its first true value."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not in {limit:.0f} s: {what}")
