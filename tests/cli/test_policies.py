"""Checking, simulating and deleting policies by the CLI."""

import json
import xml.etree.ElementTree as ET

import pytest

from db.seed import POLICY
from tests.cli.test_dictionaries import body, kinds, ok

TENANT = ["--tenant", "acme"]
START = ["--start", "2026-03-28T19:00:00+01:00"]


@pytest.fixture
def another(admin, tmp_path):
    """A second policy, published."""
    file = tmp_path / "policy.json"
    file.write_text(body())
    ok(admin("policy", "publish", str(file), "--json"))
    return "acme-mint-2"


def test_a_policy_is_deleted_once_and_for_all(admin, another, tmp_path):
    """It leaves the list but for `--all`, can be shown, and is audited."""
    options = [*TENANT, "--as", "adam", "--json"]
    assert ok(admin("policy", "delete", another, *options))["deleted"] is True
    ok(admin("policy", "delete", another, *options))
    assert kinds(admin).count("policy.deleted") == 1
    listed = ok(admin("policy", "list", *TENANT, "--json"))["policies"]
    assert [policy["id"] for policy in listed] == [POLICY.id]
    every = ok(admin("policy", "list", "--all", *TENANT, "--json"))["policies"]
    assert [policy["deleted_by"] for policy in every] == [None, "adam"]
    assert "deleted" in admin("policy", "list", "--all", *TENANT).out
    assert ok(admin("policy", "show", another, "--json"))["deletedBy"] == "adam"
    assert admin("policy", "switch", another, *TENANT, "--json").error["code"] == "refused"
    again = admin("policy", "publish", str(tmp_path / "policy.json"), "--json")
    assert "publish under a new id" in again.error["message"]


def test_what_was_shown_is_a_draft(admin, tmp_path):
    """A published policy, shown into a file and given a new id, can be published: nobody types it anew."""
    file = tmp_path / "draft.json"
    file.write_text(admin("policy", "show", POLICY.id, "--json").out.replace(POLICY.id, "acme-mint-2"))
    ok(admin("policy", "publish", str(file), "--json"))
    published = ok(admin("policy", "show", "acme-mint-2", "--json"))
    assert (published["stages"], published["publishedBy"] != "setup") == (
        ok(admin("policy", "show", POLICY.id, "--json"))["stages"],
        True,
    )
    file.write_text("[]")
    assert admin("policy", "publish", str(file), "--json").error["code"] == "invalid_input"


def test_what_is_needed_is_not_deleted(admin, another):
    """The current policy, and what the tenant does not have."""
    current = admin("policy", "delete", POLICY.id, *TENANT, "--json")
    assert (current.code, current.error["code"]) == (1, "refused")
    assert "mintkeeper policy switch" in current.error["message"]
    assert admin("policy", "delete", "none", *TENANT, "--json").error["code"] == "not_found"


def test_a_list_fits_on_a_line_each(admin, another):
    """Id, name, state, when, by whom, and the beginning of the hash."""
    out = admin("policy", "list", *TENANT).out
    (line,) = [line for line in out.splitlines() if line.lstrip().startswith(POLICY.id)]
    assert line.split()[:3] == [POLICY.id, "mint-default", "current"]
    assert max(map(len, out.splitlines())) < 120


def test_a_check_changes_nothing_and_names_every_problem(admin, tmp_path):
    """0 where the policy can work, 1 where it can't; the people of today count."""
    assert ok(admin("policy", "check", POLICY.id, "--json"))["problems"] == []
    before = kinds(admin)
    file = tmp_path / "draft.json"
    stages = [{"delaySeconds": 0, "channels": ["fax"]}, {"delaySeconds": 60, "channels": ["pigeon"]}]
    file.write_text(body(stages=stages))
    draft = admin("policy", "check", "--file", str(file), "--json")
    assert (draft.code, len(draft.json["problems"])) == (1, 2)
    assert "stages[1] (at 60 s) names pigeon" in admin("policy", "check", "--file", str(file)).out
    assert "1 more: 'mintkeeper policy check'" in admin("policy", "publish", str(file)).err
    assert kinds(admin) == before
    ok(admin("user", "remove", "carol", *TENANT, "--json"))
    found = admin("policy", "check", POLICY.id, "--json").json["problems"]
    assert found[0].startswith("stages[1] (at 14400 s) tells tier 2, but no active approver has that tier")


def test_switching_checks_todays_people(admin, another):
    """What could be published yesterday may not work today."""
    ok(admin("user", "remove", "dave", *TENANT, "--json"))
    refused = admin("policy", "switch", another, *TENANT, "--json")
    assert (refused.code, refused.error["code"]) == (1, "refused")
    assert "stages[2] (at 43200 s) tells tier 3" in refused.error["message"]


