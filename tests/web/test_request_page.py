"""The page of one request over plain HTTP: what it shows, what is refused, and how it bears faults."""

import re

import httpx
import pytest
from sqlalchemy import text

from domain.approvals import Verdict
from domain.mint_request import MintStatus
from starter.destinations import Destinations
from tests.support.site import open_site
from tests.support.steps_up import ask_for_second_factor


@pytest.fixture
async def page(site):
    """A request that waits, and a client of alice's that reads its page."""
    ticket = await site.desk.submit()
    await site.desk.until_status(ticket, MintStatus.PENDING)
    async with site.client("alice") as client:
        yield ticket, client


async def test_nobody_reads_it_without_signing_in(site, page):
    """Page, check of the destination and documents lead to the sign-in, or are refused for programs."""
    ticket, _ = page
    async with httpx.AsyncClient(base_url=site.url) as stranger:
        for path in ("", "/destination", "/documents/att_1"):
            answer = await stranger.get(f"/requests/{ticket.id}{path}")
            assert answer.status_code == 401, path
            browser = await stranger.get(f"/requests/{ticket.id}{path}", headers={"Accept": "text/html"})
            assert browser.headers["location"].startswith("/sign-in?next=/requests/")


@pytest.mark.parametrize(
    "word",
    ["approve", "reject", "cancel", "code", "claim", "release", "assign", "acknowledge", "comment",
     "resubmit", "documents"],
)  # fmt: skip
async def test_no_form_counts_without_its_token(site, page, word):
    """Another site's page, or one without the session's token, does nothing, whatever the form."""
    ticket, client = page
    del client.headers["X-CSRF-Token"]
    answer = await client.post(f"/requests/{ticket.id}/{word}", data={"csrf": "forged", "text": "x"})
    assert answer.status_code == 403
    assert await site.desk.kinds(ticket) == ["request.opened", "stage.opened"]
    assert (await client.get(f"/requests/{ticket.id}/{word}")).headers["location"] == f"/requests/{ticket.id}"


async def test_unknown_words_and_documents_are_absent(page):
    """A verb that there isn't, and a document of another request, are 404."""
    ticket, client = page
    assert (await client.post(f"/requests/{ticket.id}/mint")).status_code == 404
    assert (await client.get(f"/requests/{ticket.id}/mint")).status_code == 404
    assert (await client.get(f"/requests/{ticket.id}/documents/att_nothing")).status_code == 404


async def test_a_document_of_another_request_is_absent(site, page):
    """Its id alone opens nothing: it is handed out under its own request only, and never to be shown."""
    ticket, client = page
    await client.post(f"/requests/{ticket.id}/documents", files={"document": ("a.txt", b"hello")})
    found = re.search(r"/documents/(att_\w+)", (await client.get(f"/requests/{ticket.id}")).text)[1]
    other = await site.desk.submit()
    await site.desk.until_status(other, MintStatus.PENDING)
    assert (await client.get(f"/requests/{other.id}/documents/{found}")).status_code == 404
    answer = await client.get(f"/requests/{ticket.id}/documents/{found}")
    assert answer.content == b"hello"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_document_that_is_none_leaves_nothing(site, page):
    """Without a length nothing is read; a wrong kind leaves nothing behind."""
    ticket, client = page
    path = f"/requests/{ticket.id}/documents"

    async def endless():
        yield b"x"

    assert (await client.post(path, content=endless())).status_code == 400
    answer = await client.post(path, files={"document": ("invoice.pdf", b"this is no PDF")})
    assert answer.status_code == 400
    async with site.desk.seeded.database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM attachments")) == 0


async def test_a_form_that_is_too_large_is_not_read(
    minting_desk, chromium, password_hash, monkeypatch, tmp_path
):
    """Its length is enough to refuse it; what is a little too large is refused by its document's size."""
    opened = open_site(minting_desk, chromium, password_hash, monkeypatch, tmp_path, upload_max_bytes=100)
    async with opened as site:
        ticket = await minting_desk.submit()
        await minting_desk.until_status(ticket, MintStatus.PENDING)
        async with site.client("alice") as client:
            for size in (101, 400_000):
                files = {"document": ("a.txt", b"x" * size)}
                answer = await client.post(f"/requests/{ticket.id}/documents", files=files)
                assert answer.status_code == 400
        async with minting_desk.seeded.database.transaction() as tx:
            assert await tx.value(text("SELECT count(*) FROM attachments")) == 0


async def test_what_was_typed_is_not_lost(page):
    """A comment with a control character, and a reason that is too long, come back in their fields."""
    ticket, client = page
    answer = await client.post(
        f"/requests/{ticket.id}/comment", data={"text": "a\x07b", "message_id": "ms_1"}
    )
    assert answer.status_code == 400
    assert "a\x07b</textarea>" in answer.text
    decision = "dc_" + "0" * 26
    reason = "x" * 2001
    answer = await client.post(
        f"/requests/{ticket.id}/reject", data={"decision_id": decision, "reason": reason}
    )
    assert answer.status_code == 400
    assert f"{reason}</textarea>" in answer.text
    assert decision in answer.text


