"""Rules, users, topics, channels and policies by the CLI: every change is visible, checked and audited."""

import json

import pytest

from db.seed import POLICY


def body(**changes) -> str:
    """The demo policy's JSON under another id, with some fields changed."""
    document = POLICY.model_dump(mode="json", by_alias=True)
    return json.dumps(document | {"id": "acme-mint-2"} | changes)


def ok(result):
    """The answer of a command that did what it was told."""
    assert result.code == 0, result.err
    return result.json


def kinds(admin) -> list[str]:
    """What the audit chain says happened."""
    return [event["kind"] for event in ok(admin("audit", "show", "--tenant", "acme", "--json"))["events"]]


def test_a_rule_is_set_shown_listed_and_removed(admin):
    """Amounts are decimal strings outside; a rule's position is its name."""
    set_to = ok(
        admin(
            "rule", "set", "5", "--approvals", "3", "--min", "0.0000001", "--max", "500", "--min-tier", "2",
            "--daily-cap", "1000", "--tenant", "acme", "--as", "adam", "--json",
        )
    )  # fmt: skip
    assert set_to["max"] == "500.0000000"
    assert ok(admin("rule", "show", "5", "--tenant", "acme", "--json")) == set_to
    listed = ok(admin("rule", "list", "--tenant", "acme", "--json"))["rules"]
    assert [rule["position"] for rule in listed] == [5, 10, 20]
    assert ok(admin("rule", "remove", "5", "--tenant", "acme", "--json"))["removed"] is True
    assert admin("rule", "show", "5", "--tenant", "acme", "--json").error["code"] == "not_found"
    assert kinds(admin)[-2:] == ["approval_rules.set", "approval_rules.removed"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--approvals", "0"], "approvals"),
        (["--approvals", "1", "--min", "1e5"], "min"),
        (["--approvals", "1", "--asset", "EURT"], "asset"),
        (["--approvals", "1", "--min-tier", "4"], "min_tier"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(admin, options, field):
    """Nothing is written, and the field is named."""
    result = admin("rule", "set", "5", *options, "--tenant", "acme", "--json")
    assert (result.code, result.error["code"], result.error["field"]) == (1, "invalid_input", field)


def test_an_empty_band_is_refused(admin):
    """The lowest amount is not above the highest."""
    result = admin("rule", "set", "5", "--approvals=1", "--min=2", "--max=1", "--tenant=acme", "--json")
    assert result.error["code"] == "invalid_input"
    assert "band is empty" in result.error["message"]


def test_a_user_is_created_changed_and_deactivated(admin):
    """What is not given stays as it was."""
    options = ["--tenant", "acme", "--as", "adam", "--json"]
    made = ok(
        admin("user", "set", "erik", "--role", "approver", "--tier", "2", "--email", "e@x.example", *options)
    )
    assert (made["roles"], made["tier"], made["active"]) == (["approver"], 2, True)
    changed = ok(
        admin("user", "set", "erik", "--time-zone", "Europe/Oslo", "--topic", "treasury-us", *options)
    )
    assert (changed["email"], changed["time_zone"]) == ("e@x.example", "Europe/Oslo")
    assert changed["topics"] == ["treasury-us"]
    ok(admin("user", "remove", "erik", *options))
    assert ok(admin("user", "show", "erik", "--tenant", "acme", "--json"))["active"] is False
    assert "erik" in {user["name"] for user in ok(admin("user", "list", "--tenant=acme", "--json"))["users"]}


def test_a_user_is_linked_to_a_slack_account_and_unlinked(admin):
    """Only to one that nobody of the tenant has, and that looks like one; not both at once."""
    options = ["--tenant", "acme", "--as", "adam", "--json"]
    linked = ok(admin("user", "set", "adam", "--slack-user", "U012AB3CD", *options))
    assert linked["slack_user"] == "U012AB3CD"
    taken = admin("user", "set", "rita", "--slack-user", "U012AB3CD", *options)
    assert "linked to adam already" in taken.error["message"]
    assert "member ID" in str(admin("user", "set", "rita", "--slack-user", "@rita", *options).error)
    both = admin("user", "set", "adam", "--slack-user", "U012AB3CD", "--no-slack-user", *options)
    assert both.error["code"] == "invalid_input"
    assert ok(admin("user", "set", "adam", "--no-slack-user", *options))["slack_user"] is None


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("erik", ["--role", "approver"], "invalid_input"),
        ("erik smith", ["--role", "admin"], "invalid_input"),
        ("erik", ["--role", "admin", "--time-zone", "Mars/Base"], "invalid_input"),
        ("erik", ["--role", "admin", "--topic", "treasury-mars"], "not_found"),
    ],
)
def test_a_user_that_cannot_be_is_refused(admin, name, options, code):
    """An approver without a tier, a malformed name, an unknown time zone or topic."""
    result = admin("user", "set", name, *options, "--tenant", "acme", "--json")
    assert (result.code, result.error["code"]) == (1, code)


