"""Making, registering and revoking keys by the CLI."""

import stat

from domain.dsse import key_id


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
