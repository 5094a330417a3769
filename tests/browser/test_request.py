"""The page of one request in a real browser: its whole life, races, second factors, who may not."""

import asyncio
import re

import pytest
from playwright.async_api import expect
from sqlalchemy import text

from domain.amounts import STROOPS_PER_UNIT
from domain.approvals import Verdict
from domain.mint_request import MintStatus
from tests.support.desk import PATIENCE
from tests.support.site import open_site
from tests.support.steps_up import ask_for_second_factor, code_sent_to, set_up_totp

SMALL, LARGE = 2_500 * STROOPS_PER_UNIT, 50_000 * STROOPS_PER_UNIT
XSS = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>"""
WAIT = PATIENCE * 1000


async def pending(site, **changes):
    """A request that waits for a decision."""
    ticket = await site.desk.submit(**changes)
    await site.desk.until_status(ticket, MintStatus.PENDING)
    return ticket


async def shown(page):
    """The news, without which nobody knows what came of a click."""
    await page.locator(".news").first.wait_for(timeout=WAIT)
    return await page.locator(".news").first.inner_text()


async def approve(page, amount="2,500.00", code=None, reason=""):
    """Approve as a person does: the button, then the confirmation."""
    await page.locator("summary", has_text=f"Approve {amount} EURT").click()
    if reason:
        await page.get_by_label("Remark").fill(reason)
    if code is not None:
        await page.locator("#approve-code").fill(code)
    await page.get_by_role("button", name="Yes, approve").click()


async def test_the_whole_life_of_a_request(site):
    """Asked for, talked about, claimed, approved by two people, minted: each step shows, with its proof."""
    ticket = await pending(site, amount=LARGE, memo="Q4 funding")
    rita = await site.page("rita", f"/requests/{ticket.id}")
    await expect(rita.get_by_text("You asked for this. Four eyes")).to_be_visible()
    await expect(rita.locator("summary", has_text="Approve")).to_have_count(0)
    await rita.get_by_label("Say something").fill("The invoice follows.")
    await rita.get_by_role("button", name="Send").click()
    assert await shown(rita) == "Said."

    alice = await site.page("alice", f"/requests/{ticket.request.track_number}")
    await expect(alice.get_by_text("The invoice follows.").first).to_be_visible()
    await alice.get_by_role("button", name="Claim").click()
    assert "You work on it now" in await shown(alice)
    await approve(alice, "50,000.00", reason="checked with the bank")
    assert "Still awaited" in (await shown(alice)).replace("still", "Still")
    await expect(alice.get_by_text("You have approved this.")).to_be_visible()
    await expect(alice.get_by_text("signed in: password").first).to_be_visible()

    carol = await site.page("carol", f"/requests/{ticket.id}")
    await expect(carol.get_by_text("checked with the bank").first).to_be_visible()
    await approve(carol, "50,000.00")
    assert "goes to the ledger" in await shown(carol)
    await site.desk.until_status(ticket, MintStatus.CONFIRMED)
    await carol.goto(f"/requests/{ticket.id}")
    record = await site.desk.record(ticket)
    await expect(carol.get_by_role("heading", name="Minted 50,000.00 EURT")).to_be_visible()
    await expect(carol.locator("#record", has_text=record.submission.hash)).to_be_visible()
    await carol.locator("#record summary", has_text="Proof").click()
    await expect(carol.locator("#record pre", has_text='"kind": "landed"')).to_be_visible()
    approvers = [(one.approver, one.tier) for one in record.approvals]
    assert approvers == [("alice", 1), ("carol", 2)]


async def test_the_destination_is_checked_by_itself(site):
    """With scripts the check comes by itself, without them a link leads to it; it names what is wrong."""
    ticket = await pending(site)
    page = await site.page("alice", f"/requests/{ticket.id}")
    await page.get_by_text("The mint can reach it").wait_for(timeout=WAIT)
    plain = await site.page("alice", f"/requests/{ticket.id}", java_script_enabled=False)
    await plain.get_by_role("link", name="Check now").click()
    await expect(plain.get_by_text("by a plain payment")).to_be_visible()
    await plain.get_by_role("link", name="Back to the request").click()
    elsewhere = await pending(site, destination=site.desk.ledger.channels[0].public_key)
    await page.goto(f"/requests/{elsewhere.id}")
    await page.get_by_text("has no trustline for EURT").first.wait_for(timeout=WAIT)
    await expect(page.get_by_text("The mint would be refused now")).to_be_visible()


async def test_a_rejection_needs_a_reason_and_ends_it(site):
    """Without scripts: the browser asks for the reason, the rejection shows it, and it can be asked again."""
    ticket = await pending(site)
    page = await site.page("alice", f"/requests/{ticket.id}", java_script_enabled=False)
    await page.locator("summary", has_text="Reject").click()
    reject = page.get_by_role("button", name="Reject 2,500.00 EURT")
    await reject.click()
    assert (await site.desk.record(ticket)).status is MintStatus.PENDING
    await page.get_by_label("Why? rita will read it.").fill("wrong account")
    await reject.click()
    assert await shown(page) == "Rejected."
    record = await site.desk.record(ticket)
    assert (record.status, record.reason) == (MintStatus.REJECTED, "wrong account")

    rita = await site.page("rita", f"/requests/{ticket.id}", java_script_enabled=False)
    await expect(rita.get_by_text("wrong account").first).to_be_visible()
    await rita.locator("summary", has_text="Ask again").click()
    await rita.get_by_role("button", name="Ask again for").click()
    assert "this is the new request" in await shown(rita)
    again = (await site.desk.record(ticket)).resubmitted_as
    assert rita.url.endswith(again)
    await rita.get_by_role("link", name="the earlier request").click()
    await rita.get_by_role("link", name="as a new request").click()
    assert rita.url.endswith(again)
    await site.desk.client.get_workflow_handle(f"mint-{again}").terminate("the test is over")


async def test_the_requester_takes_it_back(site):
    """Who asked may cancel while it waits; nobody sees a button to decide afterwards."""
    ticket = await pending(site)
    page = await site.page("rita", f"/requests/{ticket.id}")
    await page.locator("summary", has_text="Cancel the request").click()
    await page.locator("#cancel-reason").fill("not needed any more")
    await page.get_by_role("button", name="Cancel it for good").click()
    assert await shown(page) == "Cancelled."
    assert (await site.desk.record(ticket)).status is MintStatus.CANCELLED
    alice = await site.page("alice", f"/requests/{ticket.id}")
    await expect(alice.locator("summary", has_text="Approve")).to_have_count(0)


async def test_two_browsers_race_for_one_approval(site):
    """One approval is needed and two are sent at once: one counts, the other is told, one mint lands."""
    ticket = await pending(site)
    pages = [await site.page(name, f"/requests/{ticket.id}") for name in ("alice", "bob")]
    for page in pages:
        await page.locator("summary", has_text="Approve 2,500.00 EURT").click()
    await asyncio.gather(*(page.get_by_role("button", name="Yes, approve").click() for page in pages))
    news = [await shown(page) for page in pages]
    assert sorted("goes to the ledger" in one for one in news) == [False, True]
    assert any("already" in one for one in news)
    record = await site.desk.until_status(ticket, MintStatus.CONFIRMED)
    assert len(record.approvals) == 1
    assert await site.desk.ledger.balance() == SMALL


async def test_a_doubled_click_is_one_decision(site):
    """The same form sent twice at the same moment is one approval, and both answers say that it was given."""
    ticket = await pending(site, amount=LARGE)
    async with site.client("alice") as client:
        decision = await decision_id(client, ticket)
        answers = await asyncio.gather(
            *(client.post(f"/requests/{ticket.id}/approve", data={"decision_id": decision}) for _ in range(3))
        )
    assert [answer.status_code for answer in answers] == [303] * 3
    record = await site.desk.record(ticket)
    assert [given.approver for given in record.approvals] == ["alice"]
    assert await site.desk.refusals(ticket) == []


async def decision_id(client, ticket):
    """The id in the form of the page."""
    page = await client.get(f"/requests/{ticket.id}")
    return re.search(r'name="decision_id" value="(dc_[0-9A-Z]{26})"', page.text)[1]


async def test_a_stale_page_is_told_what_happened(site):
    """A page that is open while somebody else decides gets the recorded outcome, and changes nothing."""
    ticket = await pending(site)
    page = await site.page("alice", f"/requests/{ticket.id}", java_script_enabled=False)
    await page.locator("summary", has_text="Approve 2,500.00 EURT").click()
    await site.desk.decide(ticket, "bob", Verdict.REJECT)
    await page.get_by_role("button", name="Yes, approve").click()
    assert "REJECTED already" in await shown(page)
    assert (await site.desk.record(ticket)).approvals == ()


async def test_a_decision_elsewhere_shows_by_itself(site):
    """An open page shows what somebody else did, without losing what is being typed into it."""
    ticket = await pending(site)
    page = await site.page("alice", f"/requests/{ticket.id}")
    await page.get_by_text("The mint can reach it").wait_for(timeout=WAIT)
    await page.get_by_label("Say something").fill("half a sentence")
    await site.desk.decide(ticket, "bob", Verdict.REJECT)
    await page.locator("#what .status", has_text="REJECTED").wait_for(timeout=WAIT)
    await page.locator("#act", has_text="Ask again").wait_for(timeout=WAIT)
    assert await page.get_by_label("Say something").input_value() == "half a sentence"


async def test_a_second_factor_by_code(site):
    """Above the rule's amount a one-time code is asked for: missing and wrong ones approve nothing."""
    await ask_for_second_factor(site.desk.seeded, above=1_000)
    ticket = await pending(site)
    page = await site.page("alice", f"/requests/{ticket.id}")
    await page.locator("summary", has_text="Approve 2,500.00 EURT").click()
    await page.get_by_role("button", name="Send me a code").click()
    assert "on its way" in await shown(page)
    right = await code_sent_to(site.desk.seeded, "alice")
    await page.locator("#approve-code").fill("000000" if right != "000000" else "111111")
    await page.get_by_label("Remark").fill("all fine")
    await page.get_by_role("button", name="Yes, approve").click()
    await page.get_by_role("alert").wait_for(timeout=WAIT)
    assert (await site.desk.record(ticket)).approvals == ()
    assert await page.get_by_label("Remark").input_value() == "all fine"
    await page.locator("#approve-code").fill(right)
    await page.get_by_role("button", name="Yes, approve").click()
    assert "goes to the ledger" in await shown(page)
    await site.desk.until_status(ticket, MintStatus.CONFIRMED)
    site.forgive_statuses()


