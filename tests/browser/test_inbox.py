"""The inbox in a real browser: what it shows, its filters and its keyboard; the list and the form to ask."""

import asyncio
import re

from playwright.async_api import expect
from sqlalchemy import text

from domain.mint_request import MintStatus

LARGE, SMALL = 50_000 * 10**7, 2_500 * 10**7


async def pending(site, **changes):
    """A request that waits for its approvers."""
    ticket = await site.desk.submit(**changes)
    await site.desk.until_status(ticket, MintStatus.PENDING)
    return ticket


def rows(page):
    """The track numbers of the rows, from the top."""
    return page.locator("a.open")


def focused(page):
    """What the key strokes go to."""
    return page.evaluate("document.activeElement.textContent || document.activeElement.id")


async def test_what_waits_for_me_and_nothing_else(site):
    """By time left; neither my own requests nor what I have approved; each line says what to know."""
    second = await pending(site, amount=LARGE, memo="salaries of May")
    first = await pending(site, amount=25_000_000_001)
    own = await pending(site, requester="alice")
    approved = await pending(site, amount=LARGE)
    await site.desk.decide(approved, "alice")
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(
            text("UPDATE mint_requests SET expires_at = expires_at - interval '23 hours' WHERE id = :id"),
            {"id": first.id},
        )
    page = await site.page("alice", "/inbox")
    await expect(rows(page)).to_have_text([first.request.track_number, second.request.track_number])
    assert (await page.locator("[data-summary]").inner_text()).startswith("2 requests wait for you")
    row = page.locator("[data-line]").first
    said = " ".join((await row.inner_text()).split())
    assert "2,500.0000001 EURT" in said
    assert "0 of 1" in said
    assert "rita · treasury-eu" in said
    assert "min" in await row.locator(".countdown").inner_text()
    assert await row.locator(".account").get_attribute("title") == first.request.destination
    assert "one of tier 2+ missing" in await page.locator("[data-line]").nth(1).inner_text()
    others = await rows(await site.page("bob", "/inbox")).all_inner_texts()
    assert set(others) == {one.request.track_number for one in (first, second, own, approved)}


async def test_filters_without_scripts(site):
    """Everything is a plain form: search, filters, and an address that can be kept."""
    large = await pending(site, amount=LARGE, memo="salaries of May")
    small = await pending(site, amount=SMALL)
    page = await site.page("alice", "/inbox", java_script_enabled=False)
    await page.get_by_text("Search and filter").click()
    await page.get_by_label("Amount from").fill("10000")
    await page.get_by_role("button", name="Filter").click()
    await expect(rows(page)).to_have_text([large.request.track_number])
    assert "least=10000" in page.url
    await page.get_by_label("Amount from").fill("ten")
    await page.get_by_role("button", name="Filter").click()
    assert "is not a plain decimal number" in await page.locator("#least-wrong").inner_text()
    await expect(rows(page)).to_have_count(2)
    await page.get_by_role("link", name="Clear").click()
    await page.get_by_text("Search and filter").click()
    await page.get_by_role("searchbox").fill(small.request.track_number.lower())
    await page.get_by_role("button", name="Filter").click()
    await expect(rows(page)).to_have_text([small.request.track_number])
    await page.get_by_role("searchbox").fill("nobody said this")
    await page.get_by_role("button", name="Filter").click()
    assert "Nothing that waits for you fits the filter" in await page.locator(".empty").inner_text()


async def test_an_empty_inbox_says_what_to_do(site):
    """Nothing waits: where to look instead. Who is away sees who decides for them."""
    from tests.support.absences import send_away

    page = await site.page("alice", "/inbox")
    assert "nothing needs your approval now" in await page.locator(".empty").inner_text()
    await send_away(site.desk.seeded, "alice", "bob")
    await page.reload()
    assert "bob decides for you" in await page.locator(".empty").inner_text()


async def test_somebody_elses_authority_is_named(site):
    """What waits for me only since I stand in for somebody says for whom."""
    from tests.support.absences import send_away

    ticket = await pending(site, amount=LARGE)
    await site.desk.decide(ticket, "bob")
    await send_away(site.desk.seeded, "carol", "alice")
    page = await site.page("alice", "/inbox")
    assert "for carol, tier 2" in await page.locator("[data-line]").inner_text()


