"""Entries of dictionaries: every rule, and everything that is wrong at once."""

import pytest

from domain.dictionaries import MODELS, RuleEntry, every_status
from domain.entry import Kind, Known
from domain.entry_checks import check, warnings
from domain.errors import InvalidInput, NotFound
from domain.mint_request import TRANSITIONS

KNOWN = Known(
    {
        "department": frozenset({"treasury"}),
        "calendar": frozenset({"frankfurt"}),
        "topic": frozenset({"treasury-eu", "treasury-us"}),
        "user": frozenset({"lena"}),
        "policy": frozenset({"p-1"}),
    }
)
WAY = "treasury-eu:PENDING->APPROVED"
WEEK = {"mon": [["09:00", "17:00"]]}
LONG = "x" * 5000


def made(kind, code, /, **fields):
    """A checked entry's fields."""
    return check(Kind(kind), code, fields, KNOWN).fields()


def wrong(kind, code, error=InvalidInput, /, **fields):
    """The messages by field of an entry that can't be."""
    with pytest.raises(error) as refused:
        check(Kind(kind), code, fields, KNOWN)
    assert type(refused.value) is error
    return refused.value.fields


@pytest.mark.parametrize(
    "hours", [True, False, 1.5, 4.0, "4h", "4", 0, -1, 10**6, 2**70, [], {}, float("nan")]
)
@pytest.mark.parametrize(
    ("kind", "code", "field", "rest"),
    [
        ("transition", WAY, "sla_hours", {}),
        ("status", "ANOMALY", "sla_hours", {}),
        ("topic", "t", "auto_assign_after_hours", {"department": "treasury"}),
    ],
)
def test_hours_are_whole_and_above_zero(kind, code, field, rest, hours):
    """No bool, no float, no text, not zero, nothing below, nothing that the database could not hold."""
    assert wrong(kind, code, **rest, **{field: hours}).keys() == {field}


def test_an_sla_may_be_null_and_a_limit_may_not():
    """Null: no SLA. A topic's limit always holds."""
    assert made("transition", WAY, sla_hours=None) == {"sla_hours": None}
    assert made("status", "ANOMALY", sla_hours=None)["sla_hours"] is None
    assert wrong("topic", "t", department="treasury", auto_assign_after_hours=None)


def test_everything_wrong_with_a_transition_is_said_at_once():
    """Unknown topic, the same status twice, hours that can't be, a field that there isn't."""
    found = wrong("transition", "mars:PENDING->PENDING", sla_hours=0, colour="red")
    assert list(found) == ["topic", "to", "sla_hours", "colour"]
    assert "treasury-eu, treasury-us" in found["topic"]
    found = wrong("transition", "mars:pending->GONE", sla_hours="4h")
    assert list(found) == ["topic", "from", "to", "sla_hours"]


@pytest.mark.parametrize(
    "code", ["", ":", "->", "x", "x:y", "a:PENDING", "treasury-eu:PENDING>APPROVED", LONG]
)
def test_a_transition_is_named_by_topic_and_both_statuses(code):
    """Half a name names nothing."""
    assert {"from", "to"} & wrong("transition", code, sla_hours=4).keys()


def test_names_that_do_not_exist_alone_are_not_found():
    """Whoever only mistyped a reference is told so; with anything else wrong it is bad input."""
    assert wrong("transition", "mars:PENDING->APPROVED", NotFound, sla_hours=4).keys() == {"topic"}
    assert wrong("topic", "t", NotFound, department="x", calendar="y").keys() == {"department", "calendar"}
    assert wrong("user", "erik", NotFound, primary_topic="x", topics=["y"]).keys() == {
        "primary_topic",
        "topics",
    }
    assert wrong("department", "d", NotFound, leads=["nobody"]).keys() == {"leads"}


def test_a_field_must_not_contradict_the_name():
    """A body that says another topic than the target is refused."""
    found = wrong("transition", WAY, topic="treasury-us", sla_hours=4)
    assert found == {"topic": "is 'treasury-us' here and 'treasury-eu' in its name"}
    assert made("transition", WAY, topic="treasury-eu", sla_hours=4) == {"sla_hours": 4}


