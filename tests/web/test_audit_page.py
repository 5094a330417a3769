"""`/audit`: who may look, what is found, a forged row, and an export that anybody can verify."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db import reads
from db.session import Database
from db.writes import tenants
from domain.approvals import Verdict
from domain.audit import event_hash
from domain.mint_request import MintStatus
from tests.support.site import open_site
from web import proving

HTML = {"Accept": "text/html"}
PAST_THE_GUARDS = text("SET LOCAL session_replication_role = replica")


@pytest.fixture
async def house(desk, chromium, password_hash, monkeypatch, tmp_path):
    """A site without a ledger, and a request that alice has rejected."""
    async with open_site(desk, chromium, password_hash, monkeypatch, tmp_path) as opened:
        opened.ticket = await desk.submit(memo="for the bridge")
        await desk.until_status(opened.ticket, MintStatus.PENDING)
        await desk.decide(opened.ticket, "alice", Verdict.REJECT, reason="the <b>wrong</b> account")
        yield opened


async def forge(site, statement, **params):
    """Write past every guard, as somebody with the server's own disk could."""
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(PAST_THE_GUARDS)
        await tx.run(text(statement), params)


async def read(site, path, name="lena", status=200):
    """A page as text."""
    async with site.client(name) as client:
        answer = await client.get(path, headers=HTML)
    assert answer.status_code == status, answer.text
    return answer.text


@pytest.mark.parametrize("path", ["/audit", "/audit/verify", "/audit/export"])
async def test_only_auditors_and_admins_look(house, path):
    """A requester and an approver get 403, nobody gets in unsigned, and a POST does nothing."""
    for name in ("rita", "alice"):
        await read(house, path, name, 403)
    for name in ("lena", "adam"):
        await read(house, path, name)
    async with house.client() as client:
        assert (await client.get(path)).status_code == 401
    async with house.client("lena") as client:
        assert (await client.post(path)).status_code == 405


async def test_events_are_told_in_words_newest_first(house):
    """Who rejected, why, escaped; below it who asked; with the whole event as it was hashed."""
    page = await read(house, f"/audit?about={house.ticket.id}")
    assert page.index("alice rejected") < page.index("rita asked for it")
    assert "the &lt;b&gt;wrong&lt;/b&gt; account" in page
    assert "<b>wrong" not in page
    assert f'href="/requests/{house.ticket.id}"' in page
    assert "&#34;verdict&#34;: &#34;reject&#34;" in page
    assert house.ticket.request.track_number in page


async def test_the_filters_narrow_it(house):
    """By kind or its beginning, by actor, by track number, by day; what does not fit is left out."""
    rejected, set_ = "alice rejected", "setup set user alice"
    assert rejected in await read(house, "/audit?kind=decision")
    assert rejected not in await read(house, "/audit?kind=users.set")
    assert set_ in await read(house, "/audit?kind=users.set")
    assert rejected not in await read(house, "/audit?actor=rita")
    assert rejected in await read(house, f"/audit?about={house.ticket.request.track_number}&actor=alice")
    today = datetime.now(UTC).date()
    ago, to_come = today - timedelta(days=3), today + timedelta(days=3)
    assert rejected in await read(house, f"/audit?since={ago}&until={to_come}")
    assert rejected not in await read(house, f"/audit?until={ago}")
    # the demo tenant was set up on the first of January
    assert set_ in await read(house, "/audit?kind=users.set&since=2026-01-01&until=2026-01-01")
    assert set_ not in await read(house, "/audit?kind=users.set&since=2026-01-03")


@pytest.mark.parametrize("query", ["since=garbage", "until=2026-13-01", "before=x", "before=-1", "before=²"])
async def test_bad_filters_are_refused_in_words(house, query):
    """400 with what would be right; never a server error."""
    page = await read(house, f"/audit?{query}", status=400)
    assert "no day such as" in page or "no number of an event" in page


