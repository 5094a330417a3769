"""Documents, comments and step-up codes on the command line."""

import hashlib
import json

import pytest
from sqlalchemy import text

from domain.codes import code_of
from tests.cli.conftest import submit_arguments
from tests.db.acts import expire
from tests.support.documents import PDF
from tests.support.talk import SECRET, SECRET_TEXT, all_rows, an_open, held, run, wrong


@pytest.fixture
def settings(tmp_path):
    """A place for documents and a secret."""
    return {
        "MINTKEEPER_STORAGE_URL": (tmp_path / "documents").as_uri(),
        "MINTKEEPER_SESSION_SECRET": SECRET_TEXT,
    }


@pytest.fixture
async def request_id(seeded):
    """An open request, without a workflow."""
    return (await an_open(seeded.database)).request.id


@pytest.fixture
def invoice(tmp_path):
    """A document."""
    file = tmp_path / "invoice.pdf"
    file.write_bytes(PDF)
    return file


async def test_a_document_is_attached_listed_and_got(desk, settings, request_id, invoice, tmp_path):
    """The same bytes come back, and nothing that exists is overwritten."""
    done = await desk("attach", request_id, str(invoice), "--as", "alice", "--json", **settings)
    assert done.code == 0, done.err
    stored = done.json
    assert (stored["state"], stored["sha256"]) == ("stored", hashlib.sha256(PDF).hexdigest())
    listed = (await desk("attachments", "list", request_id, "--json")).json["attachments"]
    assert [one["id"] for one in listed] == [stored["id"]]
    out = tmp_path / "out.pdf"
    got = await desk("attachments", "get", stored["id"], "--out", str(out), **settings)
    assert (got.code, out.read_bytes()) == (0, PDF)
    again = await desk("attachments", "get", stored["id"], "--out", str(out), "--json", **settings)
    assert (again.code, again.error["code"]) == (1, "refused")
    shown = (await desk("show", request_id, "--json")).json
    assert [one["filename"] for one in shown["attachments"]] == ["invoice.pdf"]
    assert "attachment.stored" in [entry["kind"] for entry in shown["timeline"]]
    assert "invoice.pdf" in (await desk("show", request_id)).out


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("page.html", b"<html>", "invalid_input"),
        ("fake.pdf", b"MZ", "invalid_input"),
        ("empty.pdf", b"", "invalid_input"),
    ],
)
async def test_what_may_not_be_handed_in_is_one_line(
    desk, settings, request_id, tmp_path, name, content, code
):
    """Kind, content or emptiness: the line says what is wrong, and nothing is stored."""
    file = tmp_path / name
    file.write_bytes(content)
    done = await desk("attach", request_id, str(file), "--as", "alice", "--json", **settings)
    assert (done.code, done.error["code"]) == (1, code)
    assert done.err.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.err


async def test_a_missing_file_request_user_or_storage_is_one_line(desk, settings, request_id, invoice):
    """Each with its own code."""
    cases = [
        (("attach", request_id, "nowhere.pdf", "--as", "alice"), settings, "invalid_input"),
        (("attach", request_id, "/", "--as", "alice"), settings, "invalid_input"),
        (("attach", "mr_" + "0" * 26, str(invoice), "--as", "alice"), settings, "not_found"),
        (("attach", request_id, str(invoice), "--as", "mallory"), settings, "not_found"),
        (("attach", request_id, str(invoice), "--as", "alice"), {}, "configuration"),
        (("attachments", "get", "att_none", "--out", "x"), settings, "not_found"),
        (("code", "request", request_id, "--as", "alice"), {}, "configuration"),
        (("code", "request", request_id, "--as", "mallory"), settings, "not_found"),
    ]
    for arguments, variables, code in cases:
        done = await desk(*arguments, "--json", **variables)
        assert (done.code, done.error["code"]) == (1, code), arguments


async def test_a_document_whose_bytes_are_damaged_leaves_no_file(
    desk, settings, request_id, invoice, tmp_path
):
    """Whoever gets it is told, and keeps nothing."""
    stored = (await desk("attach", request_id, str(invoice), "--as", "alice", "--json", **settings)).json
    [file] = [path for path in (tmp_path / "documents").rglob("*") if path.is_file()]
    file.write_bytes(b"x" * len(PDF))
    got = await desk("attachments", "get", stored["id"], "--out", str(tmp_path / "out"), "--json", **settings)
    assert (got.code, got.error["code"]) == (1, "unavailable")
    assert not (tmp_path / "out").exists()


async def test_comments_of_the_client_and_after_the_end_are_written_at_once(desk, seeded):
    """No workflow is asked; `show` has the conversation."""
    record = await an_open(seeded.database)
    said = await desk("comment", record.request.id, "hurry", "--as", "rita", "--json")
    assert said.json["sent"] == "stored"
    async with seeded.database.transaction() as tx:
        from datetime import UTC, datetime, timedelta

        await expire(tx, await held(tx, record), datetime.now(UTC) + timedelta(days=1))
    said = await desk("comment", record.request.id, "too late", "--as", "alice", "--json")
    assert said.json["sent"] == "stored"
    shown = (await desk("show", record.request.id, "--json")).json
    assert [(one["author_kind"], one["text"]) for one in shown["messages"]] == [
        ("CLIENT", "hurry"), ("ADMIN_USER", "too late"),
    ]  # fmt: skip


async def newest_code(seeded):
    """The code of the newest row."""
    [row] = await all_rows(seeded.database, "SELECT id FROM one_time_codes ORDER BY created_at DESC LIMIT 1")
    return code_of(SECRET, row.id)


async def test_an_approval_above_the_rule_s_amount_needs_a_code(desk, worker, seeded, settings):
    """Refused without, refused with a wrong one, accepted with the right one."""
    await run(seeded.database, "UPDATE approval_rules SET step_up_above_stroops = 0")
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        refused = await desk("approve", request_id, "--as", "alice", "--json", **settings)
        assert (refused.code, refused.error["reason"]) == (1, "step_up_required")
        asked = await desk("code", "request", request_id, "--as", "alice", "--json", **settings)
        assert asked.code == 0, asked.err
        code = await newest_code(seeded)
        assert code not in asked.out + asked.err
        arguments = ("approve", request_id, "--as", "alice", "--json", "--code")
        refused = await desk(*arguments, wrong(code), **settings)
        assert (refused.code, refused.error["reason"]) == (1, "wrong_code")
        done = await desk(*arguments, code, **settings)
        assert (done.code, json.loads(done.out)["accepted"]) == (0, True)


async def test_the_messages_of_a_user_are_those_of_one_tenant(desk, seeded, request_id):
    """Named, or the only one that knows the user; where two do, it has to be said which."""
    await desk("comment", request_id, "hello", "--as", "rita")
    listed = await desk("notifications", "list", "--for", "alice", "--json")
    assert "MESSAGE" in [one["event"] for one in listed.json["notifications"]]
    async with seeded.database.transaction() as tx:
        await tx.execute(text("INSERT INTO tenants (code, name, active) VALUES ('other', 'Other', true)"))
        await tx.execute(
            text(
                "INSERT INTO users (tenant, name, roles, active, time_zone) "
                "VALUES ('other', 'alice', '{admin}', true, 'UTC')"
            )
        )
    assert (await desk("notifications", "list", "--for", "alice", "--json")).error["code"] == "configuration"
    theirs = await desk("notifications", "list", "--for", "alice", "--tenant", "other", "--json")
    assert theirs.json["notifications"] == []
