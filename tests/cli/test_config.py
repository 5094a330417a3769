"""`config export` and `config apply`: files that people keep, and the page that explains them."""

import json
import re
import shlex
import stat
from pathlib import Path

import pytest

from tests.cli.test_dictionaries import kinds, ok

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "config.yaml"
T = ["--tenant", "acme", "--json"]


@pytest.fixture
def apply(admin, tmp_path):
    """Apply a text: `apply("topics: …", "--dry-run")`."""

    def run(text, *options):
        file = tmp_path / "config.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return admin("config", "apply", str(file), *(options or T))

    return run


def test_an_export_applied_again_changes_nothing(admin, tmp_path):
    """No change, no audit event; a second export is the same but for its time."""
    file = tmp_path / "acme.yaml"
    saved = ok(admin("config", "export", str(file), *T))
    assert (saved["file"], saved["entries"]) == (str(file), 24)
    before = kinds(admin)
    applied = ok(admin("config", "apply", str(file), *T))
    assert (applied["added"], applied["changed"], applied["changes"]) == (0, 0, [])
    assert kinds(admin) == before
    lines = file.read_text().splitlines()
    assert admin("config", "export", "--tenant", "acme").out.splitlines()[1:] == lines[1:]


def test_an_export_is_its_owner_s_and_says_what_it_is(admin, tmp_path):
    """It holds addresses; it holds no key and no secret."""
    file = tmp_path / "acme.yaml"
    file.write_text("old")
    file.chmod(0o644)
    ok(admin("config", "export", str(file), *T))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert text.startswith("# Configuration of tenant acme")
    assert "alice@acme.example" in text
    assert list(tmp_path.glob("*.new")) == list(tmp_path.glob(".*.new")) == []
    nowhere = admin("config", "export", str(tmp_path / "none" / "x.yaml"), *T)
    assert (nowhere.code, nowhere.error["code"]) == (1, "configuration")


def test_an_export_under_json_is_the_document(admin):
    """Machines get it without the detour over YAML."""
    document = ok(admin("config", "export", *T))
    assert list(document) == [
        "tenant", "departments", "calendars", "topics", "users", "statuses", "transitions", "rules",
        "channels", "event_rules",
    ]  # fmt: skip
    assert document["transitions"]["treasury-eu:PENDING->APPROVED"] == {"sla_hours": 12}
    assert document["channels"]["slack-mint"]["settings"] == {"channel": "#mint"}
    assert "name" not in document["tenant"]


def test_the_sample_is_applied_and_tells_every_change(admin):
    """examples/config.yaml works as it is, first as a dry run that leaves nothing."""
    before = ok(admin("config", "export", *T))
    tried = ok(admin("config", "apply", str(SAMPLE), "--dry-run", *T))
    assert ok(admin("config", "export", *T)) == before
    applied = ok(admin("config", "apply", str(SAMPLE), *T))
    assert {**applied, "dry_run": True} == tried
    changes = {change["path"]: (change["before"], change["after"]) for change in applied["changes"]}
    assert changes["statuses.ANOMALY.name"] == ("Outcome unclear", "Needs an admin")
    assert changes["topics.treasury-asia"][0] is None
    assert changes["topics.treasury-asia"][1]["calendar"] == "singapore"
    assert (applied["added"], applied["changed"], applied["unchanged"]) == (10, 1, 0)
    assert ok(admin("config", "apply", str(SAMPLE), *T))["unchanged"] == 11
    users = {user["name"]: user for user in ok(admin("user", "list", *T))["users"]}
    assert users["kenji"]["topics"] == ["treasury-eu"]


def test_the_sample_explains_every_section_but_the_tenant_s():
    """Nobody has to guess a section's name."""
    from domain.configuration import SECTIONS
    from domain.plain_yaml import read_yaml

    assert set(read_yaml(SAMPLE.read_text())) == set(SECTIONS) - {"tenant"}


