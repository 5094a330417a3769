"""One stack per data directory; what a killed one left behind is ended before the next starts."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its wheel carries no types

from domain.errors import Refused
from starter.local.layout import DataDir

_GRACE_SECONDS = 10.0


@contextmanager
def only_stack(data: DataDir) -> Iterator[None]:
    """Hold the data directory; raises Refused while another process holds it."""
    with data.lock_file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Refused(
                f"a stack runs on {data.root} already (process {lock.read().strip() or 'unknown'}): "
                "stop it first, or give another --data-dir"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def end_leftovers(data: DataDir) -> list[str]:
    """End what a stack that was killed left running; answers the names of the parts ended.

    A process id may belong to somebody else by now, so only a process whose command line names our
    data directory is touched.
    """
    ours = {name: process for name, pid in _recorded(data) if (process := _our_process(pid, data.root))}
    for name, process in ours.items():
        _signal(process, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(list(ours.values()), timeout=_GRACE_SECONDS)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    data.stack_file.unlink(missing_ok=True)
    return sorted(ours)


def _recorded(data: DataDir) -> Iterator[tuple[str, int]]:
    if data.stack_file.exists():
        pids: dict[str, int] = json.loads(data.stack_file.read_text()).get("pids", {})
        yield from pids.items()
    postmaster = data.postgres / "postmaster.pid"
    if postmaster.exists():
        yield "postgres", int(postmaster.read_text().split("\n", 1)[0])


def _our_process(pid: int, root: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        named = any(str(root) in argument for argument in process.cmdline())
    except psutil.Error:
        return None
    return process if named else None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
