"""One's own account in a real browser: what lets one in, what was said to one, and coming and going."""

import asyncio
import re

import pyotp
import pytest
from playwright.async_api import expect
from sqlalchemy import text

from db.reads.notifications import unread_notifications
from domain.mint_request import MintStatus
from domain.sessions import SessionKind
from tests.support.desk import PATIENCE
from tests.support.site import PASSWORD
from tests.support.tokens import bearer

NEW = "seven quiet river stones"


async def sign_in(page, name, password):
    """Fill the form in and send it."""
    await page.goto("/sign-in")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def said(page):
    """The news that the page tells."""
    return await page.get_by_role("status").first.inner_text()


async def test_a_password_is_changed_by_who_knows_it(site):
    """A wrong present one changes nothing; a new one ends every other session and signs in."""
    await site.give_password("alice")
    page, elsewhere = await site.page("alice", "/account"), await site.page("alice", "/account")
    token = await bearer(site.desk.seeded, "alice")
    for present, news in (("wrong words here", "is not right"), (PASSWORD, "is changed")):
        await page.get_by_label("Present password").fill(present)
        await page.get_by_label("New password").fill(NEW)
        await page.get_by_label("The same again").fill(NEW)
        await page.get_by_role("button", name="Change the password").click()
        assert news in await said(page)
    await elsewhere.reload()
    assert "/sign-in" in elsewhere.url
    async with site.client() as nobody:
        assert (await nobody.get("/api/requests", headers=token)).status_code == 401
    await sign_in(elsewhere, "alice", NEW)
    await elsewhere.wait_for_url("**/inbox")


async def test_an_authenticator_is_set_up_used_and_removed(site):
    """By a first code; afterwards a password alone opens nothing, and a code removes it."""
    await site.give_password("alice")
    page = await site.page("alice", "/account")
    await page.get_by_label("Your password, to make sure").fill(PASSWORD)
    await page.get_by_role("button", name="Set up an authenticator").click()
    await expect(page.locator(".qr path")).to_have_count(1)
    await page.get_by_text("Type the key instead").click()
    key = (await page.locator("#key").inner_text()).replace(" ", "")
    await page.get_by_label("Six digits").fill("000000")
    await page.get_by_role("button", name="Confirm").click()
    assert "not right" in await page.get_by_role("alert").inner_text()
    await page.get_by_label("Six digits").fill(pyotp.TOTP(key).now())
    await page.get_by_role("button", name="Confirm").click()
    assert "is set up" in await said(page)
    fresh = await site.page(path="/sign-in")
    await sign_in(fresh, "alice", PASSWORD)
    await fresh.get_by_role("heading", name="Code of your authenticator").wait_for()
    await page.get_by_text("Remove it", exact=True).click()
    await page.get_by_label("Code of the app").fill("111111")
    await page.get_by_role("button", name="Remove the authenticator").click()
    assert "not right" in await said(page)
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE accounts SET totp_last_step = NULL"))
    await page.get_by_text("Remove it", exact=True).click()
    await page.get_by_label("Code of the app").fill(pyotp.TOTP(key).now())
    await page.get_by_role("button", name="Remove the authenticator").click()
    await page.wait_for_url("**/sign-in")
    site.forgive_statuses()


async def test_sessions_and_tokens_are_ended(site):
    """One by one, or all others at once; this one stays."""
    page, elsewhere = await site.page("alice", "/account"), await site.page("alice", "/account")
    token = await bearer(site.desk.seeded, "alice")
    await page.reload()
    region = page.get_by_role("region", name="Where I am signed in")
    await region.get_by_role("button", name=re.compile("^End ws_")).click()
    assert "1 ended" in await said(page)
    await elsewhere.reload()
    assert "/sign-in" in elsewhere.url
    await page.get_by_role("button", name="End all others").click()
    assert "1 ended" in await said(page)
    async with site.client() as nobody:
        assert (await nobody.get("/api/requests", headers=token)).status_code == 401
    await page.goto("/account")
    await expect(page.get_by_role("heading", name="alice")).to_have_count(1)


async def test_a_token_is_shown_once_and_makes_no_more_of_itself(site):
    """It reads what its user may read; accounts are for people."""
    page = await site.page("rita", "/account")
    await page.get_by_label("What it is for").fill("<b>nightly</b>")
    await page.get_by_role("button", name="Make a token").click()
    token = await page.locator(".made pre").inner_text()
    me = {"Authorization": f"Bearer {token}"}
    await page.goto("/account")
    assert token not in await page.content()
    await expect(page.get_by_text("<b>nightly</b>")).to_have_count(1)
    async with site.client() as nobody:
        assert (await nobody.get("/api/requests", headers=me)).status_code == 200
        for method, path in (("GET", "/account"), ("POST", "/account/tokens"), ("POST", "/account/password")):
            assert (await nobody.request(method, path, headers=me)).status_code == 403
    person = await site.accounts.person(token)
    assert (person.name, person.kind) == ("rita", SessionKind.TOKEN)