async def test_a_second_factor_by_authenticator(site):
    """Who has an authenticator types its code; without any nothing is approved, by hand-made forms either."""
    await ask_for_second_factor(site.desk.seeded, above=1_000)
    ticket = await pending(site)
    code = await set_up_totp(site, "alice")
    async with site.client("alice") as client:
        without = await client.post(
            f"/requests/{ticket.id}/approve", data={"decision_id": await decision_id(client, ticket)}
        )
    assert without.status_code == 409
    assert "needs a second factor" in without.text
    page = await site.page("alice", f"/requests/{ticket.id}")
    await approve(page, code=code)
    assert "goes to the ledger" in await shown(page)
    await expect(page.get_by_text("second factor for this decision").first).to_be_visible()


async def test_without_a_worker_the_decision_is_kept(
    deserted, chromium, password_hash, monkeypatch, tmp_path
):
    """No worker: the approval is left with the workflow, the page says so, and it takes effect later."""
    desk, ticket = deserted
    opened = open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False)
    async with opened as site:
        page = await site.page("alice", f"/requests/{ticket.id}")
        await approve(page)
        assert "No worker answers" in await shown(page)
        assert (await desk.record(ticket)).approvals == ()
        async with desk.worker():
            record = await desk.until_status(ticket, MintStatus.CONFIRMED)
        assert [one.approver for one in record.approvals] == ["alice"]


