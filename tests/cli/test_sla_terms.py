"""Transitions, statuses, calendars and the options of topics, users and rules by the CLI."""

import pytest

from tests.cli.test_dictionaries import kinds, ok

T = ["--tenant", "acme", "--json"]
DENIED = [
    "MON-FRI=9-17",
    "mon-fri",
    "mon-fri=",
    "=09:00-17:00",
    "mon=17:00-09:00",
    "xyz=09:00-17:00",
    "mon=09:00",
]


def test_a_transition_is_set_shown_listed_and_removed(admin):
    """Named by its topic and both statuses."""
    made = ok(admin("transition", "set", "treasury-eu", "PENDING", "REJECTED", "--sla-hours", "6", *T))
    assert made == {
        "topic": "treasury-eu", "from": "PENDING", "to": "REJECTED", "sla_hours": 6, "warnings": [],
    }  # fmt: skip
    shown = ok(admin("transition", "show", "treasury-eu", "PENDING", "REJECTED", *T))
    assert shown == {"topic": "treasury-eu", "from": "PENDING", "to": "REJECTED", "sla_hours": 6}
    assert shown in ok(admin("transition", "list", *T))["transitions"]
    assert shown in ok(admin("transition", "list", "--topic", "treasury-eu", *T))["transitions"]
    assert shown not in ok(admin("transition", "list", "--topic", "treasury-us", *T))["transitions"]
    none = ok(admin("transition", "set", "treasury-eu", "PENDING", "REJECTED", "--no-sla", *T))
    assert none["sla_hours"] is None
    assert ok(admin("transition", "remove", "treasury-eu", "PENDING", "REJECTED", *T))["removed"] is True
    for verb in ("show", "remove"):
        gone = admin("transition", verb, "treasury-eu", "PENDING", "REJECTED", *T)
        assert (gone.code, gone.error["code"]) == (1, "not_found")
    assert kinds(admin)[-3:] == [
        "topic_status_transitions.set", "topic_status_transitions.set", "topic_status_transitions.removed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "hours", ["0", "-1", "1.5", "4h", "true", "", "1e2", "٤", "99999999999999999999", "\x00"]
)
def test_hours_that_cannot_be_are_refused(admin, hours):
    """A whole number above zero, and nothing that looks like one."""
    result = admin("transition", "set", "treasury-eu", "PENDING", "APPROVED", f"--sla-hours={hours}", *T)
    assert (result.code, result.error["code"]) == (1, "invalid_input")
    assert result.error["fields"].keys() == {"sla_hours"}
    assert "\x00" not in result.err


