"""The desk's side of documents and messages: rooms that fill up, people who left, lines that turn around."""

import stat

import pytest

from domain.errors import InvalidInput
from storage import open_storage
from tests.cli.conftest import desk, environment
from tests.cli.test_conversation import invoice, request_id, settings
from tests.support.documents import PDF, a_pending, files, keys, put, stands
from tests.support.talk import all_rows, an_open, run

__all__ = ["desk", "environment", "files", "invoice", "request_id", "settings"]


async def test_a_file_that_is_refused_keeps_no_room(desk, settings, seeded, request_id, invoice, tmp_path):
    """No command could send its bytes later, so twenty wrong files must not lock the desk out for a day."""
    wrong = tmp_path / "wrong.pdf"
    wrong.write_bytes(b"no PDF at all")
    for _ in range(21):
        answer = await desk("attach", request_id, str(wrong), "--as", "alice", **settings)
        assert "is no application/pdf" in answer.err
    assert await all_rows(seeded.database, "SELECT 1 FROM attachments") == []
    assert (await desk("attach", request_id, str(invoice), "--as", "alice", **settings)).code == 0


async def test_bytes_are_taken_from_nobody_who_has_left_since(seeded, files):
    """The pass of the announcement is good for an hour; its author may go before."""
    db = seeded.database
    pending = await a_pending(db, await an_open(db), author="alice")
    await run(db, "UPDATE users SET active = false WHERE name = 'alice'")
    with pytest.raises(InvalidInput, match="not active"):
        await put(db, files, pending, PDF)
    assert ((await stands(db, pending)).state, await keys(files)) == ("pending", [])


def test_nobody_else_on_the_machine_reads_documents(tmp_path):
    """The directory is made for its owner; one that is there keeps the mode its operator gave it."""
    given, made = tmp_path / "given", tmp_path / "with space"
    given.mkdir(mode=0o750)
    for directory in (given, made):
        open_storage(directory.as_uri())
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE(given.stat().st_mode) == 0o750


async def test_a_message_turns_no_line_of_a_terminal_around(desk, settings, request_id):
    """Direction overrides and Unicode's own line breaks are left out of tables and timelines."""
    said = "\u202e777.1\u2066\u2028now"
    assert (await desk("comment", request_id, "--as", "rita", said, **settings)).code == 0
    shown = (await desk("show", request_id)).out + (await desk("notifications", "list", "--for", "alice")).out
    assert shown.count("777.1now") == 2
