"""The verbs of `/api/requests`: asked for by whoever is signed in, judged as on the command line."""

import asyncio
from datetime import UTC, datetime

import pytest
from ulid import ULID

from db.writes import dictionaries
from domain.mint_request import MintStatus
from tests.support.site import open_site
from tests.support.tokens import client_of


@pytest.fixture
async def site(minting_desk, chromium, password_hash, monkeypatch, tmp_path):
    """The web server with its workers; no page is opened here."""
    async with open_site(minting_desk, chromium, password_hash, monkeypatch, tmp_path) as opened:
        yield opened


@pytest.fixture
async def pending(site):
    """A request that waits for its approvers."""
    ticket = await site.desk.submit()
    await site.desk.until_status(ticket, MintStatus.PENDING)
    return ticket


def wanted(site, **changes):
    """The body that asks for a mint."""
    ledger = site.desk.ledger
    values = {
        "asset": str(ledger.asset),
        "amount": "12.5",
        "destination": ledger.holder.public_key,
        "topic": "treasury-eu",
        "memo": "by API",
    }
    return values | changes


def problem(answer, status, code):
    """Check that an answer is that problem document; answers it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code
    return answer.json()


def body(signed):
    """What is posted."""
    return signed.model_dump(mode="json", by_alias=True)


async def test_a_request_is_asked_for_once_by_its_key(site):
    """201 and where it is; the same key again the same request, other content a conflict."""
    async with client_of(site.desk.seeded, site.url, "rita") as rita:
        me = {"Idempotency-Key": "order-1"}
        first = await rita.post("/api/requests", json=wanted(site), headers=me)
        again = await rita.post("/api/requests", json=wanted(site), headers=me)
        assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
        shown = (await rita.get(first.headers["location"])).json()
        assert (shown["requester"], shown["memo"], shown["amount"]) == ("rita", "by API", "12.5000000")
        other = await rita.post("/api/requests", json=wanted(site, amount="13"), headers=me)
        problem(other, 409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"amount": "1e5"}, 400, "invalid_input"),
        ({"amount": "0"}, 400, "invalid_input"),
        ({"amount": 5}, 400, "invalid_input"),
        ({"asset": "EURT"}, 400, "invalid_input"),
        ({"destination": "G"}, 400, "invalid_input"),
        ({"memo": "a\x00"}, 400, "invalid_input"),
        ({"memo": "x" * 2001}, 400, "invalid_input"),
        ({"topic": "mars"}, 404, "not_found"),
        ({"deadline": "soon"}, 400, "invalid_input"),
        ({"requester": "alice"}, 400, "invalid_input"),
        ({"tenant": "other"}, 400, "invalid_input"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(site, changes, status, code):
    """In one line, and neither requester nor tenant can be chosen."""
    async with client_of(site.desk.seeded, site.url, "rita") as rita:
        problem(await rita.post("/api/requests", json=wanted(site, **changes)), status, code)


async def test_a_signed_decision_is_its_own_proof_whoever_delivers_it(site, pending):
    """A requester's token carries alice's approval; twice is once."""
    signed = body(site.desk.sign(pending, "alice"))
    async with client_of(site.desk.seeded, site.url, "carol") as carol:
        answers = [await carol.post(f"/api/requests/{pending.id}/decisions", json=signed) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["accepted"] is True
    record = await site.desk.record(pending)
    assert [one.approver for one in record.approvals] == ["alice"]


async def test_forged_decisions_never_reach_the_workflow(site, pending):
    """Another's key, another request, garbage, a vouched one without the server's key."""
    desk = site.desk
    before = len((await pending.handle.fetch_history()).events)
    cases = [
        (body(desk.sign(pending, "alice", key_of="rita")), 409, "decision_refused"),
        (body(desk.sign(pending, "nobody", key_of="alice")), 409, "decision_refused"),
        (body(desk.sign(pending, "alice", amr=("pwd",), key_of="rita")), 409, "decision_refused"),
        (body(desk.sign(pending, "alice", request_id=f"mr_{ULID()}")), 400, "invalid_input"),
        ({"payloadType": "x"}, 400, "invalid_input"),
        ({"payloadType": "x", "payload": "!", "signatures": [{"sig": ""}]}, 400, "invalid_input"),
        ({"verdict": "confirmed", "reason": "x"}, 400, "invalid_input"),
        ({}, 400, "invalid_input"),
        ([], 400, "invalid_input"),
    ]
    async with site.client("alice") as alice:
        for content, status, code in cases:
            problem(await alice.post(f"/api/requests/{pending.id}/decisions", json=content), status, code)
        approve = body(desk.sign(pending, "alice"))
        problem(await alice.post(f"/api/requests/{pending.id}/cancel", json=approve), 400, "invalid_input")
    assert len((await pending.handle.fetch_history()).events) == before


async def test_a_browser_decides_and_a_token_does_not(site, pending):
    """The server signs for who is there; a token proves nobody's presence."""
    said = {"verdict": "reject", "reason": "a test", "decision_id": f"dc_{ULID()}"}
    path = f"/api/requests/{pending.id}/decisions"
    async with client_of(site.desk.seeded, site.url, "alice") as token:
        refused = problem(await token.post(path, json=said), 403, "access_refused")
        assert refused["reason"] == "not_entitled"
    async with site.client("alice") as alice:
        answers = [await alice.post(path, json=said) for _ in range(2)]
    assert [one.json()["status"] for one in answers] == ["REJECTED", "REJECTED"]
    assert (await site.desk.record(pending)).status is MintStatus.REJECTED