def test_everything_wrong_is_said_at_once(admin):
    """For people a line for each field, for machines a map."""
    words = ["transition", "set", "mars", "PENDING", "PENDING", "--sla-hours", "4h", "--tenant", "acme"]
    result = admin(*words)
    assert (result.code, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[0] == "error: transition 'mars:PENDING->PENDING' can't be set"
    assert [line.partition(":")[0] for line in lines[1:]] == ["  topic", "  to", "  sla_hours"]
    assert admin(*words, "--json").error["fields"].keys() == {"topic", "to", "sla_hours"}


def test_one_mistake_is_one_line(admin):
    """As every other error."""
    result = admin("transition", "set", "mars", "PENDING", "APPROVED", "--no-sla", "--tenant", "acme")
    assert result.err.count("\n") == 1
    assert result.err.startswith(
        "error: transition 'mars:PENDING->APPROVED' can't be set: topic: unknown topic"
    )


def test_a_transition_says_how_long(admin):
    """One of --sla-hours and --no-sla, and not both."""
    words = ["transition", "set", "treasury-eu", "PENDING", "APPROVED"]
    assert admin(*words, *T).error["field"] == "sla_hours"
    assert admin(*words, "--sla-hours", "4", "--no-sla", *T).error["field"] == "sla_hours"


def test_a_way_that_no_request_takes_is_warned_of(admin):
    """On stderr, and in the document."""
    result = admin("transition", "set", "treasury-eu", "CONFIRMED", "FAILED", "--sla-hours", "4", *T)
    assert "it has ended" in result.json["warnings"][0]
    assert result.err.startswith("warning: a request never goes from CONFIRMED to FAILED")


def test_statuses_are_ten_and_have_defaults(admin):
    """What the tenant does not say is as the house has it; removing brings that back."""
    listed = {status["code"]: status for status in ok(admin("status", "list", *T))["statuses"]}
    assert len(listed) == 10
    assert [code for code, status in listed.items() if status["own"]] == ["ANOMALY"]
    assert listed["CONFIRMED"]["type"] == "settlement"
    made = ok(
        admin("status", "set", "CONFIRMED", "--type", "billing", "--name", "Done", "--sla-hours", "2", *T)
    )
    assert made == {"code": "CONFIRMED", "name": "Done", "type": "billing", "sla_hours": 2, "own": True}
    assert ok(admin("status", "show", "CONFIRMED", *T)) == made
    assert ok(admin("status", "set", "CONFIRMED", "--no-sla", *T))["sla_hours"] is None
    ok(admin("status", "remove", "CONFIRMED", *T))
    assert ok(admin("status", "show", "CONFIRMED", *T)) == listed["CONFIRMED"]
    assert admin("status", "remove", "CONFIRMED", *T).error["code"] == "not_found"
    wrong = admin("status", "set", "confirmed", "--type", "other", "--sla-hours", "0", *T)
    assert wrong.error["fields"].keys() == {"code", "type", "sla_hours"}


def test_a_calendar_lives_and_dies(admin):
    """Hours as people write them; what is not given stays; in use it can't go."""
    made = ok(
        admin(
            "calendar", "set", "fra", "--hours", "mon-thu=13:00-17:00,09:00-12:00", "--hours=fri=09:00-15:00",
            "--zone", "Europe/Berlin", "--country", "DE", "--subdivision", "HE", "--holiday", "2026-12-24",
            "--holiday", "2026-12-31", "--name", "Frankfurt", *T,
        )
    )  # fmt: skip
    assert made["hours"]["thu"] == [["09:00", "12:00"], ["13:00", "17:00"]]
    assert "sat" not in made["hours"]
    assert ok(admin("calendar", "show", "fra", *T)) == made
    changed = ok(admin("calendar", "set", "fra", "--no-country", "--no-holidays", "--always", *T))
    assert changed == {**made, "country": None, "subdivision": None, "holidays": [], "hours": {}}
    ok(admin("topic", "set", "treasury-eu", "--calendar", "fra", *T))
    used = admin("calendar", "remove", "fra", *T)
    assert (used.error["code"], "treasury-eu" in used.error["message"]) == ("refused", True)
    ok(admin("topic", "set", "treasury-eu", "--no-calendar", *T))
    ok(admin("calendar", "remove", "fra", *T))
    assert ok(admin("calendar", "list", *T))["calendars"] == []


@pytest.mark.parametrize("hours", DENIED)
def test_hours_of_a_calendar_that_cannot_be(admin, hours):
    """Days and times are checked, whatever their form."""
    result = admin("calendar", "set", "fra", "--hours", hours, "--zone", "UTC", *T)
    assert (result.code, result.error["code"], result.error["field"]) == (1, "invalid_input", "hours")


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--zone", "Mars/Base", "--always", "--country", "XX"], {"time_zone", "country"}),
        (["--zone", "UTC"], {"hours"}),
        (["--always"], {"time_zone"}),
        (["--zone", "UTC", "--always", "--subdivision", "BY"], {"subdivision"}),
        (["--zone", "UTC", "--always", "--holiday", "tomorrow"], {"holidays"}),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(admin, options, fields):
    """Every wrong field at once."""
    assert admin("calendar", "set", "fra", *options, *T).error["fields"].keys() == fields


def test_contradicting_options_are_refused(admin):
    """An option and its --no-…, for every pair."""
    for words in (
        ["calendar", "set", "c", "--country", "DE", "--no-country"],
        ["calendar", "set", "c", "--holiday", "2026-12-24", "--no-holidays"],
        ["calendar", "set", "c", "--hours", "mon=09:00-10:00", "--always"],
        ["topic", "set", "treasury-eu", "--calendar", "c", "--no-calendar"],
        ["user", "set", "alice", "--max-load", "1", "--no-max-load"],
        ["user", "set", "alice", "--working-hours", "mon=09:00-10:00", "--always"],
        ["rule", "set", "10", "--approvals", "1", "--step-up-above", "1", "--no-step-up"],
    ):
        result = admin(*words, *T)
        assert (result.code, result.error["code"]) == (1, "invalid_input"), words
        assert "contradict" in result.error["message"]


def test_a_topic_has_its_limit_and_calendar(admin):
    """Both are checked, and stay when they are not given."""
    ok(admin("calendar", "set", "fra", "--always", "--zone", "UTC", *T))
    made = ok(admin("topic", "set", "treasury-eu", "--calendar", "fra", "--auto-assign-after", "2", *T))
    assert (made["calendar"], made["auto_assign_after_hours"]) == ("fra", 2)
    assert ok(admin("topic", "set", "treasury-eu", "--name", "EU", *T)) == {**made, "name": "EU"}
    for hours in ("0", "-1", "1.5", "2h", ""):
        wrong = admin("topic", "set", "treasury-eu", f"--auto-assign-after={hours}", *T)
        assert wrong.error["fields"].keys() == {"auto_assign_after_hours"}
    assert admin("topic", "set", "treasury-eu", "--calendar", "x", *T).error["code"] == "not_found"
    assert admin("topic", "set", "Treasury-EU", "--department", "treasury", *T).error["field"] == "code"


def test_a_user_has_working_hours_and_a_limit(admin):
    """Both are shown, and can be taken back."""
    words = ["user", "set", "alice", "--working-hours", "mon-fri=09:00-17:00", "--max-load", "7"]
    made = ok(admin(*words, *T))
    assert (made["working_hours"]["fri"], made["max_load"]) == ([["09:00", "17:00"]], 7)
    assert "mon-fri 09:00-17:00" in admin("user", "list", "--tenant", "acme").out
    taken = ok(admin("user", "set", "alice", "--always", "--no-max-load", *T))
    assert (taken["working_hours"], taken["max_load"], taken["tier"]) == ({}, None, 1)
    wrong = admin("user", "set", "alice", "--max-load", "0", "--time-zone", "Mars/Base", *T)
    assert wrong.error["fields"].keys() == {"time_zone", "max_load"}


def test_a_rule_keeps_its_step_up_unless_told(admin):
    """Replacing a rule never drops it by accident."""
    words = ["rule", "set", "10", "--approvals", "1"]
    assert ok(admin(*words, "--step-up-above", "5000", *T))["step_up_above"] == "5000.0000000"
    assert ok(admin(*words, "--max", "10", *T))["step_up_above"] == "5000.0000000"
    assert ok(admin(*words, *T))["max"] is None
    assert ok(admin(*words, "--step-up-above", "0", *T))["step_up_above"] == "0.0000000"
    assert ok(admin(*words, "--no-step-up", *T))["step_up_above"] is None
    assert ok(admin("rule", "list", *T))["rules"][0]["step_up_above"] is None
    assert admin(*words, "--step-up-above", "much", *T).error["field"] == "step_up_above"


def test_long_names_and_strange_characters_are_refused(admin):
    """Nothing of a kind is stored that a terminal, a file or the database can't take."""
    for name in ("x" * 201, "a\x1b[2J", "a\nb", "a\x00b", " "):
        for words in (["topic", "set", "treasury-eu"], ["status", "set", "ANOMALY"]):
            result = admin(*words, "--name", name, *T)
            assert (result.code, result.error["fields"].keys()) == (1, {"name"})
            assert "\x1b" not in result.err


def test_people_get_tables_of_all(admin):
    """Every list has a form for people, with the same facts."""
    ok(admin("calendar", "set", "fra", "--hours", "mon-fri=09:00-17:00", "--zone", "UTC", *T))
    for words, fact in (
        (["transition", "list"], "SUBMITTING"),
        (["status", "list"], "Never landed"),
        (["calendar", "list"], "mon-fri 09:00-17:00"),
        (["calendar", "show", "fra"], "mon-fri 09:00-17:00"),
        (["status", "show", "ANOMALY"], "workflow"),
        (["topic", "list"], "auto_assign_after_hours"),
    ):
        result = admin(*words, "--tenant", "acme")
        assert result.code == 0
        assert fact in result.out


def test_an_unknown_tenant_is_no_empty_list(admin):
    """A typing mistake must not look like a tenant without anything."""
    for kind in ("transition", "status", "calendar", "topic", "rule"):
        assert admin(kind, "list", "--tenant", "acne", "--json").error["code"] == "not_found"


def test_a_department_has_leads(admin):
    """Those that are named; one with topics stays."""
    made = ok(admin("department", "set", "legal", "--lead", "lena", "--lead", "adam", "--name", "Legal", *T))
    assert made == {"code": "legal", "name": "Legal", "slack_channel": None, "leads": ["adam", "lena"]}
    assert ok(admin("department", "set", "legal", "--slack-channel", "#legal", *T))["leads"] == [
        "adam",
        "lena",
    ]
    changed = ok(admin("department", "set", "legal", "--no-leads", "--no-slack-channel", *T))
    assert changed == {**made, "leads": []}
    assert ok(admin("department", "show", "legal", *T)) == changed
    assert changed in ok(admin("department", "list", *T))["departments"]
    ok(admin("department", "remove", "legal", *T))
    used = admin("department", "remove", "treasury", *T)
    assert (used.error["code"], "treasury-eu, treasury-us" in used.error["message"]) == ("refused", True)
    assert admin("department", "set", "legal", "--lead", "nobody", *T).error["code"] == "not_found"
    assert admin("department", "set", "legal", "--lead", "lena", "--no-leads", *T).error["field"] == "leads"
    assert "treasury-leads" in admin("department", "list", "--tenant", "acme").out


def test_two_users_never_differ_in_case_only(admin):
    """Where decisions are counted they would be one person."""
    result = admin("user", "set", "Alice", "--role", "requester", *T)
    assert result.error["fields"] == {"name": "differs from 'alice' in case only: choose another"}
    ok(admin("user", "set", "Alicia", "--role", "requester", *T))
    ok(admin("user", "set", "Alicia", "--email", "a@x.example", *T))
