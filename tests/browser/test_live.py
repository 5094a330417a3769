"""Open pages follow what happens elsewhere, without a reload and without getting in anybody's way."""

import time

from playwright.async_api import expect
from sqlalchemy import text

from domain.mint_request import MintStatus
from tests.browser.test_inbox import LARGE, pending
from tests.support.desk import PATIENCE
from web.api import events as api

MARK = "window.neverReloaded = true"


async def live(page):
    """Wait until the page's stream has begun."""
    await page.locator("[data-live-state]", has_text="live").wait_for()
    await page.evaluate(MARK)


async def test_a_decision_elsewhere_shows_in_the_open_inbox(site):
    """Signed and sent by the command line's way: the row goes, and the page was never loaded anew."""
    gone, stays = await pending(site), await pending(site)
    page = await site.page("alice", "/inbox")
    await live(page)
    await site.desk.decide(gone, "bob")
    decided = time.perf_counter()
    await page.locator(f"#open-{gone.id}").wait_for(state="detached")
    print(f"the decision showed {time.perf_counter() - decided:.3f} s after its answer")
    await expect(page.locator(f"#open-{stays.id}")).to_have_count(1)
    assert (await page.locator("[data-summary]").inner_text()).startswith("1 request waits")
    assert await page.evaluate("window.neverReloaded") is True
    said = await page.locator("p[role=status].visually-hidden").inner_text()
    assert said.startswith("1 request waits")


async def test_a_new_request_appears_by_itself(site):
    """In the empty inbox of the approver, and in the requester's own list with each change of its status."""
    inbox, own = await site.page("alice", "/inbox"), await site.page("rita", "/requests")
    await live(inbox)
    await live(own)
    ticket = await pending(site)
    await inbox.locator(f"#open-{ticket.id}").wait_for()
    await own.locator(f"#open-{ticket.id}").wait_for()
    await site.desk.decide(ticket, "bob")
    await own.locator(".status.confirmed").wait_for()
    assert await own.evaluate("window.neverReloaded") is True


async def test_news_take_neither_focus_nor_selection_nor_typed_text(site):
    """What is selected stays selected, what is focused stays focused, half a search stays typed."""
    chosen, gone = await pending(site), await pending(site)
    page = await site.page("alice", "/inbox")
    await live(page)
    await page.get_by_role("checkbox", name=f"Select {chosen.request.track_number}").check()
    await page.get_by_text("Search and filter").click()
    await page.get_by_role("searchbox").fill("half a wor")
    await page.locator(f"#open-{chosen.id}").focus()
    await site.desk.decide(gone, "bob")
    await page.locator(f"#open-{gone.id}").wait_for(state="detached")
    assert await page.evaluate("document.activeElement.id") == f"open-{chosen.id}"
    await expect(page.locator("input[name=id]:checked")).to_have_count(1)
    assert await page.get_by_role("searchbox").input_value() == "half a wor"
    await expect(page.get_by_role("button", name="Approve 1 selected")).to_be_enabled()
    await site.desk.decide(chosen, "bob")
    await page.locator(f"#open-{chosen.id}").wait_for(state="detached")
    # its line is gone, and focus with it: not to the top of the document
    assert await page.evaluate("document.activeElement.id") == "main"


async def test_what_happened_before_the_stream_began_is_not_missed(site):
    """Between a page's rendering and its stream something is decided: the page follows all the same."""
    ticket = await pending(site)
    context = await site.context("alice")
    page = await context.new_page()

    async def hold(route):
        await site.desk.decide(ticket, "bob")
        await route.continue_()

    await page.route("**/api/events*", hold, times=1)
    await page.goto("/inbox")
    await page.locator(f"#open-{ticket.id}").wait_for(state="detached")
    assert await page.locator("[data-summary]").inner_text() == "Nothing waits for you."


async def test_who_is_signed_out_elsewhere_is_told(site, monkeypatch):
    """The page says that it is no longer up to date, and shows nothing new."""
    monkeypatch.setattr(api, "CHECK_SECONDS", 0.1)
    page = await site.page("alice", "/inbox")
    await live(page)
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("UPDATE sessions SET ended_at = now()"))
    await page.get_by_role("alert").get_by_role("link", name="Sign in again").wait_for()
    ticket = await pending(site)
    await expect(page.locator(f"#open-{ticket.id}")).to_have_count(0)


async def test_time_left_counts_down(site):
    """By the server's clock, whatever the browser's says."""
    ticket = await pending(site)
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(
            text("UPDATE mint_requests SET expires_at = now() + interval '50 seconds' WHERE id = :id"),
            {"id": ticket.id},
        )
    context = await site.context("alice")
    page = await context.new_page()
    # a clock that is three hours ahead
    await page.add_init_script("const now = Date.now; Date.now = () => now() + 3 * 3600 * 1000;")
    await page.goto("/inbox")
    first = await page.locator(".countdown").inner_text()
    assert first.endswith(" s")
    assert "soon" in await page.locator(".countdown").get_attribute("class")
    await expect(page.locator(".countdown")).not_to_have_text(first, timeout=PATIENCE * 1000)
    assert (await page.locator(".countdown").inner_text()).endswith(" s")


async def test_partial_approvals_show_in_the_list(site):
    """One of two approvals, given elsewhere, appears in an open list."""
    ticket = await pending(site, amount=LARGE)
    page = await site.page("lena", "/requests")
    await live(page)
    await site.desk.decide(ticket, "alice")
    await page.locator(".approvals", has_text="1 of 2").wait_for()
    assert (await site.desk.record(ticket)).status is MintStatus.PENDING
