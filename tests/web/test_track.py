"""`/api/track/{track number}` of the real web server: what a client gets, and what nobody else does."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from domain.codes import code_of
from domain.passes import PassPurpose, SessionSecret, issue_pass
from settings import Settings
from tests.support.documents import PDF
from tests.support.talk import SECRET, SECRET_TEXT, all_rows, an_open, run, say, wrong
from tests.web.test_acks import running

UNKNOWN = "MK-AAAAAAAAAA"


@pytest.fixture
async def web(seeded, tmp_path, monkeypatch):
    """A client of a real web server with a session secret and a place for documents."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    settings = Settings(
        database_url=seeded.url,
        session_secret=SECRET_TEXT,
        storage_url=(tmp_path / "documents").as_uri(),
        upload_max_bytes=100_000,
    )
    async for url in running(settings):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


@pytest.fixture
def db(seeded):
    """The demo tenant's database."""
    return seeded.database


@pytest.fixture
async def record(db):
    """An open request."""
    return await an_open(db)


def path(record, rest=""):
    """Below the track number."""
    return f"/api/track/{record.request.track_number}{rest}"


async def newest_code(db):
    """What the client reads in the mail."""
    [row] = await all_rows(db, "SELECT id FROM one_time_codes ORDER BY created_at DESC LIMIT 1")
    return code_of(SECRET, row.id)


async def log_in(web, db, record):
    """The header of a session."""
    await web.post(path(record, "/code"))
    answer = await web.post(path(record, "/session"), json={"code": await newest_code(db)})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def problem(answer, status, code="access_refused", reason=None):
    """Check that an answer is that problem document."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code
    if reason is not None:
        assert answer.json()["reason"] == reason


async def test_a_code_opens_a_session_that_shows_the_request(web, db, record):
    """Status, amount, conversation; no approver, no tier, no escalation."""
    me = await log_in(web, db, record)
    await say(db, record, author="alice", said="soon")
    shown = (await web.get(path(record), headers=me)).json()
    assert (shown["status"], shown["amount"]) == ("PENDING", "2500.0000000")
    assert [(one["author"], one["text"]) for one in shown["messages"]] == [("alice", "soon")]
    assert [one["event"] for one in shown["notifications"]] == ["MESSAGE"]
    assert not {"approvals", "eligible_tiers", "assignee", "digest", "timeline"} & shown.keys()


async def test_an_unknown_track_number_answers_as_a_known_one(web, db, record):
    """Codes, sessions and everything behind a pass: same status, same shape, same words."""
    known, unknown = [await web.post(f"/api/track/{n}/code") for n in (record.request.track_number, UNKNOWN)]
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (202, known.json())
    typed = {"code": wrong(await newest_code(db))}
    for rest, method in (("/session", "POST"), ("", "GET")):
        known, unknown = [
            await web.request(method, f"/api/track/{n}{rest}", json=typed)
            for n in (record.request.track_number, UNKNOWN)
        ]
        assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    me = await log_in(web, db, await an_open(db))
    known, unknown = [
        await web.get(f"/api/track/{n}", headers=me) for n in (record.request.track_number, UNKNOWN)
    ]
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())


async def test_the_sixth_code_of_an_hour_is_not_sent_and_nobody_can_tell(web, db, record):
    """The answer is the same; five rows are there."""
    answers = [await web.post(path(record, "/code")) for _ in range(7)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert len(await all_rows(db, "SELECT 1 FROM one_time_codes")) == 5


async def test_wrong_codes_count_although_they_are_refused(web, db, record):
    """Twenty guesses at once: five tries are burnt, and the right code is dead."""
    await web.post(path(record, "/code"))
    code = await newest_code(db)
    answers = await asyncio.gather(
        *(web.post(path(record, "/session"), json={"code": wrong(code)}) for _ in range(20))
    )
    for answer in answers:
        problem(answer, 403, reason="wrong_code")
    [row] = await all_rows(db, "SELECT tries FROM one_time_codes")
    assert row.tries == 5
    problem(await web.post(path(record, "/session"), json={"code": code}), 403, reason="wrong_code")


async def test_a_code_opens_one_session(web, db, record):
    """Replayed it opens nothing."""
    await log_in(web, db, record)
    answer = await web.post(path(record, "/session"), json={"code": await newest_code(db)})
    problem(answer, 403, reason="wrong_code")


def forged(record, **changes):
    """A header with a pass of one's own making."""
    given = {
        "secret": SECRET,
        "purpose": PassPurpose.TRACK,
        "subject": record.request.id,
        "expires_at": datetime.now(UTC) + timedelta(minutes=5),
    } | changes
    token = issue_pass(given["secret"], given["purpose"], given["subject"], given["expires_at"])
    return {"Authorization": f"Bearer {token}"}