async def test_who_may_not_decide_is_told_why(site):
    """A tier that comes later learns when; an auditor, a requester and a hand-made form decide nothing."""
    ticket = await pending(site)
    dave = await site.page("dave", f"/requests/{ticket.id}")
    await expect(dave.get_by_text(re.compile("Tier 3 may decide from"))).to_be_visible()
    lena = await site.page("lena", f"/requests/{ticket.id}")
    await expect(lena.locator("main form")).to_have_count(0)
    for name, word, data in (
        ("dave", "approve", {}),
        ("rita", "approve", {}),
        ("rita", "reject", {"reason": "no"}),
        ("lena", "approve", {}),
        ("lena", "cancel", {}),
    ):
        async with site.client(name) as client:
            form = {"decision_id": f"dc_{'A' * 20}{name.upper():A<6}"[:29], **data}
            answer = await client.post(f"/requests/{ticket.id}/{word}", data=form)
            assert answer.status_code in (303, 403), (name, word)
    for name, word in (("lena", "claim"), ("lena", "comment"), ("rita", "claim"), ("rita", "assign")):
        async with site.client(name) as client:
            answer = await client.post(f"/requests/{ticket.id}/{word}", data={"text": "x"})
            assert answer.status_code == 403, (name, word)
    record = await site.desk.record(ticket)
    assert (record.status, record.approvals, record.assignee) == (MintStatus.PENDING, (), None)