async def test_who_may_not_decide_is_refused_with_the_reason(site, pending):
    """A requester, an auditor, one's own request; 409 and the word of the rule."""
    path = f"/api/requests/{pending.id}/decisions"
    for name in ("rita", "adam"):
        async with site.client(name) as client:
            answer = await client.post(path, json={"verdict": "approve"})
            assert problem(answer, 409, "decision_refused")["reason"]
    assert (await site.desk.record(pending)).approvals == ()


async def test_claim_assign_release(site, pending):
    """Who works on it, by approvers and admins; unknown people are refused."""
    path = f"/api/requests/{pending.id}"
    async with site.client("alice") as alice:
        assert (await alice.post(f"{path}/claim")).json()["assignee"] == "alice"
        assert (await alice.post(f"{path}/release", json={})).json()["assignee"] is None
        problem(await alice.post(f"{path}/assign", json={"assignee": "\x00"}), 400, "invalid_input")
        problem(await alice.post(f"{path}/claim", content=b"[1]"), 400, "invalid_input")
    async with site.client("adam") as adam:
        assert (await adam.post(f"{path}/assign", json={"assignee": "bob"})).json()["assignee"] == "bob"
        answer = await adam.post(f"{path}/assign", json={"assignee": "rita"})
        assert 400 <= answer.status_code < 500


async def test_the_requester_cancels_and_asks_again(site, pending):
    """By browser; what ended without a mint is asked for once more, once."""
    requester = pending.request.requester
    path = f"/api/requests/{pending.id}"
    async with site.client(requester) as rita:
        cancelled = await rita.post(f"{path}/cancel", json={"reason": "a mistake"})
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
        problem(await rita.post(f"{path}/cancel"), 409, "not_open")
        again = await rita.post(f"{path}/resubmit", headers={"Idempotency-Key": "again"})
        assert again.status_code == 201
        same = await rita.post(f"{path}/resubmit", headers={"Idempotency-Key": "again"})
        assert same.json()["id"] == again.json()["id"]
        problem(await rita.post(f"{path}/resubmit"), 409, "refused")


async def test_comments_and_documents_of_who_is_signed_in(site, pending):
    """No signed command is needed; the same key again is the same message."""
    path = f"/api/requests/{pending.id}"
    async with site.client("alice") as alice:
        sent = [
            await alice.post(f"{path}/comments", json={"text": "seen"}, headers={"Idempotency-Key": "c-1"})
            for _ in range(2)
        ]
        assert [one.status_code for one in sent] == [202, 202]
        problem(await alice.post(f"{path}/comments", json={"text": " "}), 400, "invalid_input")
        announced = await alice.post(f"{path}/attachments", json={"filename": "a.txt", "size": 2})
        assert announced.status_code == 201
        me = {"Authorization": f"Bearer {announced.json()['token']}"}
        assert (await alice.put(announced.json()["upload"], content=b"hi", headers=me)).status_code == 200
        assert (await alice.get(announced.json()["upload"])).content == b"hi"

        async def said():
            shown = (await alice.get(f"{path}/conversation")).json()["messages"]
            return [one["text"] for one in shown if one["author"] == "alice"]

        async with asyncio.timeout(30):
            while await said() != ["seen"]:
                await asyncio.sleep(0.1)


async def test_what_is_somebody_else_s_is_absent_for_every_verb(site, pending):
    """A requester who isn't the request's hears 404, whatever they ask for."""
    seeded = site.desk.seeded
    async with seeded.database.transaction() as tx:
        await dictionaries.set_user(
            tx, tenant="acme", name="rosa", roles=["requester"], actor="x", at=datetime.now(UTC)
        )
    bodies = {
        "decisions": {"verdict": "cancel"},
        "cancel": {},
        "claim": {},
        "release": {},
        "assign": {"assignee": "alice"},
        "resubmit": {},
        "comments": {"text": "x"},
        "attachments": {"filename": "a.txt", "size": 1},
    }
    async with site.client("rosa") as rosa:
        for verb, content in bodies.items():
            problem(await rosa.post(f"/api/requests/{pending.id}/{verb}", json=content), 404, "not_found")