async def test_passes_that_let_nobody_in(web, db, record):
    """None, garbage, another secret's, expired, for another request, for another purpose, or in a cookie."""
    other = await an_open(db)
    good = forged(record)["Authorization"]
    cases = [
        ({}, 401, "no_pass"),
        ({"Authorization": "Bearer"}, 401, "no_pass"),
        ({"Authorization": good.replace("Bearer", "Basic")}, 401, "no_pass"),
        ({"Cookie": f"token={good.split()[1]}"}, 401, "no_pass"),
        ({"Authorization": "Bearer a.b"}, 401, "forged"),
        ({"Authorization": f"Bearer {'x' * 5000}"}, 401, "forged"),
        ({"Authorization": good[:-4] + "AAAA"}, 401, "forged"),
        (forged(record, secret=SessionSecret("x" * 32)), 401, "forged"),
        (forged(record, expires_at=datetime.now(UTC)), 401, "expired"),
        (forged(other), 403, "other_subject"),
        (forged(record, purpose=PassPurpose.UPLOAD), 403, "other_subject"),
    ]
    for headers, status, reason in cases:
        for method, rest in (
            ("GET", ""),
            ("POST", "/messages"),
            ("POST", "/attachments"),
            ("PUT", "/attachments/a"),
        ):
            problem(await web.request(method, path(record, rest), headers=headers), status, reason=reason)
    assert (await web.get(path(record), headers=forged(record))).status_code == 200


async def test_a_message_with_an_idempotency_key_is_one_message(web, db, record):
    """Sent twenty times at once: one message, the same answer; without a key each is its own."""
    me = await log_in(web, db, record)
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(web.post(path(record, "/messages"), json={"text": "hi"}, headers=me | key) for _ in range(20))
    )
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {
        (201, answers[0].json()["id"])
    }
    other = await web.post(path(record, "/messages"), json={"text": "other"}, headers=me | key)
    problem(other, 409, "idempotency_conflict")
    for _ in range(2):
        await web.post(path(record, "/messages"), json={"text": "hi"}, headers=me)
    assert len(await all_rows(db, "SELECT 1 FROM comments")) == 3


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"text": 1}', b'{"text": ""}', b'{"text": "a\\u0000b"}',
     b'{"text": "\\ud800"}', b'{"text": "' + b"x" * 2001 + b'"}', b"x" * 20_000,
     b'{"text": "x", "author": "alice"}'],
)  # fmt: skip
async def test_what_is_no_message_is_a_problem_document(web, db, record, body):
    """400, and nothing is written."""
    me = await log_in(web, db, record)
    problem(await web.post(path(record, "/messages"), content=body, headers=me), 400, "invalid_input")
    assert await all_rows(db, "SELECT 1 FROM comments") == []


async def test_a_client_does_not_postpone_the_escalation(web, db, record):
    """The activity clock stands still."""
    me = await log_in(web, db, record)
    await web.post(path(record, "/messages"), json={"text": "hurry"}, headers=me)
    [row] = await all_rows(db, "SELECT last_activity_at, version FROM mint_requests")
    assert (row.last_activity_at, row.version) == (record.last_activity_at, record.version)


async def announce(web, record, me, **changes):
    """Announce a document."""
    body = {"filename": "invoice.pdf", "size": len(PDF)} | changes
    return await web.post(path(record, "/attachments"), json=body, headers=me)


async def test_a_document_goes_in_and_out(web, db, record):
    """Announced, sent, listed, downloaded as a file that no browser runs."""
    me = await log_in(web, db, record)
    announced = (await announce(web, record, me, sha256=hashlib.sha256(PDF).hexdigest())).json()
    assert announced["state"] == "pending"
    problem(await web.get(announced["upload"], headers=me), 404, "not_found")
    stored = await web.put(announced["upload"], content=PDF, headers=me)
    assert (stored.status_code, stored.json()["state"]) == (200, "stored")
    got = await web.get(announced["upload"], headers=me)
    assert (got.content, got.headers["content-type"]) == (PDF, "application/pdf")
    assert got.headers["content-disposition"].startswith('attachment; filename="invoice.pdf"')
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["etag"] == f'"{stored.json()["sha256"]}"'
    problem(await web.put(announced["upload"], content=PDF, headers=me), 409, "refused")
    shown = (await web.get(path(record), headers=me)).json()["attachments"]
    assert [(one["filename"], one["state"]) for one in shown] == [("invoice.pdf", "stored")]