@pytest.mark.parametrize("begin", TRANSITIONS)
@pytest.mark.parametrize("end", TRANSITIONS)
def test_what_cannot_happen_is_warned_of(begin, end):
    """The table of states decides; setting it is allowed all the same."""
    if begin is not end:
        entry = check(Kind.TRANSITION, f"treasury-eu:{begin}->{end}", {"sla_hours": 4}, KNOWN)
        assert bool(warnings(entry)) == (end not in TRANSITIONS[begin])


@pytest.mark.parametrize(
    "code",
    ["Treasury-EU", "treasury eu", "tréasury", "-x", "_x", "", "a\x00b", "a\nb", "x" * 64, "a/b", "a:b"],
)
@pytest.mark.parametrize("kind", ["department", "calendar", "topic"])
def test_codes_are_plain(kind, code):
    """Lower case, digits, - and _; at most 63: nothing that looks like another code."""
    assert "code" in wrong(kind, code, department="treasury", time_zone="UTC", hours={})


@pytest.mark.parametrize(
    "name", ["", "   ", "a\x00b", "a\nb", "a\x1b[2J", "\ud800", "x" * 201, 7, None, ["x"]]
)
@pytest.mark.parametrize(
    ("kind", "code", "rest"),
    [
        ("department", "d", {}),
        ("topic", "t", {"department": "treasury"}),
        ("calendar", "c", {"time_zone": "UTC", "hours": {}}),
        ("status", "ANOMALY", {}),
        ("tenant", "acme", {}),
    ],
)
def test_names_are_one_printable_line(kind, code, rest, name):
    """Nothing that the database can't store or that repaints a terminal."""
    found = wrong(kind, code, **rest, name=name)
    assert found.keys() == {"name"}
    assert found["name"].isprintable()


def test_a_new_entry_has_its_code_for_a_name():
    """What is not said has a default."""
    assert made("topic", "t", department="treasury") == {
        "name": "t",
        "department": "treasury",
        "calendar": None,
        "auto_assign_after_hours": 24,
        "active": True,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "erik smith"),
        ("name", LONG),
        ("roles", ["king"]),
        ("roles", "admin"),
        ("roles", [["admin"]]),
        ("tier", 0),
        ("tier", 4),
        ("tier", True),
        ("tier", "1"),
        ("active", "yes"),
        ("active", 1),
        ("email", "nowhere"),
        ("email", "a b@x.example"),
        ("email", "a@x.example\n"),
        ("email", f"{LONG}@x.example"),
        ("telegram_chat", "\x00"),
        ("slack_user", "alice"),
        ("slack_user", "@U012AB3CD"),
        ("slack_user", "T012AB3CD"),
        ("slack_user", ""),
        ("time_zone", "Mars/Base"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", "Europe"),
        ("time_zone", LONG),
        ("time_zone", None),
        ("primary_topic", 7),
        ("topics", "treasury-eu"),
        ("topics", [7]),
        ("working_hours", {"mon": [["17:00", "09:00"]]}),
        ("working_hours", {"monday": []}),
        ("working_hours", None),
        ("max_load", 0),
        ("max_load", 1.0),
        ("quiet_hours", [{"days": ["mon"]}]),
        ("quiet_hours", "mon"),
        ("quiet_hours", [{1: 2}]),
        ("quiet_hours", [[]]),
        ("keys", ["x"]),
    ],
)
def test_a_user_that_cannot_be(field, value):
    """The one wrong field is named, whatever was sent."""
    code = value if field == "name" else "erik"
    rest = {} if field == "name" else {field: value}
    assert wrong("user", code, **rest).keys() == {field}


def test_an_approver_needs_a_tier_and_is_told_with_the_rest():
    """Rules about two fields are checked beside other mistakes."""
    assert wrong("user", "erik", roles=["approver"]).keys() == {"tier"}
    assert wrong("user", "erik", roles=["approver"], max_load=0, topics=["x"]).keys() == {
        "tier", "max_load", "topics",
    }  # fmt: skip
    assert made("user", "erik", roles=["approver", "admin", "admin"], tier=2)["roles"] == [
        "admin",
        "approver",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Mars/Base"),
        ("hours", {"mon": []}),
        ("hours", {"mon": [["09:00", "25:00"]]}),
        ("hours", [["09:00", "17:00"]]),
        ("hours", {"mon": [[9, 17]]}),
        ("country", "XX"),
        ("country", "de"),
        ("country", ["DE"]),
        ("subdivision", "BY"),
        ("holidays", ["24.12.2026"]),
        ("holidays", "2026-12-24"),
        ("holidays", [20261224]),
        ("holidays", ["2026-02-30"]),
        ("holidays", ["2026-12-24"] * 1001),
    ],
)
def test_a_calendar_that_cannot_be(field, value):
    """Zone, hours, country, its part, and dates."""
    fields = {"time_zone": "Europe/Berlin", "hours": WEEK} | {field: value}
    assert wrong("calendar", "c", **fields).keys() == {field}