async def test_a_rejection_without_a_reason_is_asked_for_again(site, page):
    """The worker refuses it; the form is open with the rule in words, and nothing has been decided."""
    ticket, client = page
    form = {"decision_id": "dc_" + "1" * 26, "reason": "  "}
    answer = await client.post(f"/requests/{ticket.id}/reject", data=form)
    assert answer.status_code == 409
    assert "A rejection needs a reason." in answer.text
    assert (await site.desk.record(ticket)).status is MintStatus.PENDING


async def test_a_decision_id_is_needed(site, page):
    """A hand-made form without one, or with garbage, decides nothing."""
    ticket, client = page
    for decision in ("", "x", "dc_<script>" + "y" * 20):
        answer = await client.post(f"/requests/{ticket.id}/approve", data={"decision_id": decision})
        assert answer.status_code == 400
    assert (await site.desk.record(ticket)).approvals == ()


async def test_a_rejection_sent_twice_is_told_as_done(site, page):
    """The same form again, after it has ended the request, is no error: it was done."""
    ticket, client = page
    form = {"decision_id": "dc_" + "2" * 26, "reason": "no"}
    for _ in range(2):
        answer = await client.post(f"/requests/{ticket.id}/reject", data=form)
        assert answer.status_code == 303
        told = await client.get(answer.headers["location"])
        assert 'class="news good"' in told.text
    assert [kind for kind in await site.desk.kinds(ticket) if "decision" in kind] == ["decision.reject"]


async def test_a_code_is_sent_only_to_who_may_need_it(site, page):
    """No code where the amount asks for none; a mere requester gets none for approving."""
    ticket, client = page
    answer = await client.post(f"/requests/{ticket.id}/code")
    assert answer.status_code in (303, 400)
    async with site.client("rita") as rita:
        assert (await rita.post(f"/requests/{ticket.id}/code")).status_code == 403
    async with site.desk.seeded.database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM one_time_codes")) == 0


async def test_the_page_says_what_the_rule_wants(site):
    """Approvals, tiers, cap and second factor in words; the field for the code where it is needed."""
    await ask_for_second_factor(site.desk.seeded, above=1_000)
    ticket = await site.desk.submit(amount=500_000_000_000)
    await site.desk.until_status(ticket, MintStatus.PENDING)
    async with site.client("alice") as client:
        shown = (await client.get(f"/requests/{ticket.id}")).text
    assert (
        "Needs 2 approvals by different people of tier 1 or above, at least one of them from tier 2" in shown
    )
    assert "Above 1,000.00 EURT approvers give a second factor." in shown
    assert "Send me a code" in shown


async def test_horizon_down_is_told_in_its_own_part(
    minting_desk, chromium, password_hash, monkeypatch, tmp_path
):
    """The page comes as always; only the check says that the ledger can't be read, and by whom."""
    gone = "http://127.0.0.1:9"
    opened = open_site(minting_desk, chromium, password_hash, monkeypatch, tmp_path, horizon_url=gone)
    async with opened as site:
        ticket = await minting_desk.submit()
        await minting_desk.until_status(ticket, MintStatus.PENDING)
        async with site.client("alice") as client:
            assert (await client.get(f"/requests/{ticket.id}")).status_code == 200
            part = await client.get(f"/requests/{ticket.id}/destination", headers={"X-Part": "1"})
    assert part.status_code == 200
    assert f"Cannot read the ledger from Horizon at {gone}" in part.text


async def test_a_horizon_of_another_network_is_no_answer(site, page):
    """What another network says of an account must not be taken for ours."""
    ticket, _ = page
    destinations = Destinations(site.settings.horizon_url, "Another Network")
    record = await site.desk.record(ticket)
    with pytest.raises(Exception, match="serves the network"):
        await destinations.look(record.request, record.ledger_options)


async def test_links_to_ledger_and_workflow(minting_desk, chromium, password_hash, monkeypatch, tmp_path):
    """With an explorer its pages are linked; the workflow for the desk, not for a mere requester."""
    explorer = "https://explorer.example/public"
    opened = open_site(minting_desk, chromium, password_hash, monkeypatch, tmp_path, explorer_url=explorer)
    async with opened as site:
        ticket = await minting_desk.submit()
        await minting_desk.until_status(ticket, MintStatus.PENDING)
        await minting_desk.decide(ticket, "alice")
        record = await minting_desk.until_status(ticket, MintStatus.CONFIRMED)
        async with site.client("alice") as alice, site.client("rita") as rita:
            desk, client = [(await one.get(f"/requests/{ticket.id}")).text for one in (alice, rita)]
    for shown in (desk, client):
        assert f"{explorer}/tx/{record.submission.hash}" in shown
        assert f"{explorer}/account/{record.request.destination}" in shown
    assert "in the Temporal Web UI" in desk
    assert "in the Temporal Web UI" not in client
    assert "signed with their own key" in desk


async def test_the_timeline_is_a_list_and_a_picture(site, page):
    """Each event is told in words, and drawn without a style of its own, which the policy would forbid."""
    ticket, client = page
    await site.desk.decide(ticket, "bob", Verdict.REJECT)
    shown = (await client.get(f"/requests/{ticket.id}")).text
    assert "bob rejected" in shown
    assert shown.count("<li class=") >= 4
    assert "<svg" in shown
    assert "style=" not in shown.partition("<main")[2].partition("</main>")[0]
