"""`GET /api/events`: who is told what, that nothing is lost, and that streams end when they should."""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from sqlalchemy import text

from db.reads.live import audit_seq, happened
from domain.errors import Refused
from domain.sessions import Person, SessionKind
from tests.browser.test_inbox import pending
from tests.db.factories import open_one
from tests.support.desk import PATIENCE
from tests.support.talk import SECRET_TEXT
from tests.web.test_acks import ROOT, running
from web import live
from web.api import events as api
from web.background import Background
from web.live import Hub, Listener, Missed
from web.people import COOKIE


def person(name="alice", *roles, tenant="acme"):
    """Somebody signed in."""
    return Person(
        tenant,
        name,
        frozenset(roles or ("approver",)),
        1,
        "UTC",
        "ws_1",
        SessionKind.BROWSER,
        ("pwd",),
        False,
    )


@asynccontextmanager
async def stream(client, behind=None, **headers):
    """An open stream as (event, id, data) one after the other; it has said hello already."""
    query = "" if behind is None else f"?behind={behind}"
    async with client.stream("GET", f"/api/events{query}", headers=headers, timeout=None) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events_of(answer)
        assert (await following(told))[0] == "hello"
        yield told


async def events_of(answer):
    """Server-sent events, without the heartbeats."""
    found = {}
    async for line in answer.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = value
        elif not line and "event" in found:
            yield found["event"], found.get("id"), json.loads(found.get("data") or "null")
            found = {}


async def following(told):
    """The next event, or None at the end."""
    async with asyncio.timeout(PATIENCE):
        return await anext(told, None)


@pytest.fixture
async def hub(seeded):
    """Listeners without a web server; nothing of it is under way when the test has ended."""
    background = Background()
    yield Hub(seeded.database, background)
    await background.drain()


async def head(site):
    """How far the audit chain is."""
    async with site.desk.seeded.database.transaction() as tx:
        return await audit_seq(tx, site.desk.seeded.tenant)


async def value(site, statement, **parameters):
    """The statement's answer, asked in a transaction of its own."""
    async with site.desk.seeded.database.transaction() as tx:
        return await tx.value(statement, parameters)


async def test_what_happens_is_told_in_order_and_once(site):
    """Every audit event of the tenant's requests, with its number."""
    async with site.client("alice") as client, stream(client) as told:
        before = await head(site)
        ticket = await pending(site)
        await site.desk.decide(ticket, "bob")
        await site.desk.until(ticket, lambda record: record.decided_at is not None)
        kinds, seqs = [], []
        while "decision.approve" not in " ".join(kinds):
            event, number, data = await following(told)
            assert (event, data["id"], int(number)) == ("request", ticket.id, data["seq"])
            kinds.append(data["kind"])
            seqs.append(data["seq"])
    assert seqs == sorted(set(seqs))
    assert min(seqs) > before
    assert kinds == (await site.desk.kinds(ticket))[: len(kinds)]


async def test_who_was_cut_off_gets_what_they_missed(site):
    """From behind the last event they know, by the header that browsers send or by the address."""
    await pending(site)
    before = await head(site)
    ticket = await pending(site)
    async with site.client("alice") as client:
        async with stream(client, behind=before) as told:
            _, first, data = await following(told)
            assert data["id"] == ticket.id
        async with stream(client, behind=0, **{"Last-Event-ID": str(before)}) as told:
            assert (await following(told))[1] == first
        async with stream(client, behind=before + 10_000) as told:
            later = await pending(site)
            assert (await following(told))[2]["id"] == later.id
        for odd in ("abc", "-1", "1e9", "９"):
            async with stream(client, **{"Last-Event-ID": odd.encode()}):
                pass
        assert (await client.get("/api/events?behind=-1")).status_code in (400, 422)


async def test_a_requester_is_told_of_their_own_only(site, hub):
    """Nor is anybody told of another tenant's."""
    before = await head(site)
    await pending(site, requester="alice")
    own = await pending(site, requester="rita")
    async with site.client("rita") as client, stream(client, behind=before) as told:
        assert (await following(told))[2]["id"] == own.id
    async with hub.listen(person(tenant="other"), 0) as stranger, hub.listen(person(), before) as friend:
        later = await pending(site)
        async with asyncio.timeout(PATIENCE):
            while (await friend.waiting.get()).request_id != later.id:
                pass
        assert stranger.waiting.empty()


async def test_nobody_who_is_not_signed_in_is_told_anything(site):
    """No session: refused before the stream begins."""
    async with site.client() as client:
        assert (await client.get("/api/events")).status_code == 401


async def test_a_stream_ends_with_its_session(site, monkeypatch):
    """Signed out elsewhere: `over`, and then nothing any more."""
    monkeypatch.setattr(api, "CHECK_SECONDS", 0.1)
    async with site.client("alice") as client, stream(client) as told:
        async with site.desk.seeded.database.transaction() as tx:
            await tx.run(text("UPDATE sessions SET ended_at = now()"))
        assert (await following(told))[0] == "over"
        assert await following(told) is None


async def test_an_open_page_keeps_no_session_alive(site):
    """Its stream and its refreshes are no sign that anybody is there."""
    async with site.client("alice") as client:
        async with site.desk.seeded.database.transaction() as tx:
            await tx.run(text("UPDATE sessions SET last_seen_at = now() - interval '1 hour'"))
            seen = await tx.value(text("SELECT max(last_seen_at) FROM sessions"))
        await client.get("/inbox", headers={"X-Mintkeeper-Refresh": "live"})
        async with site.desk.seeded.database.transaction() as tx:
            assert await tx.value(text("SELECT max(last_seen_at) FROM sessions")) == seen
        await client.get("/inbox")
        async with site.desk.seeded.database.transaction() as tx:
            assert await tx.value(text("SELECT max(last_seen_at) FROM sessions")) > seen


