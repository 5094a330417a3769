"""The audit chain by the CLI: exported, and verified without a database."""

import json

import pytest


@pytest.fixture
def exported(admin, tmp_path):
    """The demo tenant's chain in a file, and what `export` said about it."""
    file = tmp_path / "chain.jsonl"
    result = admin("audit", "export", str(file), "--tenant", "acme", "--json")
    assert result.code == 0, result.err
    return file, result.json


def test_an_exported_chain_verifies_offline(admin, exported, monkeypatch):
    """The file is enough: no database, no tenant, no stack."""
    file, export = exported
    monkeypatch.setenv("MINTKEEPER_DATABASE_URL", "")
    result = admin("audit", "verify", str(file), "--head", export["head"], "--json")
    assert result.code == 0
    assert result.json == {
        "tenant": "acme",
        "intact": True,
        "events": export["events"],
        "head": export["head"],
        "decisions": 0,
        "delegated": 0,
        "vouched": 0,
        "commands": 0,
        "faults": [],
    }


def test_the_chain_in_the_database_verifies(admin, exported):
    """The same check, on the rows as they are now."""
    result = admin("audit", "verify", "--tenant", "acme", "--json")
    assert (result.code, result.json["head"]) == (0, exported[1]["head"])


@pytest.mark.parametrize("harm", ["change", "remove", "swap", "cut"])
def test_any_harm_is_found(admin, exported, harm):
    """A changed, removed or swapped event breaks the chain; a cut end is found by the head noted earlier."""
    file, export = exported
    lines = file.read_text().splitlines(keepends=True)
    if harm == "change":
        event = json.loads(lines[3])
        lines[3] = json.dumps(event | {"body": event["body"].replace("setup", "nobody")}) + "\n"
    elif harm == "remove":
        del lines[3]
    elif harm == "swap":
        lines[3], lines[4] = lines[4], lines[3]
    else:
        del lines[-1]
    file.write_text("".join(lines))
    result = admin("audit", "verify", str(file), "--head", export["head"], "--json")
    assert (result.code, result.error["code"]) == (1, "chain_broken")
    assert result.error["intact"] is False


@pytest.mark.parametrize("content", [b"garbage\n", b"\xff\xfe", b'{"tenant": "acme"}\n'])
def test_a_file_of_something_else_is_refused(admin, tmp_path, content):
    """The line that is no event is named."""
    file = tmp_path / "garbage.jsonl"
    file.write_bytes(content)
    result = admin("audit", "verify", str(file), "--json")
    assert (result.code, result.error["code"]) == (1, "invalid_input")


@pytest.mark.parametrize("head", ["7", "x:" + "0" * 64, "7:abc"])
def test_a_malformed_head_is_refused(admin, exported, head):
    """`SEQ:HASH`, as `export` prints it."""
    result = admin("audit", "verify", str(exported[0]), "--head", head, "--json")
    assert (result.code, result.error["field"]) == (1, "head")


def test_an_unknown_tenant_has_no_chain(admin, tmp_path):
    """A typing error must not look like an empty, intact chain."""
    verified = admin("audit", "verify", "--tenant", "acmee", "--json")
    written = admin("audit", "export", str(tmp_path / "x"), "--tenant", "acmee", "--json")
    assert verified.error["code"] == written.error["code"] == "not_found"


def test_a_place_that_cannot_be_written_is_said(admin, tmp_path):
    """The path is in the message."""
    result = admin("audit", "export", str(tmp_path / "no" / "such"), "--tenant", "acme", "--json")
    assert (result.code, result.error["code"]) == (1, "configuration")
    assert "such" in result.error["message"]
