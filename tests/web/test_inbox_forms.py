"""The inbox's forms as no browser would send them: forged, doubled, somebody else's, too many."""

import asyncio
import csv
import io
import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db.writes import dictionaries
from domain.approvals import Verdict
from domain.mint_request import MintStatus
from starter.ids import new_request_id
from tests.browser.test_inbox import pending
from tests.support.site import open_site

HTML = {"Accept": "text/html"}


async def approve(client, *tickets, form="form-of-a-page", **more):
    """Send the confirmed form."""
    ids = [getattr(ticket, "id", ticket) for ticket in tickets]
    return await client.post("/inbox/approve", data={"id": ids, "form": form, **more}, headers=HTML)


async def other_tenant(site):
    """A second tenant with the request of the first moved to it, as far as lists can tell."""
    ticket = await pending(site)
    async with site.desk.seeded.database.transaction() as tx:
        await dictionaries.set_tenant(tx, tenant="other", name="Other", actor="setup", at=datetime.now(UTC))
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(
            text("UPDATE mint_requests SET tenant = 'other', asset_code = 'XYZ' WHERE id = :id"),
            {"id": ticket.id},
        )
    return ticket


async def approvals(site, ticket):
    """Who has approved."""
    return [one.approver for one in (await site.desk.record(ticket)).approvals]


async def test_only_approvers_have_an_inbox(site):
    """Requesters, admins and auditors are told so, and approve nothing."""
    ticket = await pending(site)
    for name in ("rita", "adam", "lena"):
        async with site.client(name) as client:
            assert (await client.get("/inbox", headers=HTML)).status_code == 403
            assert (await client.get(f"/inbox/approve?id={ticket.id}", headers=HTML)).status_code == 403
            assert (await approve(client, ticket)).status_code == 403
    async with site.client() as client:
        assert (await client.get("/inbox", headers=HTML)).status_code == 303
        assert (await approve(client, ticket)).status_code == 401
    assert await approvals(site, ticket) == []


async def test_without_the_csrf_token_nothing_is_approved(site):
    """A form that another site sends with the person's cookie is refused."""
    ticket = await pending(site)
    async with site.client("alice") as client:
        del client.headers["X-CSRF-Token"]
        assert (await approve(client, ticket)).status_code == 403
        assert (await approve(client, ticket, csrf="guessed")).status_code == 403
        client.headers["Sec-Fetch-Site"] = "cross-site"
        assert (await approve(client, ticket)).status_code == 403
    assert await approvals(site, ticket) == []


async def test_what_is_not_theirs_is_as_good_as_absent(site):
    """Another tenant's request, one that never was, and one's own: refused one by one, the rest goes on."""
    foreign, own, good = await other_tenant(site), await pending(site, requester="alice"), await pending(site)
    async with site.client("alice") as client:
        listed = (await client.get("/inbox", headers=HTML)).text
        assert good.id in listed
        assert foreign.id not in listed
        assert own.id not in listed
        assert "XYZ" not in listed
        every = (await client.get("/requests", headers=HTML)).text + (await client.get("/requests.csv")).text
        assert own.id in every
        assert foreign.id not in every
        ids = [foreign.id, new_request_id(), own.id, good.id]
        asked = await client.get("/inbox/approve", params={"id": ids}, headers=HTML)
        assert asked.text.count("there is no such mint request") == 2
        assert "four eyes" in asked.text
        assert "Approve 1 request?" in asked.text
        done = await approve(client, *ids)
        assert "1 of 4 approved" in done.text
    assert await approvals(site, good) == ["alice"]
    assert await approvals(site, foreign) == []
    assert await approvals(site, own) == []


async def test_at_most_a_hundred_at_once(site):
    """101 ids are refused before anything is approved; none at all too."""
    ticket = await pending(site)
    many = [ticket.id, *(new_request_id() for _ in range(100))]
    async with site.client("alice") as client:
        asked = await client.get("/inbox/approve", params={"id": many}, headers=HTML)
        assert asked.status_code == 400
        assert "at most 100 at once" in asked.text
        sent = await approve(client, *many)
        assert sent.status_code == 400
        assert (await client.get("/inbox/approve", headers=HTML)).status_code == 400
        assert (await approve(client)).status_code == 400
        assert (
            "Approve 1 request?"
            in (await client.get("/inbox/approve", params={"id": many[:100]}, headers=HTML)).text
        )
    assert await approvals(site, ticket) == []


