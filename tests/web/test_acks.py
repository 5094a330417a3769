"""`/acks/{token}` of the real web server: who gets which answer, and what is never written anywhere."""

import asyncio
import base64
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from db.writes import acks
from domain.ack import decode, encode
from domain.approvals import Verdict
from domain.mint_request import MintStatus
from settings import Settings
from tests.support.acks import FORGER, KEY, claim_for, token_for
from tests.support.postgres import Seeded
from tests.support.talk import SECRET_TEXT
from tests.support.tokens import bearer
from web.server import serve

ROOT = Path(__file__).parents[2]
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


async def running(settings: Settings):
    """A web server on a free port; yields its URL once."""
    ready, stop = asyncio.get_running_loop().create_future(), asyncio.Event()
    serving = asyncio.create_task(serve(settings, 0, ready.set_result, stop))
    yield await ready
    stop.set()
    await serving


def settings_of(seeded: Seeded, authority: str = "env:ACK_TEST_KEY") -> Settings:
    """The settings of a web server over this database."""
    return Settings(
        database_url=seeded.url,
        authority_key=authority,
        horizon_url="http://127.0.0.1:9",
        session_secret=SECRET_TEXT,
    )


@pytest.fixture
async def web(seeded, temporal_server, monkeypatch):
    """A client of a real web server that knows the authority key."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("ACK_TEST_KEY", pem)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    async for url in running(settings_of(seeded)):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


async def token_of(desk, ticket, **changes):
    """A token of the request's first message, with changes."""
    return await token_for(desk.seeded.database, ticket.id, **changes)


def problem(answer, status, reason):
    """Check that an answer is that problem document; returns it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    document = answer.json()
    assert (document["status"], document["code"], document["reason"]) == (status, "ack_refused", reason)
    assert document["detail"]
    return document


async def test_first_use_is_a_receipt_and_the_second_the_same(desk, pending, web):
    """200 both times, byte for byte, and one acknowledgement."""
    token = await token_of(desk, pending)
    first, again = [await web.post(f"/acks/{token}") for _ in range(2)]
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.status_code == 200
    receipt = first.json()
    assert (receipt["request_id"], receipt["acknowledged_by"]) == (pending.id, "#mint")
    shown = (await web.get(f"/api/requests/{pending.id}", headers=await bearer(desk.seeded))).json()
    assert shown["acknowledged"]["by"] == "#mint"
    assert shown["next_timer"]["name"] == "expiry"
    assert [event["kind"] for event in shown["timeline"]].count("ack") == 1
    assert token not in str(shown)


async def test_the_other_alphabet_reaches_the_same_receipt(desk, pending, web):
    """A proxy or a mail program may have rewritten it, slashes, plus signs and padding included."""
    envelope = decode(await token_of(desk, pending))
    # ours never hold a character that the two alphabets write differently; the hint is anybody's
    hint = envelope.signatures[0].model_copy(update={"keyid": "???>>>~~~"})
    token = encode(envelope.model_copy(update={"signatures": [hint]}))
    assert "_" in token
    assert "-" in token
    first = await web.post(f"/acks/{token}")
    standard = token.replace("-", "+").replace("_", "/")
    for form in (standard, standard + "=" * (-len(token) % 4), standard.replace("/", "%2F")):
        answer = await web.post(f"/acks/{form}")
        assert (answer.status_code, answer.json()) == (200, first.json())


async def test_another_token_hears_the_recorded_outcome(desk, pending, web):
    """409, with who is on it; after the decision, with the state."""
    await web.post(f"/acks/{await token_of(desk, pending)}")
    other = await token_of(desk, pending, recipient="alice")
    taken = problem(await web.post(f"/acks/{other}"), 409, "already_acknowledged")
    assert taken["recorded"]["acknowledged"]["by"] == "#mint"
    await desk.decide(pending, "bob", Verdict.REJECT, reason="wrong account")
    over = problem(await web.post(f"/acks/{other}"), 409, "over")
    assert (over["recorded"]["status"], over["recorded"]["reason"]) == ("REJECTED", "wrong account")


REFUSED = {
    "expired": ({"expires_utc": datetime(2026, 1, 1, tzinfo=UTC)}, 410, "expired"),
    "forged": ({"authority": FORGER}, 403, "bad_signature"),
    "of another tenant": ({"tenant": "globex"}, 403, "wrong_tenant"),
    "for another purpose": ({"purpose": "login"}, 403, "wrong_purpose"),
    "of another message": ({"sub": "bob"}, 403, "wrong_request"),
    "of no request": ({"request_id": "mr_01KAN3D0000000000000000000"}, 403, "wrong_request"),
}


@pytest.mark.parametrize(("changes", "status", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_good_is_refused(desk, pending, web, changes, status, reason):
    """By its own status, for programs and for people, and nothing is written."""
    before = await desk.audit(pending)
    token = await token_of(desk, pending, **changes)
    document = problem(await web.post(f"/acks/{token}"), status, reason)
    assert ("recorded" in document) == (reason == "expired")
    for answer in (await web.post(f"/acks/{token}", headers=HTML), await web.get(f"/acks/{token}")):
        assert (answer.status_code, "<form" in answer.text) == (status, False)
        assert answer.headers["content-type"].startswith("text/html")
    assert await desk.audit(pending) == before


async def test_a_revoked_link_is_forbidden_even_after_its_use(desk, pending, web):
    """403 and a page that says so; the acknowledgement that was made with it stays."""
    token = await token_of(desk, pending)
    assert (await web.post(f"/acks/{token}")).status_code == 200
    delivery = (await claim_for(desk.seeded.database, pending.id)).delivery_id
    async with desk.seeded.database.transaction() as tx:
        await acks.revoke(tx, delivery=delivery, actor="adam", at=datetime.now(UTC))
    problem(await web.post(f"/acks/{token}"), 403, "revoked")
    page = await web.get(f"/acks/{token}")
    assert (page.status_code, "was revoked" in page.text, "<form" in page.text) == (403, True, False)
    assert (await desk.record(pending)).acknowledged_by == "#mint"


async def test_looking_changes_nothing(desk, pending, web):
    """A scanner fetches the link again and again; the page says what it is about and has a button."""
    token = await token_of(desk, pending)
    before = await desk.audit(pending)
    for _ in range(3):
        page = await web.get(f"/acks/{token}")
        assert page.status_code == 200
    assert '<form method="post"><button type="submit" class="primary">I am on it</button></form>' in page.text
    assert "mint 2500.0000000 EURT" in page.text
    assert "<script" not in page.text
    assert token not in page.text
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert await desk.audit(pending) == before
    assert (await desk.record(pending)).acknowledged_at is None


async def test_the_button_answers_with_a_page(desk, pending, web):
    """People read what was recorded, when they press it and when they come back."""
    token = await token_of(desk, pending)
    pressed = await web.post(f"/acks/{token}", headers=HTML, content=b"")
    assert (pressed.status_code, pressed.headers["content-type"][:9]) == (200, "text/html")
    assert "#mint is on it" in pressed.text
    again = await web.get(f"/acks/{token}")
    assert "#mint is on it" in again.text
    assert "<form" not in again.text
    other = await web.post(f"/acks/{await token_of(desk, pending, recipient='bob')}", headers=HTML)
    assert other.status_code == 409
    assert "#mint is on it already" in other.text
    assert (pressed.headers["referrer-policy"], pressed.headers["cache-control"]) == (
        "no-referrer",
        "no-store",
    )


async def test_without_a_worker_it_is_kept(desk, web):
    """202: nobody can say yet what becomes of it, and nothing is lost."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
    token = await token_of(desk, ticket)
    path = f"/acks/{token}"
    answer, page = await asyncio.gather(web.post(path), web.post(path, headers=HTML))
    assert (answer.status_code, answer.json()) == (202, {"acknowledged": None})
    assert (page.status_code, "as soon as a worker runs" in page.text) == (202, True)
    async with desk.worker():
        await desk.until(ticket, lambda record: record.acknowledged_at is not None)
    assert (await web.post(f"/acks/{token}")).status_code == 200
    assert (await desk.kinds(ticket)).count("ack") == 1


