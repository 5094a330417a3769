"""The page of a request in every status: what it says, what it offers, and what it no longer does."""

import re
import socket

import pytest

from db import reads
from domain.mint_request import RESUBMITTABLE, TERMINAL, MintStatus
from starter import decisions
from starter.destinations import LOOK_SECONDS
from tests.db.factories import open_one
from tests.db.test_absences import a_pending, decide, only_tier_2
from tests.support.absences import send_away
from tests.support.site import open_site
from tests.support.statuses import a_request_in

HTML = {"Accept": "text/html"}
ENDED = sorted(TERMINAL)
SAYS = {
    MintStatus.PENDING: (
        "Time left", "alice</b>, tier 1", "Still awaited", "1 more approval, one of tier 2 or above",
        "Approve", "expires",
    ),
    MintStatus.APPROVED: ("Approved, not yet submitted", "now only the ledger says how it ends"),
    MintStatus.SUBMITTING: (
        "Submitted to the ledger", "Submission: on its way", "Can land until", "GCHANNEL", "It is decided",
    ),
    MintStatus.CONFIRMED: (
        "Minted <span", "found in a closed ledger", "Submission: CONFIRMED in ledger 42", "Proof",
        "&#34;kind&#34;: &#34;landed&#34;", "Nothing more is to be done",
    ),
    MintStatus.FAILED: ("no trustline", "&#34;kind&#34;: &#34;precheck&#34;", "Ask again"),
    MintStatus.TIMEOUT_FAILED: (
        "Never landed", "&#34;kind&#34;: &#34;never_landed&#34;", "&#34;absent_hashes&#34;",
        "&#34;ledger&#34;: 50", "Ask again",
    ),
    MintStatus.ANOMALY: ("Outcome unclear", "sequence consumed, hash absent", "sequence_consumed"),
    MintStatus.REJECTED: ("Reason", "no need &lt;reject&gt;", "alice rejected", "Ask again"),
    MintStatus.CANCELLED: ("Reason", "no need &lt;cancel&gt;", "rita cancelled", "Ask again"),
    MintStatus.EXPIRED: ("no decision in time", "Ask again"),
}  # fmt: skip


@pytest.fixture
async def house(desk, chromium, password_hash, monkeypatch, tmp_path):
    """A site without ledger and workers."""
    async with open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False) as opened:
        yield opened


async def read(house, record, name="bob", status=200):
    """The page's text, without what scripts and styles are."""
    async with house.client(name) as client:
        answer = await client.get(f"/requests/{record.request.id}", headers=HTML)
    assert answer.status_code == status, answer.text
    return answer.text


def offered(page):
    """The last words of the addresses that forms go to."""
    return set(re.findall(r'action="/requests/mr_\w+/(\w+)"', page))


@pytest.mark.parametrize("status", SAYS, ids=str)
async def test_every_status_says_what_is_so(house, status):
    """Status, outcome or reason, and what proves it; no status is forgotten."""
    assert set(SAYS) == set(MintStatus)
    page = await read(house, await a_request_in(house.desk.seeded, status))
    assert f"status {status.value.lower()}" in page
    for words in SAYS[status]:
        assert words in page, words
    # the events of each status have words of their own, and none shows how it is stored
    assert "None" not in re.sub(r"<[^>]+>|None(?= yet)|None\.", "", page)


@pytest.mark.parametrize("status", ENDED, ids=str)
async def test_what_has_ended_takes_no_decision(house, status):
    """Neither approve nor reject, cancel, claim or acknowledge; ask again only where nothing was minted."""
    record = await a_request_in(house.desk.seeded, status)
    forms = offered(await read(house, record))
    assert forms - {"comment", "documents"} == ({"resubmit"} if status in RESUBMITTABLE else set())
    async with house.client("bob") as client:
        form = {"decision_id": "dc_" + "3" * 26, "reason": "late"}
        answer = await client.post(f"/requests/{record.request.id}/approve", data=form, headers=HTML)
        told = (await client.get(answer.headers["location"], headers=HTML)).text
    assert 'class="news bad"' in told
    async with house.desk.seeded.database.transaction() as tx:
        assert await reads.request(tx, record.request.id) == record


@pytest.mark.parametrize("status", [MintStatus.APPROVED, MintStatus.SUBMITTING, MintStatus.ANOMALY], ids=str)
async def test_what_is_decided_takes_no_second_decision(house, status):
    """It is worked on until the ledger, or an admin, says how it ends."""
    page = await read(house, await a_request_in(house.desk.seeded, status))
    assert not offered(page) & {"approve", "reject", "cancel", "resubmit", "acknowledge"}
    assert "Works on it" in page


