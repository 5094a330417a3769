"""Making, registering and revoking keys by the CLI."""

import stat
from datetime import UTC, datetime

from domain.commands import COMMAND_TYPE, TOLERANCE, Command, read_envelope
from domain.dsse import key_id, verify


def test_a_new_key_is_registered_and_revoked(admin, tmp_path):
    """`keys new` prints what an admin needs; the key's id is shown with the user."""
    made = admin("keys", "new", "erik", "--json").json
    path = tmp_path / "keys" / "erik.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made["key_id"] == key_id(bytes.fromhex(made["public_key"]))
    unknown = admin("keys", "register", "erik", "--tenant", "acme", "--json")
    assert (unknown.code, unknown.error["code"]) == (1, "not_found")
    assert admin("user", "set", "erik", "--role", "requester", "--tenant", "acme", "--json").code == 0
    options = ["--tenant", "acme", "--as", "adam", "--json"]
    registered = admin("keys", "register", "erik", "--public-key", made["public_key"], *options)
    assert registered.json["key_id"] == made["key_id"]
    assert admin("user", "show", "erik", "--tenant", "acme", "--json").json["keys"] == [made["key_id"]]
    assert admin("keys", "revoke", "erik", made["key_id"], *options).code == 0
    assert admin("user", "show", "erik", "--tenant", "acme", "--json").json["keys"] == []


def test_a_key_file_is_not_overwritten(admin):
    """Who has a key already gets a refusal, not another key."""
    result = admin("keys", "new", "alice", "--json")
    assert (result.code, result.error["code"]) == (1, "refused")


def test_nobodys_key_becomes_somebody_elses(admin):
    """One key never signs for two people."""
    result = admin("keys", "register", "bob", "--tenant", "acme", "--key-file", "nowhere.pem", "--json")
    assert result.error["code"] == "not_found"
    alices = admin("keys", "register", "alice", "--tenant", "acme", "--json").json["public_key"]
    taken = admin("keys", "register", "bob", "--public-key", alices, "--tenant", "acme", "--json")
    assert (taken.code, taken.error["code"]) == (1, "invalid_input")


def test_garbage_is_no_key(admin):
    """Not hexadecimal, or not 32 bytes."""
    for garbage in ("xyz", "00" * 31):
        result = admin("keys", "register", "bob", "--public-key", garbage, "--tenant", "acme", "--json")
        assert (result.code, result.error["field"]) == (1, "public_key")


def test_a_name_cannot_leave_the_directory(admin, tmp_path):
    """A key's file name is made from the user's name."""
    result = admin("keys", "new", "../erik", "--json")
    assert (result.code, result.error["code"]) == (1, "invalid_input")
    assert not (tmp_path / "erik.pem").exists()


def test_a_signed_command_is_printed_for_curl(admin, tmp_path, seeded):
    """One line that holds what was asked for, by the actor's key; `--json` says the same."""
    reason = tmp_path / "reason.json"
    reason.write_text('{"reason": "a drill"}')
    options = ["--as", "adam", "--action", "escalation.cancel", "--target", "mr_1", "--tenant", "acme"]
    printed = admin("keys", "sign", *options, str(reason)).out
    assert printed.count("\n") == 1
    signer = seeded.keys["adam"].public_key().public_bytes_raw()
    for document in (printed, admin("keys", "sign", *options, str(reason), "--json").out):
        command = Command.parse(verify(read_envelope(document.encode()), COMMAND_TYPE, [signer]))
        assert (command.tenant, command.actor, command.target) == ("acme", "adam", "mr_1")
        assert (command.action, command.body) == ("escalation.cancel", {"reason": "a drill"})
        assert abs(command.issued_at - datetime.now(UTC)) < TOLERANCE


def test_what_can_not_be_signed_is_said(admin, tmp_path):
    """An unknown action, a body that is no JSON object, nobody's key."""
    broken, number = tmp_path / "broken.json", tmp_path / "number.json"
    broken.write_text("{")
    number.write_text("7")
    options = ["--target", "mr_1", "--tenant", "acme", "--json"]
    known = ["keys", "sign", "--as", "adam", "--action", "escalation.cancel", *options]
    unknown = admin("keys", "sign", "--as", "adam", "--action", "policy.burn", *options)
    assert unknown.error["field"] == "action"
    for file in (broken, number, tmp_path / "none.json"):
        assert admin(*known, str(file)).error["field"] == "file"
    nobody = admin("keys", "sign", "--as", "nobody", "--action", "escalation.cancel", *options)
    assert nobody.error["code"] == "not_found"