@pytest.mark.parametrize("form", ["", "short", "x" * 65, "<b>12345678</b>", "12345678\n"])
async def test_a_form_that_is_not_ours_approves_nothing(site, form):
    """Its decisions could not be told apart from others when it is sent again."""
    ticket = await pending(site)
    async with site.client("alice") as client:
        answer = await approve(client, ticket, form=form)
        assert answer.status_code == 400
        strange = await approve(client, "", "mr_1", "x" * 300, "<b>")
        assert strange.text.count("there is no such mint request") == 4
    assert await approvals(site, ticket) == []


async def test_a_doubled_form_is_the_same_decisions(site):
    """Sent twice at once and once more: each request has one approval, and all answers say accepted."""
    tickets = [await pending(site, amount=50_000 * 10**7) for _ in range(3)]
    async with site.client("alice") as client:
        answers = await asyncio.gather(approve(client, *tickets), approve(client, *tickets, *tickets))
        answers.append(await approve(client, *tickets))
        assert all("3 of 3 approved" in answer.text for answer in answers)
        again = await approve(client, *tickets, form="form-of-another-page")
        assert again.text.count("alice has approved already") == 3
    for ticket in tickets:
        assert await approvals(site, ticket) == ["alice"]


async def test_another_persons_form_is_no_copy_of_theirs(site):
    """Bob sends the very form that alice has sent: it is judged as his own approval, not taken for hers."""
    ticket = await pending(site, amount=50_000 * 10**7)
    for name in ("alice", "bob"):
        async with site.client(name) as client:
            assert "1 of 1 approved" in (await approve(client, ticket)).text
    given = (await site.desk.record(ticket)).approvals
    assert [one.approver for one in given] == ["alice", "bob"]
    assert len({one.decision_id for one in given}) == 2


async def test_what_has_expired_meanwhile_is_refused(site):
    """The confirmation was open for too long: the answer says that the time is over."""
    ticket, good = await pending(site), await pending(site)
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("SET LOCAL session_replication_role = replica"))
        await tx.run(
            text(
                "UPDATE mint_requests SET created_at = now() - interval '1 day', "
                "expires_at = now() - interval '1 second' WHERE id = :id"
            ),
            {"id": ticket.id},
        )
    async with site.client("alice") as client:
        assert ticket.id not in (await client.get("/inbox", headers=HTML)).text
        done = await approve(client, ticket, good)
    assert "1 of 2 approved" in done.text
    assert "time is over" in done.text
    assert await approvals(site, ticket) == []


async def test_nonsense_in_filters_narrows_nothing(site):
    """Unknown topics, assets, amounts, pages and statuses make no error and no other person's list."""
    ticket = await pending(site)
    odd = [
        "least=1e5",
        "most=-1",
        "asset=x",
        "page=0",
        "page=-3",
        "page=99999999999",
        "sort=id;drop",
        "status=X",
    ]
    async with site.client("alice") as client:
        for query in [*odd, "assignee=me'--", "page=%00", "soon=2", "escalated=yes", "&".join(odd)]:
            for path in ("/inbox", "/requests"):
                answer = await client.get(f"{path}?{query}", headers=HTML)
                assert answer.status_code == 200, query
        for query in ("topic=%00", "q=%00", "requester=%00"):
            assert (await client.get(f"/requests?{query}", headers=HTML)).status_code in (200, 400)
        several = await client.get("/requests?status=PENDING&status=EXPIRED", headers=HTML)
        assert ticket.id in several.text
        assert ticket.id not in (await client.get("/requests?status=EXPIRED", headers=HTML)).text


