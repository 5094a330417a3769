"""Quiet hours by the CLI: set, shown, cleared, refused, and every change audited."""

import pytest

from tests.cli.test_tenants import ok

NIGHTS = {
    "days": ["mon", "tue", "wed", "thu", "fri"], "from": "22:00", "to": "07:00", "zone": "Europe/Berlin",
}  # fmt: skip


def tenant_set(admin, *options, by="adam"):
    """Change the demo tenant."""
    return admin("tenant", "set", "acme", *options, "--as", by, "--json")


def user_set(admin, *options, name="alice"):
    """Change a user."""
    return admin("user", "set", name, *options, "--tenant", "acme", "--as", "adam", "--json")


def changes(admin, kind):
    """The audit events of a kind that speak of quiet hours."""
    events = ok(admin("audit", "show", "--tenant", "acme", "--json"))["events"]
    return [event for event in events if event["kind"] == kind and "quiet_hours" in event["details"]]


def test_a_tenants_quiet_hours_are_set_shown_and_cleared(admin):
    """Several windows at once; each change is in the audit chain, and a repetition is none."""
    weekend = "sat,sun 00:00-24:00 Europe/Berlin"
    for _ in range(2):
        shown = ok(tenant_set(admin, "--quiet", "mon-fri 22:00-07:00 Europe/Berlin", "--quiet", weekend))
    whole_days = {"days": ["sat", "sun"], "from": "00:00", "to": "24:00", "zone": "Europe/Berlin"}
    assert shown["quiet_hours"] == [NIGHTS, whole_days]
    assert shown == ok(admin("tenant", "show", "acme", "--json"))
    table = admin("tenant", "show", "acme").out
    assert "mon-fri 22:00-07:00 Europe/Berlin; sat,sun 00:00-24:00 Europe/Berlin" in table
    assert ok(admin("tenant", "list", "--json"))["tenants"][0]["quiet_hours"] == shown["quiet_hours"]
    assert ok(tenant_set(admin, "--no-quiet"))["quiet_hours"] == []
    assert [event["details"]["quiet_hours"] for event in changes(admin, "tenants.set")] == [
        [NIGHTS, whole_days], [],
    ]  # fmt: skip


def test_a_tenants_quiet_hours_change_nothing_else(admin):
    """Ledger options stay, and their audit says nothing; options leave quiet hours as they are."""
    ok(tenant_set(admin, "--auth-sandwich"))
    ok(tenant_set(admin, "--quiet", "mon-sun 22:00-07:00 UTC"))
    shown = ok(tenant_set(admin, "--no-auth-sandwich"))
    assert len(shown["quiet_hours"]) == 1
    events = ok(admin("audit", "show", "--tenant", "acme", "--json"))["events"]
    assert len([event for event in events if event["kind"] == "ledger_options.set"]) == 2


@pytest.mark.parametrize("by", ["alice", "nobody"])
def test_only_an_admin_may_change_a_tenants(admin, by):
    """They decide who hears of what at night."""
    assert tenant_set(admin, "--quiet", "mon 22:00-07:00 UTC", by=by).error["code"] == "refused"
    assert ok(admin("tenant", "show", "acme", "--json"))["quiet_hours"] == []


def test_a_users_window_is_in_their_own_zone_unless_said(admin):
    """alice lives in Berlin; a zone given wins, and so does one that is set by the same command."""
    assert ok(user_set(admin, "--quiet", "mon-fri 22:00-07:00"))["quiet_hours"] == [NIGHTS]
    named = ok(user_set(admin, "--quiet", "mon-fri 22:00-07:00 Asia/Kolkata"))
    assert named["quiet_hours"] == [NIGHTS | {"zone": "Asia/Kolkata"}]
    moved = ok(user_set(admin, "--time-zone", "Asia/Tokyo", "--quiet", "mon-fri 22:00-07:00"))
    assert moved["quiet_hours"] == [NIGHTS | {"zone": "Asia/Tokyo"}]


def test_a_users_quiet_hours_are_shown_kept_and_cleared(admin):
    """Another change of the user leaves them alone."""
    ok(user_set(admin, "--quiet", "fri-mon 21:30-06:15"))
    assert ok(user_set(admin, "--email", "a@acme.example"))["quiet_hours"][0]["days"] == [
        "mon", "fri", "sat", "sun",
    ]  # fmt: skip
    assert "mon,fri,sat,sun 21:30-06:15 Europe/Berlin" in admin("user", "show", "alice", "--tenant=acme").out
    assert ok(user_set(admin, "--no-quiet"))["quiet_hours"] == []
    assert len(changes(admin, "users.set")) == 2


def test_a_new_user_can_have_them_at_once(admin):
    """Whose zone is not said is in UTC."""
    made = ok(user_set(admin, "--role", "requester", "--quiet", "mon 22:00-07:00", name="zoe"))
    assert made["quiet_hours"][0]["zone"] == "UTC"


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ("mon-fri 22:00-07:00", "zone"),
        ("mon-fri 22:00-07:00 Europe/Nowhere", "zone"),
        ("mon-fri 22:00 UTC", "quiet"),
        ("nonsense", "quiet"),
        ("", "quiet"),
        ("mon-nix 22:00-07:00 UTC", "days"),
        ("mon, 22:00-07:00 UTC", "days"),
        ("mon 25:00-07:00 UTC", "from"),
        ("mon 22:00-22:00 UTC", "to"),
        ("mon-sun 00:00-24:00 UTC", "quiet_hours"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(admin, window, field):
    """One line says what; a tenant has no zone of its own."""
    result = tenant_set(admin, "--quiet", window, "--auth-sandwich")
    assert (result.code, result.error["field"]) == (1, field)
    shown = ok(admin("tenant", "show", "acme", "--json"))
    assert (shown["quiet_hours"], shown["auth_sandwich"]) == ([], False)


def test_setting_and_clearing_at_once_is_refused(admin):
    """Nobody can mean both."""
    result = user_set(admin, "--quiet", "mon 22:00-07:00", "--no-quiet")
    assert (result.code, result.error["field"]) == (1, "quiet")