async def test_the_tiers_that_may_decide_are_named(house):
    """With one approval of two: how many are missing, of which tier, and from when on mine may decide."""
    record = await a_request_in(house.desk.seeded, MintStatus.PENDING)
    bob, carol, alice, rita = [await read(house, record, name) for name in ("bob", "carol", "alice", "rita")]
    for page in (bob, carol, alice, rita):
        assert (
            "Needs 2 approvals by different people of tier 1 or above, at least one of them from tier 2"
            in page
        )
        assert "may decide now" in page
    assert "You have approved this." in alice
    assert "You asked for this. Four eyes" in rita
    assert "approve" in offered(carol)
    assert not {"approve", "reject"} & (offered(alice) | offered(rita))
    assert "cancel" in offered(rita)


async def test_an_approval_for_somebody_else_names_both(house):
    """Before the decision whose authority it is, and afterwards who gave it for whom."""
    seeded = house.desk.seeded
    await only_tier_2(seeded)
    record = await a_pending(seeded)
    await send_away(seeded, "carol", "bob")
    assert "You stand in for carol: it is their authority that counts." in await read(house, record)
    await decide(seeded, record, "bob")
    page = await read(house, record)
    assert "<b>bob</b>, tier 2, for <b>carol</b>" in page
    assert "bob approved for carol" in page or "for carol" in page.partition("happenings")[2]


async def test_an_unclear_outcome_shows_the_admin_what_to_run(house):
    """Only who can resolve it sees the commands, with the id and their name; the others see that it is so."""
    record = await a_request_in(house.desk.seeded, MintStatus.ANOMALY)
    admin, approver = await read(house, record, "adam"), await read(house, record, "bob")
    assert f"mintkeeper ledger inspect {record.request.id}" in admin
    assert f"mintkeeper resolve {record.request.id} --as adam" in admin
    assert "mintkeeper resolve" not in approver
    assert "an admin" in approver.partition('id="act"')[2].partition("</section>")[0]


async def test_what_was_asked_again_leads_to_its_successor_and_back(house):
    """Each names the other; the old one can't be asked for again."""
    old = await a_request_in(house.desk.seeded, MintStatus.EXPIRED)
    async with house.desk.seeded.database.transaction() as tx:
        new = await open_one(tx, resubmission_of=old.request.id)
    before, after = await read(house, old), await read(house, new)
    assert f'<a href="/requests/{new.request.id}">go to the new request</a>' in before
    assert "resubmit" not in offered(before)
    assert "Nothing more is to be done" not in before
    assert f'<a href="/requests/{old.request.id}">the earlier request</a>' in after


async def test_a_request_whose_time_is_over_says_so_before_the_clock_does(house):
    """Nobody decides any more, even if its expiry is not written down yet."""
    async with house.desk.seeded.database.transaction() as tx:
        record = await open_one(tx)
    page = await read(house, record)
    assert "Its time is over" in page
    assert not {"approve", "reject"} & offered(page)


async def test_an_answer_that_does_not_come_is_told_and_sent_again_counts_once(
    desk, chromium, password_hash, monkeypatch, tmp_path
):
    """504 with the form as typed: it may have taken effect; sent once more it is one decision."""
    monkeypatch.setitem(decisions.deliver.__kwdefaults__, "limit_seconds", 0.5)
    async with open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False) as site:
        async with desk.worker():
            ticket = await desk.submit()
            await desk.until_status(ticket, MintStatus.PENDING)
        async with site.client("alice") as client:
            form = {"decision_id": "dc_" + "4" * 26, "reason": "looks <fine>"}
            answer = await client.post(f"/requests/{ticket.id}/approve", data=form, headers=HTML)
            assert answer.status_code == 504
            assert "No answer yet: it may still take effect" in answer.text
            assert form["decision_id"] in answer.text
            assert 'value="looks &lt;fine&gt;"' in answer.text
            monkeypatch.setitem(decisions.deliver.__kwdefaults__, "limit_seconds", 30.0)
            async with desk.worker():
                again = await client.post(f"/requests/{ticket.id}/approve", data=form, headers=HTML)
            assert again.status_code == 303
    record = await desk.record(ticket)
    assert [one.approver for one in record.approvals] == ["alice"]
    assert (await desk.kinds(ticket)).count("decision.approve") == 1


async def test_a_horizon_that_hangs_is_told_within_the_limit(
    desk, chromium, password_hash, monkeypatch, tmp_path
):
    """It takes connections and never answers: the check gives up by itself and says who is silent."""
    # a socket that listens takes connections by itself
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    opened = open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False, horizon_url=url)
    with silent:
        async with opened as site:
            record = await a_request_in(desk.seeded, MintStatus.PENDING)
            async with site.client("bob") as client:
                part = await client.get(f"/requests/{record.request.id}/destination", headers={"X-Part": "1"})
    assert part.status_code == 200
    assert f"Cannot read the ledger from Horizon at {url}: no answer within {LOOK_SECONDS:g} s" in part.text
