"""The admin panel in a real browser, as an admin uses it: by labels and buttons, with and without scripts."""

import pytest
from playwright.async_api import expect

from db.reads.admin import approver_keys
from domain.mint_request import MintStatus
from starter import schedules
from tests.support.admin import DICTIONARIES, audited, put, stored
from tests.support.schedules import forget_schedules

PAGES = (
    "/admin", f"{DICTIONARIES}/user", f"{DICTIONARIES}/user/entries/alice", f"{DICTIONARIES}/calendar/new",
    f"{DICTIONARIES}/user/entries/alice/remove", "/admin/rules", f"{DICTIONARIES}/rule/entries/10",
    "/admin/accounts", "/admin/accounts/adam", "/admin/policies", "/admin/policies/acme-mint-default-1",
    "/admin/policies/new?like=acme-mint-default-1", f"{DICTIONARIES}/channel/entries/slack-mint",
    "/admin/deliveries", "/admin/runs", "/admin/keys", "/admin/schedules", "/admin/configuration",
)  # fmt: skip


async def save(page, button="Save"):
    """Send the form."""
    await page.get_by_role("button", name=button, exact=True).click()
    await page.wait_for_load_state()


async def test_a_topic_is_made_changed_found_and_deactivated(site):
    """The life of an entry by hand: wrong, right, changed, searched for, deactivated; each with a name."""
    page = await site.page("adam", f"{DICTIONARIES}/topic")
    await page.get_by_role("link", name="New topic").click()
    await page.get_by_label("Code").fill("Treasury Asia")
    await page.get_by_label("Name").fill("Asia <i>desk</i>")
    await page.get_by_label("Department").select_option("treasury")
    await save(page, "Create")
    wrong = page.get_by_label("Code")
    assert await wrong.get_attribute("aria-invalid") == "true"
    assert "write 1 to 63 of a-z" in await page.locator("#error-code").inner_text()
    site.forgive_statuses()
    await wrong.fill("treasury-asia")
    await save(page, "Create")
    assert "topic treasury-asia is saved" in await page.get_by_role("status").first.inner_text()
    assert await page.get_by_label("Name").input_value() == "Asia <i>desk</i>"
    await page.get_by_label("Assign after").fill("3")
    await save(page)
    assert (await stored(site, "topic", "treasury-asia"))["auto_assign_after_hours"] == 3
    await page.goto(f"{DICTIONARIES}/topic?q=<i>DESK")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("link", name="treasury-asia").click()
    await page.get_by_role("link", name="Deactivate").click()
    await page.get_by_role("button", name="Deactivate treasury-asia").click()
    await page.wait_for_url(f"**{DICTIONARIES}/topic")
    assert (await stored(site, "topic", "treasury-asia"))["active"] is False
    assert ("topics.set", "adam") in await audited(site)


async def test_hours_quiet_hours_and_lists_are_typed_as_people_write_them(site):
    """A week, quiet hours, holidays and ticks are stored as meant; what can't be read is told beside it."""
    page = await site.page("adam", f"{DICTIONARIES}/calendar/new")
    await page.get_by_label("Code").fill("fra")
    await page.get_by_label("Name").fill("Frankfurt")
    await page.get_by_label("Time zone").fill("Europe/Nowhere")
    await page.get_by_label("Monday").fill("09:00-12:00, 13:00-17:00")
    await page.get_by_label("Tuesday").fill("soon")
    await page.get_by_label("Own holidays").fill("2026-12-24\n\n2026-12-31")
    await save(page, "Create")
    assert "is no IANA time zone" in await page.locator("#error-time_zone").inner_text()
    await expect(page.locator("#error-hours")).to_have_count(1)
    assert await page.get_by_label("Tuesday").input_value() == "soon"
    site.forgive_statuses()
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await page.get_by_label("Tuesday").fill("")
    await save(page, "Create")
    found = await stored(site, "calendar", "fra")
    assert found["hours"] == {"mon": [["09:00", "12:00"], ["13:00", "17:00"]]}
    assert found["holidays"] == ["2026-12-24", "2026-12-31"]
    await page.goto(f"{DICTIONARIES}/user/entries/bob")
    await page.get_by_label("Quiet hours").fill("whenever")
    await page.get_by_role("checkbox", name="admin").check()
    await save(page)
    assert "is no window" in await page.locator("#error-quiet_hours").inner_text()
    await expect(page.get_by_role("checkbox", name="admin")).to_be_checked()
    site.forgive_statuses()
    await page.get_by_label("Quiet hours").fill("mon-fri 22:00-07:00 Europe/Berlin")
    await save(page)
    assert "is admin and approver" in await page.get_by_role("status").first.inner_text()
    found = await stored(site, "user", "bob")
    assert found["roles"] == ["admin", "approver"]
    assert found["quiet_hours"][0]["from"] == "22:00"
    assert found["topics"] == ["treasury-us"]


