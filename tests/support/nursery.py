"""Runs `mintkeeper` commands in processes forked from one that has the imports behind it.

Started as `python -m tests.support.nursery SOCKET`. Whoever connects sends three files, for the order (JSON:
arguments, environment, directory), stdout and stderr, and hears the exit code. A command has a process of
its own, as from a shell; only the second of imports with which each would begin is spent once.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import pytest

ROOT = Path(__file__).parents[2]
ORPHANED_SECONDS = 10.0
"""So long at most this process outlives the test run that has started it."""

LATER = ("commands.demo.show", "commands.inspecting", "commands.submitting", "commands.watching", "worker")
"""What commands import once they know that they need it."""


async def run(
    nursery: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[int, bytes, bytes]:
    """Have a command run; its exit code, stdout and stderr."""
    with (
        TemporaryFile() as order,
        TemporaryFile() as out,
        TemporaryFile() as err,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door,
    ):
        wanted = {"arguments": list(arguments), "environment": dict(environment), "directory": str(ROOT)}
        order.write(json.dumps(wanted).encode())
        order.flush()
        door.connect(str(nursery))
        socket.send_fds(door, [b"!"], [order.fileno(), out.fileno(), err.fileno()])
        door.setblocking(False)
        code = await asyncio.get_running_loop().sock_recv(door, 16)
        out.seek(0)
        err.seek(0)
        return int(code), out.read(), err.read()


SHIM = """#!{python} -IS
import json, os, socket, sys, tempfile
with tempfile.TemporaryFile("w") as order, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
    wanted = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}}
    json.dump(wanted, order)
    order.flush()
    door.connect({nursery!r})
    socket.send_fds(door, [b"!"], [order.fileno(), 1, 2])
    code = int(door.recv(16))
sys.exit(code)
"""


def shim(nursery: Path) -> str:
    """A program that is `mintkeeper` to a shell, and has the command run in its own directory."""
    return SHIM.format(python=sys.executable, nursery=str(nursery))


@pytest.fixture(scope="session")
def command_nursery() -> Iterator[Path]:
    """Where this test process has its commands forked: its socket."""
    with TemporaryDirectory(prefix="mintkeeper-cli-") as directory:
        door = Path(directory) / "door"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery", str(door)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            yield door
            process.kill()


def main(path: str) -> None:
    """Serve until the test run ends this process."""
    for module in ("cli", *LATER):
        importlib.import_module(module)
    # a collection touches every page, and a touched page is copied
    gc.freeze()
    # the kernel buries the children
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(path)
        door.listen(64)
        door.settimeout(ORPHANED_SECONDS)
        print("ready", flush=True)
        parent = os.getppid()
        while os.getppid() == parent:
            try:
                caller, _ = door.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                door.close()
                _see_through(caller)
            caller.close()


def _see_through(caller: socket.socket) -> None:
    """Run one command in a child, tell how it ended, and be gone."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _, files, _, _ = socket.recv_fds(caller, 1, 3)
        child = os.fork()
        if child == 0:
            caller.close()
            _become(*files)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        caller.sendall(str(code).encode())
    finally:
        os._exit(0)


def _become(order: int, out: int, err: int) -> None:
    """Be the command, to its end."""
    try:
        with os.fdopen(order) as file:
            file.seek(0)
            wanted = json.load(file)
        for descriptor, place in ((out, 1), (err, 2)):
            os.dup2(descriptor, place)
            os.close(descriptor)
        os.chdir(wanted["directory"])
        os.environ.clear()
        os.environ.update(wanted["environment"])
        sys.argv = [str(ROOT / "cli.py"), *wanted["arguments"]]
        sys.modules["cli"].main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
