"""What a killed stack left running, and who holds a data directory."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from domain.errors import Refused
from starter.local.layout import DataDir
from starter.local.leftovers import end_leftovers, only_stack

SLEEP = [sys.executable, "-c", "import time; print('running', flush=True); time.sleep(600)"]


@pytest.fixture
def data(tmp_path):
    """A data directory that no stack uses yet."""
    directory = DataDir(tmp_path / "data")
    directory.create()
    return directory


@contextmanager
def running(*arguments):
    """A process that is well under way: one that has only just begun has no command line yet."""
    with subprocess.Popen([*SLEEP, *arguments], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_only_our_processes_are_ended(data):
    """A recorded process id is ended if its command line names our directory; anybody else's stays."""
    with running(str(data.root)) as ours, running() as theirs:
        data.stack_file.write_text(json.dumps({"pids": {"worker": ours.pid, "web": theirs.pid}}))
        assert end_leftovers(data) == ["worker"]
        assert ours.poll() is not None
        assert theirs.poll() is None
    assert not data.stack_file.exists()


def test_nothing_left_is_nothing_to_do(data):
    """A new data directory, and one whose processes are long gone, need no mending."""
    assert end_leftovers(data) == []
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    data.stack_file.write_text(json.dumps({"pids": {"worker": ended.pid}}))
    assert end_leftovers(data) == []


def test_directory_is_held_by_one(data):
    """The second holder is refused and told who the first is; after the first it may go on."""
    with only_stack(data), pytest.raises(Refused, match=r"process \d+"), only_stack(data):
        pass
    with only_stack(data):
        assert data.lock_file.read_text().strip().isdigit()