async def test_so_many_pages_of_one_person_and_no_more(hub):
    """One more is refused; another person is let in, and so is who has closed one."""
    async with AsyncExitStack() as pages:
        for _ in range(live.MOST_EACH - 1):
            await pages.enter_async_context(hub.listen(person(), None))
        async with hub.listen(person(), None):
            with pytest.raises(Refused, match="close some"):
                async with hub.listen(person(), None):
                    pass
            async with hub.listen(person("bob"), None):
                pass
        async with hub.listen(person(), None):
            pass


async def test_who_has_gone_is_forgotten_and_the_polling_ends(site, hub):
    """A closed connection leaves no listener behind; with nobody listening nobody asks the database."""
    async with site.client("alice") as client:
        for _ in range(live.MOST_EACH + 3):
            async with stream(client):
                pass
    async with hub.listen(person(), None):
        polling = hub._polling
        assert not polling.done()
    async with asyncio.timeout(PATIENCE):
        await polling


async def test_who_does_not_keep_up_is_told_to_load_anew(monkeypatch):
    """Instead of a thousand events in memory: one word, and after it what comes next."""
    listener = Listener(person(), 0)
    for seq in range(1, live.MOST_MISSED + 2):
        listener.tell(live.Happened(seq, "request.opened", "mr_1", "rita"))
    assert await listener.waiting.get() == Missed(live.MOST_MISSED + 1)
    listener.tell(live.Happened(live.MOST_MISSED + 2, "request.opened", "mr_1", "rita"))
    assert (await listener.waiting.get()).seq == live.MOST_MISSED + 2


@pytest.mark.parametrize("round_", range(8))
async def test_nothing_is_lost_while_many_join_and_leave(seeded, hub, monkeypatch, round_):
    """Whenever somebody begins to listen, from wherever: every event behind that point, once, in order."""
    monkeypatch.setattr(live, "POLL_SECONDS", 0.005)
    written = asyncio.Event()

    async def write(count):
        for _ in range(count):
            async with seeded.database.transaction() as tx:
                await open_one(tx)
        written.set()

    async def hear(behind, after):
        await asyncio.sleep(after)
        async with hub.listen(person(), behind) as listener:
            began, heard = listener.seq if behind is None else behind, []
            await written.wait()
            async with seeded.database.transaction() as tx:
                end = await audit_seq(tx, "acme")
                every = [one.seq for one in await happened(tx, "acme", began, end) if one.request_id]
            async with asyncio.timeout(PATIENCE):
                while every and (not heard or heard[-1] < every[-1]):
                    heard.append((await listener.waiting.get()).seq)
            assert heard == every
            return len(heard)

    async with seeded.database.transaction() as tx:
        start = await audit_seq(tx, "acme")
    joins = [hear(start if number % 2 else None, number / 50) for number in range(10)]
    _, *counts = await asyncio.gather(write(60), *joins)
    assert max(counts) >= 60


async def test_a_signal_stops_the_process_with_open_streams(site):
    """SIGTERM to `mintkeeper web`: the stream ends and the process goes, without being killed."""
    environment = os.environ | {
        "MINTKEEPER_DATABASE_URL": site.desk.seeded.url,
        "MINTKEEPER_SESSION_SECRET": SECRET_TEXT,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "web", "--port", "0"),
        env=environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            url = (await process.stdout.readline()).decode().removeprefix("ready ").strip()
        async with (
            httpx.AsyncClient(base_url=url, cookies={COOKIE: await site.token("alice")}) as client,
            stream(client) as told,
        ):
            process.terminate()
            assert await following(told) is None
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


async def test_the_server_stops_with_open_streams(site):
    """Nobody waits for a stream that has no end; the browser comes back by itself."""
    token = await site.token("alice")
    async with httpx.AsyncClient(cookies={COOKIE: token}) as client:
        servers = running(site.settings)
        url = await anext(servers)
        client.base_url = url
        async with stream(client) as told:
            loop = asyncio.get_running_loop()
            began = loop.time()
            stopping = asyncio.create_task(anext(servers, None))
            assert await following(told) is None
            await stopping
            print(f"stopped after {loop.time() - began:.2f} s with an open stream")


async def test_the_server_stops_while_it_asks_for_news(site):
    """What it asked is answered first: no connection to the database is left behind."""
    asking = text(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%audit_heads%'"
    )
    still_there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    token = await site.token("alice")
    servers = running(site.settings)
    async with (
        httpx.AsyncClient(cookies={COOKIE: token}, base_url=await anext(servers)) as client,
        stream(client) as told,
    ):
        async with site.desk.seeded.database.transaction() as holder:
            await holder.run(text("LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE"))
            async with asyncio.timeout(PATIENCE):
                while (pid := await value(site, asking)) is None:
                    await asyncio.sleep(0.02)
            stopping = asyncio.create_task(anext(servers, None))
            assert await following(told) is None
            stopped, _ = await asyncio.wait({stopping}, timeout=1)
            assert not stopped
        await stopping
    assert await value(site, still_there, pid=pid) == 0