async def test_while_temporal_is_down_nothing_is_promised(desk, pending, web, monkeypatch):
    """503 with what to do; the same link works later."""
    token = await token_of(desk, pending)
    with monkeypatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
        answer = await web.post(f"/acks/{token}")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await web.post(f"/acks/{token}", headers=HTML)).status_code == 503
    assert (await web.post(f"/acks/{token}")).status_code == 200


async def test_without_an_authority_key_nothing_is_believed(desk, pending, web):
    """503, for a good token as for garbage: the server can't tell them apart."""
    token = await token_of(desk, pending)
    async for url in running(settings_of(desk.seeded, authority="")):
        async with httpx.AsyncClient(base_url=url) as keyless:
            for path in (f"/acks/{token}", "/acks/garbage"):
                assert (await keyless.post(path)).status_code == 503
                assert (await keyless.get(path)).status_code == 503
    assert (await desk.record(pending)).acknowledged_at is None


@pytest.mark.parametrize(
    "path",
    ["/acks/", "/acks/%00", "/acks/a/b", "/acks/..%2f..%2fetc", "/acks/%F0%9F%92%A9", "/acks/%FF%FE",
     "/acks/" + "A" * 9000, "/acks/eyJ", "/acks/%22%3E%3Cscript%3E", "/acks/{token}", "/acks/a?b=c",
     "/acks/" + base64.urlsafe_b64encode(b"[" * 4000).decode(), "/acks/" + "=" * 100],
)  # fmt: skip
async def test_garbage_is_a_bad_request(web, path):
    """400 as a problem document, and as a page for people; nothing of it is shown again."""
    problem(await web.post(path), 400, "malformed")
    for answer in (await web.get(path), await web.post(path, headers=HTML)):
        assert answer.status_code == 400
        assert "<script" not in answer.text


@given(token=st.text(min_size=1) | st.binary(min_size=1).map(lambda raw: base64.b64encode(raw).decode()))
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_garbage_is_ever_a_server_error(web, token):
    """Any text in the place of a token: 400, never 500; a line break makes it another path."""
    quoted = "".join(f"%{byte:02X}" for byte in token.encode("utf-8", "surrogatepass"))
    assert (await web.post(f"/acks/{quoted}")).status_code == (404 if "\n" in token.rstrip("\n") else 400)


async def test_tokens_are_in_no_log(desk, pending, web, tmp_path):
    """Neither a good one nor a forged one: a server of its own writes nothing of them anywhere."""
    command = [sys.executable, str(ROOT / "cli.py"), "web", "--port", "0", "--data-dir", str(tmp_path)]
    environment = {**os.environ, "MINTKEEPER_DATABASE_URL": desk.seeded.url} | {
        "MINTKEEPER_AUTHORITY_KEY": "env:ACK_TEST_KEY", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    url = (await process.stdout.readline()).decode().split()[-1]
    tokens = [await token_of(desk, pending), await token_of(desk, pending, authority=FORGER), "x" * 200]
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for token, status in zip(tokens, (200, 403, 400), strict=True):
            assert (await client.post(f"/acks/{token}")).status_code == status
            assert (await client.get(f"/acks/{token}")).status_code == status
    process.terminate()
    said = (await process.communicate())[0].decode()
    said += "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "Shutting down" in said
    assert not [token for token in tokens if token[:60] in said]