def test_a_topic_is_set_and_closed(admin):
    """A closed topic takes no new requests; its row stays."""
    options = ["--tenant", "acme", "--json"]
    needs = admin("topic", "set", "treasury-asia", *options)
    assert (needs.code, needs.error["field"]) == (1, "department")
    made = ok(admin("topic", "set", "treasury-asia", "--department", "treasury", "--name", "Asia", *options))
    assert ok(admin("topic", "show", "treasury-asia", *options)) == made
    ok(admin("topic", "remove", "treasury-asia", *options))
    topics = {topic["code"]: topic for topic in ok(admin("topic", "list", *options))["topics"]}
    assert topics["treasury-asia"] == {**made, "active": False}
    assert admin("topic", "remove", "treasury-mars", *options).error["code"] == "not_found"


def test_a_channel_is_set_and_removed_unless_it_is_needed(admin):
    """A channel that the current policy names can't go."""
    options = ["--tenant", "acme", "--json"]
    made = ok(admin("channel", "set", "desk", "--kind", "slack", "--setting", "channel=#desk", *options))
    assert ok(admin("channel", "show", "desk", *options)) == made
    ok(admin("channel", "remove", "desk", *options))
    names = {channel["name"] for channel in ok(admin("channel", "list", *options))["channels"]}
    assert names == {"in-app", "slack-mint", "email", "pager-mgmt"}
    needed = admin("channel", "remove", "email", *options)
    assert (needed.code, needed.error["code"]) == (1, "refused")
    assert admin("channel", "remove", "desk", *options).error["code"] == "not_found"
    assert admin("channel", "set", "x", "--kind", "fax", *options).error["code"] == "invalid_input"
    assert admin("channel", "set", "x", "--kind", "slack", "--setting", "#x", *options).code == 1
    assert "notification_channels.removed" in kinds(admin)


def test_a_policy_is_published_once_and_switched_on(admin, tmp_path):
    """Publishing the same again changes nothing; other content under the same id is refused."""
    file = tmp_path / "policy.json"
    file.write_text(body())
    published = ok(admin("policy", "publish", str(file), "--as", "adam", "--json"))
    assert ok(admin("policy", "publish", str(file), "--json")) == published
    shown = ok(admin("policy", "show", "acme-mint-2", "--json"))
    assert (shown["contentHash"], shown["autoCloseMinutes"]) == (published["content_hash"], 24 * 60)
    ok(admin("policy", "switch", "acme-mint-2", "--tenant", "acme", "--json"))
    current = {
        policy["id"]: policy["current"]
        for policy in ok(admin("policy", "list", "--tenant=acme", "--json"))["policies"]
    }
    assert current == {POLICY.id: False, "acme-mint-2": True}
    file.write_text(body(name="other"))
    assert admin("policy", "publish", str(file), "--json").error["code"] == "refused"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{", "invalid_input", "policy"),
        (body(stages=[]), "invalid_input", "stages"),
        (body(autoCloseMinutes=60), "invalid_input", "after the last stage"),
        (body(surprise=1), "invalid_input", "surprise"),
        (body(tenant="nobody"), "not_found", "unknown tenant"),
        (body(stages=[{"delaySeconds": 0, "channels": ["fax"]}]), "refused", "fax"),
    ],
)
def test_a_policy_that_fails_its_checks_is_refused(admin, tmp_path, text, code, words):
    """Not JSON, out of order, an unknown field, tenant or channel: nothing is published."""
    file = tmp_path / "policy.json"
    file.write_text(text)
    result = admin("policy", "publish", str(file), "--json")
    assert (result.code, result.error["code"]) == (1, code)
    assert words in result.error["message"]
    assert len(ok(admin("policy", "list", "--tenant", "acme", "--json"))["policies"]) == 1


def test_what_is_missing_is_said(admin, tmp_path):
    """A file, a policy, a tenant that does not exist."""
    assert admin("policy", "publish", str(tmp_path / "none.json"), "--json").error["code"] == "invalid_input"
    assert admin("policy", "show", "none", "--json").error["code"] == "not_found"
    assert admin("policy", "switch", "none", "--tenant", "acme", "--json").error["code"] == "not_found"
    assert admin("rule", "list", "--json").error["code"] == "configuration"


def test_people_get_tables(admin):
    """Every list has a form for people, with the same facts."""
    for words, fact in (
        (["rule", "list"], "10000.0000000"),
        (["user", "list"], "carol"),
        (["topic", "list"], "treasury-us"),
        (["channel", "list"], "pager-mgmt"),
        (["policy", "list"], POLICY.id),
        (["audit", "show"], "policy.published"),
    ):
        result = admin(*words, "--tenant", "acme")
        assert result.code == 0
        assert fact in result.out