async def test_the_keyboard_moves_selects_opens_and_helps(site):
    """j, k and arrows move, x selects, Enter opens, ? helps, / searches, a goes to the confirmation."""
    first, second = await pending(site), await pending(site)
    page = await site.page("alice", "/inbox")
    await page.keyboard.press("j")
    assert await focused(page) == first.request.track_number
    await page.keyboard.press("ArrowDown")
    assert await focused(page) == second.request.track_number
    await page.keyboard.press("x")
    await expect(page.locator("input[name=id]:checked")).to_have_count(1)
    await page.keyboard.press("k")
    assert await focused(page) == first.request.track_number
    await page.keyboard.press("?")
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    assert await focused(page) == "q"
    await page.keyboard.press("Escape")
    await page.get_by_role("heading", name="Inbox").click()
    await page.keyboard.press("a")
    await page.get_by_role("heading", name="Approve 1 request?").wait_for()
    assert second.request.track_number in await page.locator("main").inner_text()
    await page.go_back()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/requests/{first.id}")


async def test_a_click_on_a_line_opens_its_request(site):
    """Anywhere but in the corner with the box; a second tab with Ctrl, and nothing where text is marked."""
    ticket = await pending(site)
    page = await site.page("alice", "/inbox")
    line, opened = page.locator("[data-line]"), re.compile(f"/requests/{ticket.id}$")
    await line.locator(".pick").click(position={"x": 2, "y": 2})
    await line.get_by_role("checkbox").check()
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-line] .what'))")
    await line.locator(".what").dispatch_event("click")
    await page.evaluate("getSelection().removeAllRanges()")
    await expect(page).to_have_url(re.compile("/inbox$"))
    async with page.context.expect_page() as second:
        await line.locator(".what").click(modifiers=["Control"])
    await expect(await second.value).to_have_url(opened)
    await line.locator(".what").click()
    await expect(page).to_have_url(opened)
    await page.goto("/requests")
    await line.locator(".what").click()
    await expect(page).to_have_url(opened)


async def test_keys_never_hijack_typing_or_modifiers(site):
    """In a field letters are letters; with Ctrl, Alt or Meta they are the browser's; and they can be off."""
    await pending(site)
    page = await site.page("alice", "/inbox")
    await page.keyboard.press("/")
    await page.keyboard.type("jxa?k/")
    assert await page.get_by_role("searchbox").input_value() == "jxa?k/"
    await expect(page.locator("input[name=id]:checked")).to_have_count(0)
    await page.get_by_role("heading", name="Inbox").click()
    for modifier in ("Control", "Alt", "Meta"):
        await page.keyboard.press(f"{modifier}+j")
        await expect(page.locator("a.open:focus")).to_have_count(0)
    await page.get_by_role("button", name="Keyboard").click()
    await page.get_by_label("Use these keys").uncheck()
    await page.get_by_role("button", name="Close").click()
    await page.keyboard.press("j")
    await page.reload()
    await page.keyboard.press("j")
    await expect(page.locator("a.open:focus")).to_have_count(0)


async def test_asking_says_what_is_wrong_beside_its_field(site):
    """Nothing typed is lost; a mended form becomes one request of the person who is signed in."""
    page = await site.page("rita", "/requests/new", java_script_enabled=False)
    ledger = site.desk.ledger
    await page.get_by_label("Asset").fill(str(ledger.asset))
    await page.get_by_label("Amount").fill("1e5")
    await page.get_by_label("Destination").fill(ledger.holder.public_key)
    await page.get_by_label("What for").fill("<b>salaries</b>")
    await page.get_by_role("button", name="Ask for this mint").click()
    assert "is not a plain decimal number" in await page.locator("#amount-wrong").inner_text()
    assert await page.get_by_label("Amount").get_attribute("aria-describedby") == "amount-wrong"
    assert await page.get_by_label("What for").input_value() == "<b>salaries</b>"
    await page.get_by_label("Amount").fill("1250.5")
    await page.get_by_role("button", name="Ask for this mint").click()
    await page.wait_for_url("**/requests/mr_*")
    async with site.desk.seeded.database.transaction() as tx:
        [row] = await tx.rows(text("SELECT requester, amount, memo FROM mint_requests"))
    assert tuple(row) == ("rita", 12_505_000_000, "<b>salaries</b>")
    site.forgive_statuses()


async def test_a_doubled_submit_is_one_request(site):
    """The same form sent twice at once, and once more later: one request."""
    ledger = site.desk.ledger
    form = {
        "other_asset": str(ledger.asset),
        "amount": "10",
        "destination": ledger.holder.public_key,
        "topic": "treasury-eu",
        "key": "made-for-this-page",
    }
    async with site.client("rita") as client:
        answers = await asyncio.gather(*(client.post("/requests/new", data=form) for _ in range(2)))
        answers.append(await client.post("/requests/new", data=form))
        other = await client.post("/requests/new", data=form | {"amount": "11"})
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert other.status_code == 409
    async with site.desk.seeded.database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM mint_requests")) == 1