async def test_rules_are_read_in_words_moved_inserted_and_numbered(site):
    """The table explains each rule; moving swaps places; inserting goes between; what is hidden is said."""
    page = await site.page("adam", "/admin/rules")
    table = page.get_by_role("table")
    assert "up to 10,000.00" in await table.inner_text()
    assert "2 approvals of tier 1 or above, one of them of tier 2 or above" in await table.inner_text()
    await page.get_by_role("button", name="Move rule 10 down").click()
    await page.wait_for_load_state()
    assert (await stored(site, "rule", "10"))["approvals"] == 2
    assert "Never reached: rule 10 takes all of it." in await table.inner_text()
    await page.get_by_role("link", name="Insert before").last.click()
    assert await page.get_by_label("Position").input_value() == "15"
    await page.get_by_label("Approvals").fill("1")
    await page.get_by_label("Up to amount").fill("12.5")
    await page.get_by_label("Second factor above").fill("1e5")
    await save(page, "Create")
    await expect(page.locator("#error-step_up_above")).to_have_count(1)
    site.forgive_statuses()
    await page.get_by_label("Second factor above").fill("0")
    await save(page, "Create")
    assert (await stored(site, "rule", "15"))["max"] == "12.5000000"
    assert "second factor above 0.00" in await table.inner_text()
    await page.get_by_role("button", name="Number in steps of ten").click()
    await page.wait_for_load_state()
    assert [await stored(site, "rule", code) is not None for code in ("10", "15", "20", "30")] == [
        True,
        False,
        True,
        True,
    ]


async def test_an_invitation_is_shown_once_and_lets_somebody_in(site):
    """The link is in one answer only; by it bob chooses a password; his sessions can be ended."""
    page = await site.page("adam", "/admin/accounts/bob")
    await page.get_by_role("button", name="Invite to choose a password").click()
    link = await page.get_by_label("Link").input_value()
    await page.goto("/admin/accounts/bob")
    assert link not in await page.content()
    assert "waits to be used" in await page.inner_text("main")
    guest = await site.page(None, link[link.index("/invitations/") :])
    await guest.get_by_label("Password", exact=True).fill("a horse of another colour")
    await guest.get_by_label("again").fill("a horse of another colour")
    await guest.get_by_role("button").click()
    await site.page("bob", "/requests")
    await page.goto("/admin/accounts/bob")
    assert "set" in await page.inner_text("main")
    await page.get_by_role("button", name="End all").click()
    await page.get_by_text("Nobody is signed in as bob").wait_for()
    assert ("sessions.ended", "adam") in await audited(site)


async def test_keys_are_registered_and_revoked_by_an_admin(site):
    """A public key is taken, garbage is not, and a revoked one stays to be seen."""
    page = await site.page("adam", "/admin/accounts/alice")
    for typed in ("garbage", "ab" * 32):
        await page.get_by_text("Register a key").click()
        await page.get_by_label("Public key").fill(typed)
        await page.get_by_role("button", name="Register", exact=True).click()
        await page.wait_for_load_state()
    async with site.desk.seeded.database.transaction() as tx:
        found = await approver_keys(tx, "acme", "alice")
    new = found[-1]
    assert len(found) == 2
    await page.locator("tr", has_text=new.key_id).get_by_text("signs").click()
    await page.get_by_role("button", name=f"Revoke {new.key_id}").click()
    await page.get_by_text(f"key {new.key_id} is revoked").wait_for()


async def test_a_policy_that_cannot_work_is_refused_with_every_reason(site):
    """A deadlock and an unknown channel are told before anything is published; a good one is switched to."""
    page = await site.page("adam", "/admin/policies/new?like=acme-mint-default-1")
    text = await page.get_by_label("Policy, in JSON or YAML").input_value()
    await put(site, "rule", "30", approvals=9)
    await page.get_by_label("Policy, in JSON or YAML").fill(text.replace("pager-mgmt", "carrier-pigeon"))
    await page.get_by_role("button", name="Publish").click()
    told = await page.get_by_role("alert").inner_text()
    assert "approval rule 30 can never be satisfied" in told
    assert "has no channel carrier-pigeon" in told
    site.forgive_statuses()
    await put(site, "rule", "30", approvals=1)
    await page.get_by_label("Policy, in JSON or YAML").fill(text)
    await page.get_by_role("button", name="Check").click()
    await page.get_by_text("Nothing is published yet").wait_for()
    await page.get_by_role("button", name="Publish").click()
    await page.wait_for_url("**/admin/policies/acme-mint-default-2")
    await page.get_by_label("From").fill("2026-12-01T23:30")
    await page.get_by_role("button", name="Simulate").click()
    await page.wait_for_load_state()
    assert "1 Dec 23:30 CET" in await page.get_by_role("table").inner_text()
    drawn = await page.locator("img[alt^=Timeline]").evaluate("one => one.complete && one.naturalWidth")
    assert drawn > 500
    await page.get_by_role("button", name="Switch to acme-mint-default-2").click()
    await page.get_by_text("current", exact=True).wait_for()
    await page.get_by_role("button", name="Delete acme-mint-default-2").click()
    assert "switch to another one first" in await page.get_by_role("status").first.inner_text()


