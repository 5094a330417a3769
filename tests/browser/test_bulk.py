"""Approving several requests at once: one confirmation, one answer for each, nothing lost if one fails."""

from domain.mint_request import MintStatus
from tests.browser.test_inbox import LARGE, SMALL, pending
from tests.support.steps_up import ask_for_second_factor, set_up_totp


async def choose(site, name, *tickets):
    """The confirmation page for these, as the inbox leads to it."""
    page = await site.page(name, "/inbox")
    for ticket in tickets:
        await page.get_by_role("checkbox", name=f"Select {ticket.request.track_number}").check()
    await page.get_by_role("button", name=f"Approve {len(tickets)} selected").click()
    await page.get_by_role("heading", name=f"Approve {len(tickets)} request").wait_for()
    return page


async def test_one_confirmation_lists_every_amount_and_then_each_has_its_answer(site):
    """Amounts, destinations, requesters and the total are shown before, the outcomes after."""
    one, two = await pending(site, amount=SMALL), await pending(site, amount=LARGE, memo="large")
    page = await choose(site, "alice", one, two)
    said = await page.locator("main").inner_text()
    assert "2,500.00" in said
    assert "50,000.00" in said
    assert said.count(one.request.destination) == 2
    assert "52,500.00 EURT" in " ".join((await page.locator(".totals").inner_text()).split())
    assert (await site.desk.record(one)).approvals == ()
    await page.get_by_role("button", name="Approve 2 requests").click()
    await page.get_by_role("heading", name="2 of 2 approved").wait_for()
    assert "still awaited: 1 more approval, one of tier 2" in await page.locator("main").inner_text()
    [given] = (await site.desk.record(two)).approvals
    assert (given.approver, given.tier) == ("alice", 1)
    await site.desk.until_status(one, MintStatus.CONFIRMED)
    await page.reload()
    await page.get_by_role("heading", name="2 of 2 approved").wait_for()
    assert "this decision was recorded before" in await page.locator("main").inner_text()
    assert len((await site.desk.record(two)).approvals) == 1


async def half_approved(site):
    """Two requests, one decided by somebody else in between: the page that says so, that one, the other."""
    gone, stays = await pending(site), await pending(site)
    page = await choose(site, "alice", gone, stays)
    await site.desk.decide(gone, "bob")
    await page.get_by_role("button", name="Approve 2 requests").click()
    await page.get_by_role("heading", name="1 of 2 approved").wait_for()
    return page, gone, stays


async def test_one_that_fails_stops_no_other(site):
    """Decided by somebody else in between: that one is refused with the reason, the rest is approved."""
    page, gone, stays = await half_approved(site)
    row = page.get_by_role("row").filter(has_text=gone.request.track_number)
    assert "refused" in await row.inner_text()
    assert "already" in await row.inner_text()
    assert [one.approver for one in (await site.desk.record(stays)).approvals] == ["alice"]


async def test_what_can_not_be_approved_is_flagged_before(site):
    """A request that was decided since the inbox was loaded stands aside, with the reason."""
    gone, stays = await pending(site), await pending(site)
    page = await site.page("alice", f"/inbox/approve?id={gone.id}&id={stays.id}")
    await site.desk.decide(gone, "bob")
    await site.desk.until(gone, lambda record: record.status is not MintStatus.PENDING)
    await page.reload()
    await page.get_by_role("heading", name="Approve 1 request?").wait_for()
    aside = await page.locator(".unable").inner_text()
    assert gone.request.track_number in aside
    assert "it can't change any more" in aside


async def test_a_second_factor_is_asked_for_once(site):
    """One code of the authenticator is good for all; a wrong one approves nothing and keeps the page."""
    await ask_for_second_factor(site.desk.seeded, above=1)
    one, two = await pending(site, amount=SMALL), await pending(site, amount=SMALL + 1)
    without = await site.page("alice", f"/inbox/approve?id={one.id}&id={two.id}")
    assert "None of these can be approved" in await without.locator("h1").inner_text()
    assert (await without.locator(".unable").inner_text()).count("needs a second factor") == 2

    code = await set_up_totp(site, "alice")
    page = await choose(site, "alice", one, two)
    await page.get_by_label("Code of your authenticator").fill("000000")
    await page.get_by_role("button", name="Approve 2 requests").click()
    assert "Nothing has been approved" in await page.get_by_role("alert").inner_text()
    assert (await site.desk.record(one)).approvals == ()
    await page.get_by_label("Code of your authenticator").fill(code)
    await page.get_by_role("button", name="Approve 2 requests").click()
    await page.get_by_role("heading", name="2 of 2 approved").wait_for()
    site.forgive_statuses()
