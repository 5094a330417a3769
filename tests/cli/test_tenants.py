"""A tenant's ledger options by the CLI: off until an admin says otherwise, and every change audited."""

import pytest

OFF = {
    "auth_sandwich": False, "claimable_balance": False, "reclaim_after_days": 30, "one_shot_ticket": False,
}  # fmt: skip


def ok(result):
    """The answer of a command that did what it was told."""
    assert result.code == 0, result.err
    return result.json


def set_options(admin, *options, by="adam"):
    """Change the demo tenant's options."""
    return admin("tenant", "set", "acme", *options, "--as", by, "--json")


def changes(admin) -> list[dict]:
    """Every change of the options that the audit chain knows."""
    events = ok(admin("audit", "show", "--tenant", "acme", "--json"))["events"]
    return [event for event in events if event["kind"] == "ledger_options.set"]


def test_everything_is_off_at_first(admin):
    """Without a word from an admin a mint is a plain payment or nothing."""
    shown = ok(admin("tenant", "show", "acme", "--json"))
    assert {name: shown[name] for name in OFF} == OFF
    assert shown["code"] == "acme"


def test_an_option_is_set_shown_and_taken_back(admin):
    """Only what is given changes; the audit chain names who changed it."""
    first = ok(set_options(admin, "--claimable-balance", "--reclaim-after-days", "7"))
    assert first | OFF | {"claimable_balance": True, "reclaim_after_days": 7} == first
    second = ok(set_options(admin, "--one-shot-ticket", "--no-claimable-balance"))
    assert second == ok(admin("tenant", "show", "acme", "--json"))
    assert (second["claimable_balance"], second["reclaim_after_days"], second["one_shot_ticket"]) == (
        False, 7, True,
    )  # fmt: skip
    assert [event["actor"] for event in changes(admin)] == ["adam", "adam"]
    assert changes(admin)[-1]["details"]["one_shot_ticket"] is True


def test_setting_the_same_again_is_no_change(admin):
    """The audit chain tells of changes, not of commands."""
    for _ in range(2):
        ok(set_options(admin, "--auth-sandwich"))
    assert len(changes(admin)) == 1


@pytest.mark.parametrize("by", ["alice", "rita", "nobody"])
def test_only_an_admin_may_change_them(admin, by):
    """They decide how money moves."""
    result = set_options(admin, "--auth-sandwich", by=by)
    assert (result.code, result.error["code"]) == (1, "refused")
    assert changes(admin) == []


def test_nothing_to_change_is_said(admin):
    """A command that names no option would look as if it had done something."""
    assert set_options(admin).error["field"] == "options"


@pytest.mark.parametrize("days", ["0", "3651"])
def test_an_absurd_period_is_wrong_usage(admin, days):
    """A day at least, ten years at most."""
    assert set_options(admin, "--reclaim-after-days", days).code == 2


def test_an_unknown_tenant_is_named(admin):
    """The message says where to look."""
    result = admin("tenant", "show", "elsewhere", "--json")
    assert result.error["code"] == "not_found"
    assert "tenant list" in result.error["message"]
    assert ok(admin("tenant", "list", "--json"))["tenants"][0]["code"] == "acme"
