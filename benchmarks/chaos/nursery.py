"""A process that bears workers: `mintkeeper worker` itself, but forked, since imports cost the most.

Each line of stdin, `CLOCK LOG DATA_DIR`, makes one worker whose clock is `CLOCK` seconds wrong, and is
answered by its process id. Without more lines to come all of them are killed.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from contextlib import suppress

import time_machine

import cli
import worker  # noqa: F401  (imported once here, not in every child)


def _become_worker(clock: int, log: str, data_dir: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if clock:
        # Python's clock only: Temporal's core and the kernel keep theirs
        wrong = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=clock)
        time_machine.travel(wrong, tick=True).start()
    sys.argv = ["mintkeeper", "worker", "--data-dir", data_dir]
    cli.main()


def main() -> None:
    """Bear workers until stdin ends."""
    living: set[int] = set()

    def bury(_number: int, _frame: object) -> None:
        # at once: whoever looks for a dead worker must not find it, and its id may be given away
        while dead := _one_dead():
            living.discard(dead)

    signal.signal(signal.SIGCHLD, bury)
    for line in sys.stdin:
        clock, log, data_dir = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            _become_worker(int(clock), log, data_dir)
        living.add(child)
        print(child, flush=True)
    for child in living.copy():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _one_dead() -> int:
    """A child that has ended; 0 if there is none."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


if __name__ == "__main__":
    main()