async def test_a_requester_lists_only_their_own(site):
    """Neither filters nor the file show a mere requester what somebody else asked for."""
    own, others = await pending(site), await pending(site, requester="alice")
    async with site.client("rita") as client:
        for query in ("", "?requester=alice", f"?q={others.id}", "?status=PENDING&sort=largest"):
            for path in ("/requests", "/requests.csv"):
                found = (await client.get(path + query, headers=HTML)).text
                assert f"/requests/{others.id}" not in found
                assert others.request.track_number not in found
        assert own.id in (await client.get("/requests", headers=HTML)).text


async def test_the_file_holds_no_formula(site):
    """A memo that a spreadsheet would run is text in the file; amounts are exact."""
    ticket = await pending(site, memo='=HYPERLINK("http://evil.example","x")', amount=25_000_000_001)
    async with site.client("lena") as client:
        answer = await client.get("/requests.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert row["memo"].startswith("'=HYPERLINK")
    assert (row["id"], row["amount"], row["status"]) == (ticket.id, "2500.0000001", "PENDING")


async def test_what_people_type_is_never_markup(site):
    """Memo and search come back as text, in the inbox, the list and the confirmation."""
    ticket = await pending(site, memo="<script>alert(1)</script>")
    async with site.client("alice") as client:
        for path in (
            "/inbox?q=<script>",
            "/requests?q=<script>",
            f"/inbox/approve?id={ticket.id}&id=<script>",
        ):
            answer = await client.get(path, headers=HTML)
            assert "&lt;script&gt;" in answer.text
            assert not re.search(r"<script>(?!$)", answer.text)


async def test_auditors_ask_for_nothing(site):
    """They act on nothing; neither does somebody who is not signed in."""
    async with site.client("lena") as client:
        assert (await client.get("/requests/new", headers=HTML)).status_code == 403
        assert (await client.post("/requests/new", data={"amount": "1"}, headers=HTML)).status_code == 403
    async with site.client() as client:
        assert (await client.post("/requests/new", data={"amount": "1"}, headers=HTML)).status_code == 401


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": "0"}, "must be greater than zero"),
        ({"amount": "1.00000001"}, "more than 7 decimal places"),
        ({"other_asset": "EURT"}, "is not of the form CODE:ISSUER"),
        ({"destination": "GABC"}, "destination"),
        ({"topic": "no-such"}, "unknown topic"),
        ({"memo": "x" * 2001}, "at most 2000"),
        ({"deadline": "yesterday"}, "is no date and time"),
        ({"deadline": "2020-01-01T00:00"}, "is past"),
        ({"amount": "900000000"}, "no approval rule"),
        ({"key": ""}, "is not ours"),
    ],
)
async def test_bad_input_is_said_and_kept(site, changes, said):
    """Each is refused with a clear line, the form keeps what was typed, and nothing is submitted."""
    ledger = site.desk.ledger
    form = {
        "other_asset": str(ledger.asset),
        "amount": "10",
        "destination": ledger.holder.public_key,
        "topic": "treasury-eu",
        "memo": "kept as it was",
        "key": "a-key-of-this-page",
    }
    async with site.client("rita") as client:
        answer = await client.post("/requests/new", data=form | changes, headers=HTML)
    assert answer.status_code in (400, 409)
    assert said in answer.text
    assert "memo" in changes or "kept as it was" in answer.text
    async with site.desk.seeded.database.transaction() as tx:
        assert await tx.value(text("SELECT count(*) FROM mint_requests")) == 0


async def test_without_a_worker_the_answer_says_so(deserted, chromium, password_hash, monkeypatch, tmp_path):
    """Nobody answers: the decisions are durable, and the page does not claim that they were accepted."""
    desk, ticket = deserted
    async with open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False) as site:
        async with site.client("alice") as client:
            done = await approve(client, ticket)
        assert "0 of 1 approved" in done.text
        assert "not answered yet" in done.text
        assert (await desk.record(ticket)).approvals == ()
        async with desk.worker():
            await desk.until_status(ticket, MintStatus.CONFIRMED)


async def test_rejected_in_between_is_said(site):
    """Somebody rejects while the confirmation is open."""
    ticket = await pending(site)
    await site.desk.decide(ticket, "bob", Verdict.REJECT)
    async with site.client("alice") as client:
        done = await approve(client, ticket)
    assert "the request is REJECTED already" in done.text