def test_a_calendar_s_dates_are_stored_in_one_form():
    """Each day once, in order; a part must be of its country."""
    fields = {"time_zone": "Europe/Berlin", "hours": WEEK, "country": "DE", "subdivision": "BY"}
    dates = ["20261231", "2026-12-24", "2026-12-31"]
    assert made("calendar", "c", **fields, holidays=dates)["holidays"] == ["2026-12-24", "2026-12-31"]
    assert wrong("calendar", "c", **fields | {"subdivision": "XQ"}).keys() == {"subdivision"}


def test_statuses_are_those_of_a_request():
    """Ten, with a type; anything else is no status."""
    assert wrong("status", "pending").keys() == {"code"}
    assert wrong("status", "ANOMALY", type="other").keys() == {"type"}
    assert made("status", "CONFIRMED") == {"name": "Minted", "type": "settlement", "sla_hours": None}
    assert len(every_status({})) == len(TRANSITIONS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("approvals", 0),
        ("approvals", "2"),
        ("asset", "EURT"),
        ("asset", 5),
        ("min", "1e5"),
        ("min", 5),
        ("min", "-1"),
        ("max", "0"),
        ("max", "0.00000001"),
        ("min_tier", 4),
        ("at_least_one_of_tier", 0),
        ("daily_cap", "0"),
        ("daily_cap", "NaN"),
        ("step_up_above", "-1"),
        ("step_up_above", 5000),
        ("step_up_above", "922337203685.4775808"),
    ],
)
def test_a_rule_that_cannot_be(field, value):
    """Amounts are decimal strings of at most seven places; numbers are refused, never rounded."""
    assert wrong("rule", "10", **{"approvals": 1, field: value}).keys() == {field}


def test_a_rule_says_the_same_in_stroops():
    """Zero is a bound and a step-up for everybody; an empty band is none; a position is a number."""
    entry = check(Kind.RULE, "7", {"approvals": 2, "max": "5.5", "step_up_above": "0"}, KNOWN)
    assert isinstance(entry, RuleEntry)
    rule = entry.rule("acme")
    assert (rule.position, rule.max_stroops, rule.step_up_above_stroops) == (7, 55_000_000, 0)
    assert wrong("rule", "7", approvals=2, min="2", max="1").keys() == {"max"}
    for code in ("", "x", "-1", "1.0", "٣", "9" * 30):
        assert wrong("rule", code, approvals=2).keys() == {"position"}


def test_channels_and_event_rules_are_checked():
    """Settings go with the kind and are short texts or numbers; a policy goes with escalate."""
    assert wrong("channel", "x", kind="fax").keys() == {"kind"}
    assert wrong("channel", "x", kind="slack").keys() == {"settings"}
    for settings in ({"channel": {"a": 1}}, {"channel": "\x00"}, {1: 2}, "x", {"channel": True}):
        assert wrong("channel", "x", kind="slack", settings=settings).keys() == {"settings"}
    assert wrong("channel", "a b", kind="email").keys() == {"name"}
    assert wrong("event-rule", "request.lost", action="inform").keys() == {"event_kind"}
    assert wrong("event-rule", "request.anomaly", action="escalate").keys() == {"policy_id"}
    assert wrong("event-rule", "request.anomaly", action="ignore", policy_id="p-1").keys() == {"policy_id"}
    assert made("event-rule", "request.anomaly", action="escalate", policy_id="p-1")["urgent"] is True


def test_every_kind_has_a_model_and_a_section():
    """Nothing is forgotten, and sections have names of their own."""
    assert MODELS.keys() == set(Kind)
    assert len({kind.section for kind in Kind}) == len(Kind)