@pytest.mark.parametrize(
    "query", ["kind=%00", "actor=%25", "about=' OR 1=1", "before=999999999999999999", "kind=%F0%9F%92%A9"]
)
async def test_strange_filters_find_nothing_and_harm_nothing(house, query):
    """Whatever is looked for is a value: an answer below 500, and nobody else's events."""
    async with house.client("lena") as client:
        assert (await client.get(f"/audit?{query}", headers=HTML)).status_code in (200, 400)


async def test_paging_shows_every_event_once(house, monkeypatch):
    """From link to link, each number of the chain stands on one page, down to the first."""
    monkeypatch.setattr("web.pages.audit.SHOWN", 20)
    seen, path = [], "/audit"
    async with house.client("lena") as client:
        while path:
            page = (await client.get(path, headers=HTML)).text
            seen += [int(part.split("</span>")[0]) for part in page.split('class="soft seq">')[1:]]
            link = page.partition('" rel="next"')[0].rpartition('href="')[2] if 'rel="next"' in page else ""
            path = link.replace("&amp;", "&")
    assert seen == list(range(seen[0], 0, -1))
    assert seen[0] > 40


async def test_a_long_chain_is_looked_through_in_bounds(house, monkeypatch):
    """One look goes through so many events at most, and says where the next goes on."""
    monkeypatch.setattr("db.reads.audit_log.LOOKED", 10)
    page = await read(house, "/audit?actor=nobody")
    assert "No event from" in page
    assert 'rel="next"' in page


async def test_another_tenants_events_are_not_there(house):
    """Neither in the list nor by the id of a request, and the head is one's own."""
    async with house.desk.seeded.database.transaction() as tx:
        await tenants.set_tenant(
            tx, tenant="globex", name="Globex", actor="mallory-of-globex", at=datetime.now(UTC)
        )
    page = await read(house, "/audit?actor=mallory-of-globex")
    assert "No event from" in page
    assert "globex" not in await read(house, "/audit/export")


async def test_a_sound_chain_is_said_to_be_sound(house):
    """As many events as the chain has, and no fault."""
    page = await read(house, "/audit/verify")
    async with house.desk.seeded.database.transaction() as tx:
        count = await tx.value(text("SELECT count(*) FROM audit_events WHERE tenant = 'acme'"))
    assert "The audit chain is intact" in page
    assert f"{count} of {count}" in page


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit_events SET body = replace(body, 'rita', 'eve') WHERE seq = :seq", "was changed"),
        ("DELETE FROM audit_events WHERE tenant = 'acme' AND seq = :seq", "is missing"),
        ("DELETE FROM audit_events WHERE tenant = 'acme' AND seq >= :seq", "is not in the chain"),
    ],
)  # fmt: skip
async def test_a_forged_chain_is_found(house, statement, found):
    """A changed, a removed and a cut-off event: the first fault is named, with how many were sound."""
    async with house.desk.seeded.database.transaction() as tx:
        seq = await tx.value(
            text("SELECT seq FROM audit_events WHERE request_id = :id AND kind = 'request.opened'"),
            {"id": house.ticket.id},
        )
    # who signs in after a cut would lengthen the chain again
    async with house.client("lena") as client:
        await forge(house, statement, seq=seq)
        page = (await client.get("/audit/verify", headers=HTML)).text
    assert "The audit chain is broken" in page
    assert found in page
    assert f"{seq - 1} of " in page
    # looking at what is forged still works
    await read(house, "/audit")


async def test_garbage_in_a_body_can_be_looked_at(house):
    """Details of any shape, or no JSON at all: the list shows it as it is."""
    for body in (
        '{"details": []}',
        '{"details": {"proof": "x", "outcome": {}}}',
        "<script>alert(1)</script>",
    ):
        statement = "UPDATE audit_events SET body = :body WHERE request_id = :id"
        await forge(house, statement, body=body, id=house.ticket.id)
        page = await read(house, f"/audit?about={house.ticket.id}")
        assert "<script>alert" not in page