@pytest.mark.parametrize("command", ["check", "simulate"])
def test_one_policy_is_meant(admin, tmp_path, command):
    """An id or a file; not both, not neither, and it has to exist."""
    assert admin("policy", command, "--json").error["code"] == "invalid_input"
    assert admin("policy", command, POLICY.id, "--file", "x", "--json").error["code"] == "invalid_input"
    assert admin("policy", command, "--file", str(tmp_path / "x"), "--json").error["field"] == "file"
    assert admin("policy", command, "none", "--json").error["code"] == "not_found"


def test_a_simulation_tells_whom_and_when(admin):
    """Stages, channels in order, readers, their own time; nothing is written."""
    before = kinds(admin)
    found = ok(admin("policy", "simulate", POLICY.id, *START, "--json"))
    assert [stage["due_at"] for stage in found["stages"]] == [
        "2026-03-28T18:00:00Z",
        "2026-03-28T22:00:00Z",
        "2026-03-29T06:00:00Z",
    ]
    assert found["expires_at"] == "2026-03-29T18:00:00Z"
    first, last = found["stages"][0]["messages"], found["stages"][2]["messages"]
    assert [(message["channel"], message["recipient"]) for message in first] == [
        ("in-app", "alice"),
        ("in-app", "bob"),
        ("slack-mint", "#mint"),
    ]
    # the clocks have been set forward meanwhile
    assert [message["sent_at_local"][10:] for message in (first[0], last[0])] == [
        "T19:00:00+01:00",
        "T08:00:00+02:00",
    ]
    assert kinds(admin) == before


def test_quiet_hours_hold_a_simulated_message_back(admin):
    """Until their end by the reader's clock; the table says so as well."""
    night = "mon,tue,wed,thu,fri,sat,sun 22:00-07:00 Europe/Berlin"
    ok(admin("user", "set", "alice", "--quiet", night, *TENANT, "--json"))
    found = ok(admin("policy", "simulate", POLICY.id, *START, "--json"))
    held = {message["recipient"]: message["deferred_until"] for message in found["stages"][1]["messages"]}
    assert (held["alice"], held["bob"]) == ("2026-03-29T05:00:00Z", None)
    assert {quiet["recipient"] for quiet in found["quiet"]} == {"alice"}
    out = admin("policy", "simulate", POLICY.id, *START).out
    (line,) = [line for line in out.splitlines() if "deferred by quiet hours" in line]
    assert "29 Mar 05:00:00   Sun 07:00 CEST" in line


def test_the_requester_is_told_nothing(admin):
    """Whoever asks is no approver of their own request; a scale divides the delays."""
    found = ok(admin("policy", "simulate", POLICY.id, *START, "--requester", "alice", "--json"))
    assert "alice" not in [message["recipient"] for message in found["stages"][0]["messages"]]
    scaled = ok(admin("policy", "simulate", POLICY.id, *START, "--sla-scale", "720", "--json"))
    assert scaled["stages"][1]["due_at"] == "2026-03-28T18:00:20Z"


@pytest.mark.parametrize(
    "start",
    ["2026-03-28T18:00:00Z", "2026-03-28 18:00:00+00:00", "2026-03-28T19:00:00 01:00", "20260328T18Z"],
)
def test_a_moment_is_read_in_every_usual_form(admin, start):
    """With a space between day and time, or where a URL has made a space of the plus sign."""
    found = ok(admin("policy", "simulate", POLICY.id, "--start", start, "--json"))
    assert found["started_at"] == "2026-03-28T18:00:00Z"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--start", "tomorrow"], "invalid_input"),
        (["--start", "2026-03-28T18:00:00"], "invalid_input"),
        (["--topic", "treasury-mars"], "not_found"),
        (["--requester", "nobody"], "not_found"),
        (["--tenant", "other"], "invalid_input"),
        (["--svg", "/no/such/place.svg"], "invalid_input"),
    ],
)
def test_a_simulation_of_nothing_is_refused(admin, options, code):
    """No moment without a zone, no unknown topic, requester or tenant, no place that can't be written."""
    assert admin("policy", "simulate", POLICY.id, *options, "--json").error["code"] == code


def test_the_picture_is_safe_and_complete(admin, tmp_path):
    """Well-formed, with a title and a description, without scripts; what people wrote is text."""
    file, picture = tmp_path / "draft.json", tmp_path / "timeline.svg"
    file.write_text(body(name='<script>alert("x")</script> & co'))
    options = ["--file", str(file), *START, "--svg", str(picture), "--json"]
    document = ok(admin("policy", "simulate", *options))
    text = picture.read_text()
    root = ET.fromstring(text)
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert tags == {
        "svg", "title", "desc", "style", "rect", "text", "tspan", "line", "circle", "g"
    }  # fmt: skip
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name for name in attributes)
    assert json.loads(file.read_text())["name"] in "".join(root.itertext())
    shown = [element.text for element in root.iter() if element.get("class") == "end"]
    assert set(shown) >= {message["recipient"] for message in document["stages"][2]["messages"]}
    assert "prefers-color-scheme: dark" in text