@pytest.mark.parametrize("days", ["0", "-1", "367", "1e3", "٣", "x", "99999999"])
async def test_a_token_for_ever_is_refused(site, days):
    """1 to 366 days, whatever is sent."""
    async with site.client("alice") as alice:
        answer = await alice.post("/account/tokens", data={"label": "x", "days": days})
    assert answer.status_code == 400
    assert "1 to 366 days" in answer.text


async def test_one_goes_away_and_comes_back(site):
    """Without a delegate a click is enough; who is no approver has nothing to leave."""
    page = await site.page("carol", "/account")
    await page.get_by_label("Until").fill("2031-01-01T09:00")
    await page.get_by_role("button", name="Set", exact=True).click()
    assert "longer than 92 days" in await said(page)
    async with site.client("carol") as carol:
        await carol.post("/account/absences", data={"until": "x"})
        for wrong in ("x", "9999-12-31T23:59", "\x00", ""):
            answer = await carol.post("/account/absences", data={"until": wrong})
            assert answer.status_code == 303
        listed = await carol.get("/api/absences")
        assert listed.json() == {"absences": []}
    until = await page.evaluate("new Date(Date.now() + 5 * 86400e3).toISOString().slice(0, 16)")
    await page.get_by_label("Until").fill(until)
    await page.get_by_label("Why").fill("<script>alert(1)</script>")
    await page.get_by_role("button", name="Set", exact=True).click()
    assert "out of office" in await said(page)
    async with site.client("bob") as bob:
        [absence] = (await bob.get("/api/absences")).json()["absences"]
        assert (absence["user"], absence["delegate"]) == ("carol", None)
        assert "reason" not in absence
        assert (await bob.post(f"/account/absences/{absence['id']}/end")).status_code == 303
        assert len((await bob.get("/api/absences")).json()["absences"]) == 1
    await page.get_by_role("button", name="End it now").click()
    assert "Welcome back" in await said(page)
    async with site.client("rita") as rita:
        await rita.post("/account/absences", data={"until": "2030-01-01T00:00"})
        assert (await rita.get("/api/absences")).json() == {"absences": []}


async def unread(site, *names):
    """How many messages in the app each of them has not read."""
    async with site.desk.seeded.database.transaction() as tx:
        return [await unread_notifications(tx, "acme", name) for name in names]


async def test_what_one_was_told_is_marked_as_read(site):
    """One by one or all at once, one's own only; the count goes with it."""
    for _ in range(3):
        ticket = await site.desk.submit()
        await site.desk.until_status(ticket, MintStatus.PENDING)
    async with asyncio.timeout(PATIENCE):
        while min(await unread(site, "alice", "bob")) < 3:
            await asyncio.sleep(0.1)
    before = await unread(site, "alice", "bob")
    page = await site.page("alice", "/account/notifications")
    new = page.get_by_role("button", name="Mark as read")
    await expect(new).to_have_count(before[0])
    await new.first.click()
    await page.wait_for_load_state()
    assert await unread(site, "alice", "bob") == [before[0] - 1, before[1]]
    async with site.desk.seeded.database.transaction() as tx:
        theirs = await tx.value(text("SELECT id FROM notifications WHERE recipient = 'bob' LIMIT 1"))
    async with site.client("alice") as alice:
        for message in ("x", "\x00", theirs):
            data = {"message": message}
            assert (await alice.post("/account/notifications/read", data=data)).status_code in (303, 400)
    assert await unread(site, "alice", "bob") == [before[0] - 1, before[1]]
    await page.get_by_role("button", name="Mark all as read").click()
    await expect(new).to_have_count(0)
    assert await unread(site, "alice", "bob") == [0, before[1]]


async def test_the_page_on_a_phone_and_in_the_dark(site, tmp_path):
    """Nothing is wider than the screen."""
    for scheme in ("light", "dark"):
        for width in (360, 1280):
            options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
            page = await site.page("alice", "/account", **options)
            wide = await page.evaluate("document.documentElement.scrollWidth")
            await page.screenshot(path=tmp_path / f"account-{scheme}-{width}.png", full_page=True)
            assert wide <= width