async def test_an_auditor_only_looks(site, pending):
    """Reading is theirs, acting is not."""
    seeded = site.desk.seeded
    async with seeded.database.transaction() as tx:
        await dictionaries.set_user(
            tx, tenant="acme", name="otto", roles=["auditor"], actor="x", at=datetime.now(UTC)
        )
    async with site.client("otto") as otto:
        assert (await otto.get(f"/api/requests/{pending.id}")).status_code == 200
        for verb in ("claim", "release", "resubmit", "comments"):
            answer = await otto.post(f"/api/requests/{pending.id}/{verb}", json={"text": "x"})
            assert problem(answer, 403, "access_refused")["reason"] == "not_entitled"
        problem(await otto.post("/api/requests", json=wanted(site)), 403, "access_refused")
        answer = await otto.post(f"/api/requests/{pending.id}/decisions", json={"verdict": "approve"})
        assert answer.status_code in (403, 409)


async def test_without_a_worker_a_decision_is_kept(deserted, chromium, password_hash, monkeypatch, tmp_path):
    """202 and no outcome yet; it takes effect as soon as a worker runs."""
    desk, ticket = deserted
    path, said = f"/api/requests/{ticket.id}/decisions", {"verdict": "approve", "decision_id": f"dc_{ULID()}"}
    opened = open_site(desk, chromium, password_hash, monkeypatch, tmp_path, worker=False)
    async with opened as site, site.client("alice") as alice:
        for _ in range(2):
            answer = await alice.post(path, json=said)
            assert (answer.status_code, answer.json()["accepted"], answer.json()["sent"]) == (
                202, None, "signal",
            )  # fmt: skip
        assert (await desk.record(ticket)).approvals == ()
        async with desk.worker():
            record = await desk.until_status(ticket, MintStatus.CONFIRMED)
            again = await alice.post(path, json=said)
    assert [one.approver for one in record.approvals] == ["alice"]
    # the first answer, though the request has ended meanwhile; or that it has
    assert again.status_code in (200, 409)


async def test_an_answer_that_does_not_come_is_said_to_be_unknown(
    minting_desk, chromium, password_hash, monkeypatch, tmp_path
):
    """504 while a worker that has just gone still seems to be there; sent again, it has landed once."""
    said = {"verdict": "approve", "decision_id": f"dc_{ULID()}"}
    options = (minting_desk, chromium, password_hash, monkeypatch, tmp_path)
    async with open_site(*options) as site:
        ticket = await site.desk.submit()
        await site.desk.until_status(ticket, MintStatus.PENDING)
    path = f"/api/requests/{ticket.id}/decisions"
    async with open_site(*options, worker=False) as site, site.client("alice") as alice:
        told = problem(await alice.post(path, json=said), 504, "outcome_unknown")
        assert "may still take effect" in told["detail"]
        assert (await site.desk.record(ticket)).approvals == ()
        async with site.desk.worker():
            again = await alice.post(path, json=said)
            record = await site.desk.until_status(ticket, MintStatus.CONFIRMED)
    # whether the first one landed by itself when the worker came is open; that there is one approval is not
    assert again.status_code in (200, 409)
    assert [one.approver for one in record.approvals] == ["alice"]
    assert (await site.desk.kinds(ticket)).count("decision.approve") == 1


async def test_a_key_of_somebody_else_s_request_tells_nothing_of_it(site, pending):
    """409, but neither its id nor that it is a request: a requester may only know their own."""
    seeded = site.desk.seeded
    async with seeded.database.transaction() as tx:
        await dictionaries.set_user(
            tx, tenant="acme", name="rosa", roles=["requester"], actor="x", at=datetime.now(UTC)
        )
    async with site.client("rita") as rita, site.client("rosa") as rosa, site.client("adam") as adam:
        key = {"Idempotency-Key": "order-of-rita"}
        first = (await rita.post("/api/requests", json=wanted(site), headers=key)).json()["id"]
        for body_of_rosa in (wanted(site), wanted(site, amount="13")):
            answer = await rosa.post("/api/requests", json=body_of_rosa, headers=key)
            problem(answer, 409, "idempotency_conflict")
            assert first not in answer.text
            assert "MK-" not in answer.text
        mine = problem(
            await rita.post("/api/requests", json=wanted(site, amount="13"), headers=key),
            409,
            "idempotency_conflict",
        )
        assert first in mine["detail"]
        theirs = await adam.post("/api/requests", json=wanted(site), headers=key)
        assert first in problem(theirs, 409, "idempotency_conflict")["detail"]