async def test_working_on_it(site):
    """Acknowledged, claimed, given to somebody else, released: each is told, none approves anything."""
    ticket = await pending(site)
    page = await site.page("alice", f"/requests/{ticket.id}")
    await page.get_by_role("button", name="I am on it").click()
    assert "You are on it" in await shown(page)
    await expect(page.get_by_text("alice is on it").first).to_be_visible()
    await page.get_by_role("button", name="Claim").click()
    await page.locator("#act", has_text="Works on it: alice").wait_for(timeout=WAIT)
    await page.locator("summary", has_text="Assign to").click()
    await expect(page.locator("#assignee option")).to_have_text(
        ["alice, tier 1", "bob, tier 1", "carol, tier 2", "dave, tier 3"]
    )
    await page.get_by_label("Who works on it?").select_option("bob")
    await page.get_by_role("button", name="Assign", exact=True).click()
    assert "bob works on it now" in await shown(page)
    await page.get_by_role("button", name="Release from bob").click()
    assert "Nobody works on it now" in await shown(page)
    record = await site.desk.record(ticket)
    assert (record.assignee, record.acknowledged_by, record.approvals) == (None, "alice", ())


@pytest.mark.parametrize("scripts", [True, False])
async def test_documents_are_handed_in_and_saved(site, tmp_path, scripts):
    """A document comes back byte for byte, to be saved; one of another kind is refused."""
    ticket = await pending(site)
    content = b"%PDF-1.7 invoice"
    (tmp_path / "invoice.pdf").write_bytes(content)
    (tmp_path / "page.html").write_bytes(b"<script>alert(1)</script>")
    page = await site.page("rita", f"/requests/{ticket.id}", java_script_enabled=scripts)
    await page.get_by_label("Hand a document in").set_input_files(tmp_path / "invoice.pdf")
    await page.get_by_role("button", name="Hand in").click()
    assert await shown(page) == "invoice.pdf was handed in."
    async with page.expect_download() as download:
        await page.get_by_role("link", name="invoice.pdf").click()
    saved = await download.value
    assert saved.suggested_filename == "invoice.pdf"
    await page.get_by_label("Hand a document in").set_input_files(tmp_path / "page.html")
    await page.get_by_role("button", name="Hand in").click()
    assert "Documents may be" in await page.get_by_role("alert").inner_text()
    site.forgive_statuses()


async def test_nothing_that_people_write_is_run(site, tmp_path):
    """Memo, comment, remark, reason and file name are shown as they were typed, and never run."""
    ticket = await pending(site, amount=LARGE, memo=XSS)
    async with site.client("alice") as client:
        await client.post(f"/requests/{ticket.id}/comment", data={"text": XSS, "message_id": "ms_1"})
        form = {"decision_id": await decision_id(client, ticket), "reason": XSS}
        await client.post(f"/requests/{ticket.id}/approve", data=form)
        name = "<img src=x onerror=alert(1)>.txt"
        await client.post(f"/requests/{ticket.id}/documents", files={"document": (name, b"hello")})
    async with site.client("carol") as client:
        form = {"decision_id": await decision_id(client, ticket), "reason": XSS}
        await client.post(f"/requests/{ticket.id}/reject", data=form)
    page = await site.page("rita", f"/requests/{ticket.id}")
    await page.wait_for_load_state("networkidle")
    assert await page.locator(".said", has_text="<script>document.title").count() >= 4
    await expect(page.locator("main img, main script")).to_have_count(0)
    assert "owned" not in await page.title()
    await expect(page.get_by_role("link", name=name)).to_be_visible()


async def test_another_tenants_request_is_absent(site):
    """Whatever isn't one's own is 404, with the words of what does not exist: to read and to act on."""
    ticket = await pending(site)
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("INSERT INTO tenants (code, name, active) VALUES ('other', 'Other', true)"))
        await tx.run(
            text(
                "INSERT INTO users (tenant, name, roles, tier, active, time_zone) "
                "VALUES ('other', 'mallory', ARRAY['approver', 'admin', 'auditor'], 3, true, 'UTC')"
            )
        )
    opened = await site.accounts.open_session("other", "mallory", ("pwd",))
    context = await site.context()
    await context.add_cookies([{"name": "mintkeeper_session", "value": opened.token, "url": site.url}])
    page = await context.new_page()
    for path in (ticket.id, ticket.request.track_number, f"{ticket.id}/destination", "mr_" + "0" * 26):
        answer = await page.goto(f"/requests/{path}")
        assert answer.status == 404
    site.forgive_statuses()