def test_people_see_what_would_change(apply):
    """Added, changed old to new, and counts; nothing was written."""
    text = "users:\n  alice: {max_load: 4}\ntopics:\n  asia: {department: treasury}\n  treasury-eu: {}\n"
    shown = apply(text, "--tenant", "acme", "--dry-run")
    assert shown.code == 0
    assert "+ topics.asia\n+   name: asia\n" in shown.out
    assert "~ users.alice.max_load: null -> 4" in shown.out
    assert "1 would be added, 1 would be changed, 1 unchanged; nothing was written" in shown.out
    assert "1 added, 1 changed, 1 unchanged" in apply(text, "--tenant", "acme").out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topics:\n  a: {}\n  a: {}\n", "line 3: 'a' is given twice"),
        ("topics: [\n", "line 2"),
        ("a: &a 1\nb: *a\n", "line 1: anchors"),
        ("topics: !!python/name:os.system x\n", "line 1: tags"),
        ("topics:\n  a: \x00\n", "line 2: a character"),
        (b"\xff\xfe", "not UTF-8"),
        ("", "a configuration is sections"),
        ("- a\n", "a configuration is sections"),
        ("x" * 1_000_001, "at most 1000000"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(apply, text, words):
    """With the line, and without a traceback."""
    result = apply(text)
    assert (result.code, result.error["code"], result.error["field"]) == (1, "invalid_input", "file")
    assert words in result.error["message"]


def test_a_file_that_is_not_there_is_said(admin, tmp_path):
    """Neither is a directory one."""
    for file in (tmp_path / "none.yaml", tmp_path):
        assert admin("config", "apply", str(file), *T).error["field"] == "file"


def test_every_wrong_path_is_said_at_once(apply):
    """Unknown sections, fields and references, for people a line each; nothing is written."""
    text = "topics:\n  treasury-eu: {calendar: x, colour: red}\nusers:\n  erik: {roles: [approver]}\n"
    result = apply(text, "--tenant", "acme")
    assert result.code == 1
    assert [line.partition(":")[0] for line in result.err.splitlines()[1:]] == [
        "  topics.treasury-eu.calendar", "  topics.treasury-eu.colour", "  users.erik.tier",
    ]  # fmt: skip
    assert apply("topcs: {}\n").error["fields"].keys() == {"topcs"}


def test_surprises_of_yaml_are_told_as_what_they_are(apply):
    """`yes` is a text and no boolean; hours without quotes are texts too."""
    assert apply("topics:\n  treasury-eu: {active: no}\n").error["fields"] == {
        "topics.treasury-eu.active": "must be true or false, not 'no'"
    }
    hours = "calendars:\n  fra: {time_zone: Europe/Berlin, hours: {mon: [[09:00, 17:30]]}, country: NO}\n"
    assert ok(apply(hours))["changes"][0]["after"]["country"] == "NO"


def test_warnings_do_not_stop_an_application(apply):
    """A transition that can't happen is set, and named with its path."""
    result = apply("transitions:\n  treasury-eu:EXPIRED->PENDING: {sla_hours: 2}\n")
    path = "transitions.treasury-eu:EXPIRED->PENDING"
    assert result.json["warnings"][0].startswith(f"{path}: a request never goes")
    assert result.err.startswith(f"warning: {path}")


def test_the_tenant_s_options_need_one_of_its_admins(apply):
    """As everywhere else; the rest of the file waits for it."""
    text = "tenant: {claimable_balance: true}\nusers:\n  zoe: {roles: [requester]}\n"
    refused = apply(text, *T, "--as", "bob")
    assert (refused.error["code"], refused.error["message"][:7]) == ("refused", "tenant:")
    assert ok(apply(text, *T, "--as", "adam"))["added"] == 1


def test_what_is_applied_is_audited_by_who_did_it(admin, apply):
    """Each change is an event of its own."""
    ok(apply("users:\n  alice: {max_load: 4}\n", *T, "--as", "adam"))
    events = ok(admin("audit", "show", *T))["events"]
    assert (events[-1]["kind"], events[-1]["actor"]) == ("users.set", "adam")


def test_the_page_about_configuration_works(admin, tmp_path, monkeypatch):
    """Every command of docs/configuration.md, in its order, by an admin of the demo tenant."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", page, re.S)
    commands = [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]
    assert len(commands) > 15
    monkeypatch.chdir(tmp_path)
    Path("fields.json").write_text(json.dumps({"auto_assign_after_hours": 3}))
    for words in commands:
        result = admin(*words, "--tenant", "acme", "--json")
        assert result.code == 0, f"{words}: {result.err}"
