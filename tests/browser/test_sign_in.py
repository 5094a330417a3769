"""Signing in with a real browser: by password, by code, by invitation; and being signed out."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from tests.support.site import PASSWORD


async def sign_in(page, name, password=PASSWORD):
    """Fill the form in and send it."""
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def test_who_has_a_password_gets_in_and_out(site):
    """A wrong password is told, a right one leads to where one wanted to go; signed out, nothing shows."""
    await site.give_password("alice")
    page = await site.page(path="/requests?status=PENDING")
    assert page.url.endswith("/sign-in?next=/requests%3Fstatus%3DPENDING")
    await sign_in(page, "alice", "wrong password")
    assert await page.get_by_role("alert").inner_text() == "name or password is not right"
    await sign_in(page, "alice")
    await page.wait_for_url("**/requests?status=PENDING")
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/sign-in")
    await page.goto("/requests")
    assert "/sign-in" in page.url
    # the browser writes each answer of 401 into its console
    site.forgive_statuses()


async def test_a_session_that_is_over_shows_and_changes_nothing(site):
    """An expired session leads to the sign-in page; a form sent with it changes nothing and says so."""
    page = await site.page("alice", "/requests")
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE sessions SET expires_at = :at"), {"at": datetime.now(UTC)})
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="You are signed out").wait_for()
    await page.goto("/requests")
    assert "/sign-in" in page.url
    site.forgive_statuses()


async def test_an_idle_session_is_over(site):
    """A browser that asked for nothing for two hours has to sign in again."""
    page = await site.page("alice", "/requests")
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(
            text("UPDATE sessions SET last_seen_at = :at"),
            {"at": datetime.now(UTC) - timedelta(hours=2, seconds=1)},
        )
    await page.goto("/requests")
    assert "/sign-in" in page.url
    # the open page may have asked once more meanwhile
    site.forgive_statuses()