@pytest.mark.parametrize(
    "changes",
    [{"filename": "page.html"}, {"filename": "x.svg"}, {"filename": "x.pdf", "content_type": "text/html"},
     {"filename": "pdf"}, {"filename": ""}, {"filename": "../.."}, {"size": 0}, {"size": -1},
     {"size": 100_001}, {"size": 10**30}, {"sha256": "z" * 64}, {"sha256": "A" * 64},
     {"extra": 1}, {"size": "many"}],
)  # fmt: skip
async def test_what_may_not_be_handed_in(web, db, record, changes):
    """Types that a browser runs, sizes out of bounds, hashes that are none."""
    me = await log_in(web, db, record)
    problem(await announce(web, record, me, **changes), 400, "invalid_input")
    assert await all_rows(db, "SELECT 1 FROM attachments") == []


async def test_names_are_cleaned(web, db, record):
    """No path, no direction or control characters, and the download says so in both spellings."""
    me = await log_in(web, db, record)
    name = '..\\..\\a/b/ré\u202eport "x"\r\nSet-Cookie: a=b.pdf'
    announced = (await announce(web, record, me, filename=name)).json()
    assert announced["filename"] == 'réport "x"Set-Cookie: a=b.pdf'
    await web.put(announced["upload"], content=PDF, headers=me)
    got = await web.get(announced["upload"], headers=me)
    assert got.headers["content-disposition"] == (
        'attachment; filename="r_port _x_Set-Cookie_ a_b.pdf"; '
        "filename*=UTF-8''r%C3%A9port%20%22x%22Set-Cookie%3A%20a%3Db.pdf"
    )
    assert "set-cookie" not in got.headers


async def test_another_request_s_documents_are_absent(web, db, record):
    """Nor can a client send the bytes that the desk has announced."""
    from tests.support.documents import a_pending

    me, other = await log_in(web, db, record), await an_open(db)
    theirs, desk = await a_pending(db, other), await a_pending(db, record, author="alice")
    for pending in (theirs, desk):
        answer = await web.put(path(record, f"/attachments/{pending.id}"), content=PDF, headers=me)
        problem(answer, 404, "not_found")
        problem(await web.get(path(record, f"/attachments/{pending.id}"), headers=me), 404, "not_found")
    assert (await web.get(path(record), headers=me)).json()["attachments"] == []


async def raw(web, request: bytes, half_close=False) -> bytes:
    """Send bytes over a connection of our own, and read what comes back."""
    url = urlsplit(str(web.base_url))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request)
    await writer.drain()
    if half_close:
        writer.close()
        return b""
    answer = await asyncio.wait_for(reader.read(4096), 30)
    writer.close()
    return answer


async def test_a_connection_that_is_cut_leaves_nothing(web, db, record, tmp_path):
    """Half of the bytes came: the upload still waits, and nothing is in the storage."""
    me = await log_in(web, db, record)
    announced = (await announce(web, record, me)).json()
    head = (
        f"PUT {announced['upload']} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {me['Authorization']}\r\n"
        f"Content-Length: {len(PDF)}\r\n\r\n"
    )
    await raw(web, head.encode() + PDF[: len(PDF) // 2], half_close=True)
    await asyncio.sleep(0.3)
    assert [file for file in (tmp_path / "documents").rglob("*") if file.is_file()] == []
    assert (await web.put(announced["upload"], content=PDF, headers=me)).status_code == 200


async def test_more_bytes_than_announced_are_cut_off(web, db, record):
    """A body without a length, larger than it was said to be."""
    me = await log_in(web, db, record)
    announced = (await announce(web, record, me)).json()

    async def endless():
        yield PDF
        for _ in range(1000):
            yield b"x" * 10_000

    problem(await web.put(announced["upload"], content=endless(), headers=me), 400, "invalid_input")
    [row] = await all_rows(db, "SELECT state FROM attachments")
    assert row.state == "pending"


async def test_without_a_session_secret_there_are_no_codes(seeded, monkeypatch):
    """A problem document, for known and unknown numbers; what to set says the log."""
    record = await an_open(seeded.database)
    async for url in running(Settings(database_url=seeded.url)):
        async with httpx.AsyncClient(base_url=url) as client:
            for number in (record.request.track_number, UNKNOWN):
                problem(await client.post(f"/api/track/{number}/code"), 500, "configuration")


async def test_strange_track_numbers_are_unknown_ones(web):
    """NULs, quotes, and a request's id instead of its number."""
    for number in ("MK-%00", "'; DROP TABLE", "mr_00000000000000000000000000", "MK-" + "A" * 5000):
        assert (await web.post(f"/api/track/{number}/code")).status_code == 202


async def test_a_client_who_has_left_gets_no_code(web, db, record):
    """And the answer does not tell."""
    await run(db, "UPDATE users SET active = false WHERE name = 'rita'")
    assert (await web.post(path(record, "/code"))).status_code == 202
    assert await all_rows(db, "SELECT 1 FROM one_time_codes") == []