async def test_too_long_a_verification_gives_up(house, monkeypatch):
    """When its time is over it says how far it came, and what to do instead."""
    monkeypatch.setattr("web.proving.LONGEST", -1.0)
    page = await read(house, "/audit/verify")
    assert "Not verified to the end" in page
    assert "verify it offline" in page


async def test_a_verification_blocks_nobody(house):
    """While a long chain is verified, the same server answers others."""
    body = json.dumps({"details": {"text": "x" * 200}, "seq": "@", "tenant": "acme"}).replace('"@"', "\x01")
    async with house.desk.seeded.database.transaction() as tx:
        await tx.run(
            text(
                "INSERT INTO audit_events (tenant, request_id, step, kind, actor, at, body) "
                "SELECT 'acme', NULL, NULL, 'users.set', 'adam', now(), :body FROM generate_series(1, 8000)"
            ),
            {"body": body.replace('"details"', '"kind": "x", "details"')},
        )
    async with house.client("lena") as client:
        verifying = asyncio.create_task(client.get("/audit/verify", headers=HTML))
        while not verifying.done():
            answer = await client.get("/healthz")
            assert answer.status_code == 200
            if not verifying.done():
                break
            pytest.fail("the verification was over before anybody else was answered")
        assert "The audit chain is intact" in (await verifying).text


async def test_no_json_in_a_fitting_chain_is_named_by_the_page(house):
    """Somebody with the database's password can append a link of any content: a fault, no server error."""
    async with house.client("lena") as client:
        async with house.desk.seeded.database.transaction() as tx:
            head = await reads.audit_head(tx, "acme")
        forged = {"seq": head.seq + 1, "prev": head.hash, "hash": event_hash(head.hash, "<b>")}
        await forge(
            house,
            "INSERT INTO audit_events (tenant, seq, kind, actor, at, body, prev_hash, hash) "
            "VALUES ('acme', :seq, 'users.set', 'eve', now(), '<b>', :prev, :hash)",
            **forged,
        )
        await forge(house, "UPDATE audit_heads SET seq = :seq, hash = :hash WHERE tenant = 'acme'", **forged)
        answer = await client.get("/audit/verify", headers=HTML)
    assert answer.status_code == 200
    assert f"Event {head.seq + 1} can&#39;t be read: its content is no JSON" in answer.text


async def test_a_server_that_stops_waits_for_no_verification(seeded, monkeypatch):
    """Whoever verified is cut off; the thread, for which a process waits, reads no further."""
    monkeypatch.setattr("web.proving.PAGE", 1)
    pages, whole = [], await proving.head_of(seeded.database, "acme")
    page_of = proving.page_of

    async def counted(database, head, after):
        pages.append(after)
        return await page_of(database, head, after)

    async def server():
        verifying = asyncio.create_task(proving.verify(database, "acme"))
        while len(pages) < 3:
            await asyncio.sleep(0)
        verifying.cancel()
        # as the end of a loop does
        await asyncio.get_running_loop().shutdown_default_executor()
        await database.close()

    monkeypatch.setattr("web.proving.page_of", counted)
    database = Database(seeded.url)
    await asyncio.to_thread(asyncio.run, server())
    assert whole.seq > 20
    assert len(pages) < whole.seq // 2


async def test_the_export_is_the_clis_file(house, tmp_path):
    """Byte for byte, and it is offered under a name that says how far it goes."""
    from commands.chain import export_chain

    async with house.client("lena") as client:
        async with house.desk.seeded.database.transaction() as tx:
            document = await export_chain(tx, "acme", tmp_path / "chain.jsonl")
        answer = await client.get("/audit/export")
    assert answer.text == (tmp_path / "chain.jsonl").read_text()
    seq = document["head"].partition(":")[0]
    assert answer.headers["content-disposition"] == f'attachment; filename="audit-acme-{seq}.jsonl"'