async def test_a_policy_with_runs_is_not_deleted_and_a_run_is_stopped_and_resumed(site):
    """The refusal names the run; stopped by an admin without a key of their own, it can go on again."""
    ticket = await site.desk.submit()
    await site.desk.until_status(ticket, MintStatus.PENDING)
    page = await site.page("adam", "/admin/policies/new?like=acme-mint-default-1")
    await page.get_by_role("button", name="Publish").click()
    await page.get_by_role("button", name="Switch to").click()
    await page.wait_for_load_state()
    await page.goto("/admin/policies/acme-mint-default-1")
    await page.get_by_role("button", name="Delete acme-mint-default-1").click()
    assert ticket.id in await page.get_by_role("status").first.inner_text()
    await page.goto(f"/admin/runs/{ticket.id}")
    await page.get_by_label("Reason").fill("they are all on holiday")
    await page.get_by_role("button", name="Cancel the escalation").click()
    await page.get_by_text("no further stage runs").wait_for()
    assert (await site.desk.record(ticket)).escalation_cancelled_by == "adam"
    await page.get_by_label("Reason").fill("back again")
    await page.get_by_role("button", name="Resume").click()
    await page.get_by_text("the stages to come run again").wait_for()
    assert (await site.desk.record(ticket)).escalation_cancelled_by is None


async def test_a_configuration_is_looked_at_then_applied_and_only_as_seen(site):
    """The difference is shown first; what changed meanwhile is shown again; wrong paths are all told."""
    page = await site.page("adam", "/admin/configuration")
    await page.get_by_label("Or text").fill("topics:\n  treasury-eu: {name: 7}\nnonsense: {}\n")
    await page.get_by_role("button", name="Look what it would change").click()
    assert "nonsense" in await page.get_by_role("alert").inner_text()
    site.forgive_statuses()
    await page.get_by_label("Or text").fill("topics:\n  treasury-eu: {name: '<b>New</b>'}\n")
    await page.get_by_role("button", name="Look what it would change").click()
    assert await page.locator("ins").inner_text() == "<b>New</b>"
    await put(site, "topic", "treasury-eu", name="Other")
    await page.get_by_role("button", name="Apply these changes").click()
    assert await page.locator("del").inner_text() == "Other"
    assert (await stored(site, "topic", "treasury-eu"))["name"] == "Other"
    site.forgive_statuses()
    await page.get_by_role("button", name="Apply these changes").click()
    await page.get_by_text("the configuration is applied: 0 added, 1 changed").wait_for()
    assert (await stored(site, "topic", "treasury-eu"))["name"] == "<b>New</b>"
    async with page.expect_download() as begun:
        await page.get_by_role("link", name="Download").click()
    file = await (await begun.value).path()
    assert "<b>New</b>" in file.read_text()


async def test_a_schedule_is_paused_with_a_reason_resumed_and_run(site, temporal_server):
    """In the real server: the pause and who did it are there for everybody; each step is audited."""
    client = temporal_server.client
    await forget_schedules(client)
    await schedules.apply(client)
    try:
        page = await site.page("adam", "/admin/schedules")
        await page.get_by_label("Why sla-check is paused").fill("<b>moving</b>")
        await page.get_by_role("button", name="Pause sla-check").click()
        await page.get_by_role("button", name="Resume sla-check").wait_for()
        found = (await client.get_schedule_handle("sla-check").describe()).schedule.state
        assert (found.paused, found.note) == (True, "<b>moving</b> (adam)")
        assert "<b>moving</b>" in await page.inner_text("main")
        await page.goto("/admin")
        assert "Schedule sla-check is paused" in await page.inner_text("main")
        await page.goto("/admin/schedules")
        await page.get_by_role("button", name="Resume sla-check").click()
        await page.get_by_role("button", name="Pause sla-check").wait_for()
        await page.get_by_role("button", name="Run cleanup-expired-otps now").click()
        await page.get_by_text("cleanup-expired-otps is started").wait_for()
        done = [kind for kind, actor in await audited(site) if actor == "adam"]
        assert [kind for kind in done if kind.startswith("schedules.")] == [
            "schedules.paused", "schedules.resumed", "schedules.started",
        ]  # fmt: skip
    finally:
        await forget_schedules(client)


@pytest.mark.parametrize("scripts", [True, False])
async def test_every_page_reads_well_on_a_phone(site, scripts):
    """No page is wider than 360 px, none has an error in its console, and all work without scripts."""
    await put(
        site, "channel", "hook", kind="webhook", settings={"url": "https://x.example/", "secret": "env:S"}
    )
    page = await (
        await site.context("adam", viewport={"width": 360, "height": 740}, java_script_enabled=scripts)
    ).new_page()
    for path in PAGES:
        answer = await page.goto(path)
        assert answer.status == 200, path
        assert await page.locator("h1").count() == 1, path
        if scripts:
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
