"""The client's page with a real browser: a code, their request, messages, documents, and nobody else's."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect
from sqlalchemy import text

from domain.codes import code_of
from domain.mint_request import MintStatus
from domain.passes import PassPurpose, issue_pass
from tests.support.documents import PDF
from tests.support.talk import SECRET, all_rows, run, say, wrong
from web.pages.track import COOKIE

UNKNOWN = "MK-AAAAAAAAAA"
XSS = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
async def ticket(site):
    """A request that waits."""
    submitted = await site.desk.submit(requester="rita")
    await site.desk.until_status(submitted, MintStatus.PENDING)
    return submitted


def path(ticket, rest=""):
    """Below the track number."""
    return f"/track/{ticket.request.track_number}{rest}"


async def newest_code(site):
    """What the client reads in the mail."""
    rows = await all_rows(site.desk.seeded.database, "SELECT id FROM one_time_codes ORDER BY created_at DESC")
    return code_of(SECRET, rows[0].id)


async def sign_in(site, ticket, page=None):
    """The page of a client who has typed the right code."""
    page = page or await site.page(path=path(ticket))
    await page.get_by_role("button", name="Send me a code").click()
    await page.get_by_text("If there is such a request").wait_for()
    await page.get_by_label("Six digits").fill(await newest_code(site))
    await page.get_by_role("button", name="Show my request").click()
    await page.get_by_role("heading", level=1, name="Waiting for approval").wait_for()
    return page


async def write_and_hand_in(page, message):
    """A message and a document from the client."""
    await page.get_by_label("Write to us").fill(message)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("Your message was sent.").wait_for()
    await page.get_by_label("Hand a document in").set_input_files(
        {"name": "invoice.pdf", "mimeType": "application/pdf", "buffer": PDF}
    )
    await page.get_by_role("button", name="Hand in").click()
    await page.get_by_text("Your document was handed in.").wait_for()


def like(answer, number):
    """What an answer says, whatever the number and the moment."""
    said = answer.headers.get("location", "") + re.sub(r'data-now="[^"]*"', "", answer.text)
    return said.replace(number, "N")


async def cookie_of(page):
    """The cookie of the session."""
    [found] = [one for one in await page.context.cookies() if one["name"] == COOKIE]
    return found


async def test_the_whole_way_of_a_client(site, ticket):
    """Number, code, status; a message and a document; the desk answers; paid, with its transaction."""
    page = await site.page(path="/track")
    await page.get_by_label("Track number").fill(ticket.request.track_number.lower())
    await page.get_by_role("button", name="Go on").click()
    await sign_in(site, ticket, page)
    await write_and_hand_in(page, "When will it be?\nToday?")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="invoice.pdf").click()
    assert (await (await download.value).path()).read_bytes() == PDF
    record = await site.desk.record(ticket)
    await say(site.desk.seeded.database, record, author="alice", said="This afternoon.")
    await site.desk.decide(ticket, "alice")
    record = await site.desk.until_status(ticket, MintStatus.CONFIRMED)
    await page.goto(path(ticket))
    await page.get_by_role("heading", level=1, name="Done").wait_for()
    main = await page.locator("main").inner_text()
    assert record.submission.hash in main
    assert "When will it be?\nToday?" in main
    assert "This afternoon." in main
    # who decides is the desk's own business
    assert "alice" not in main
    assert "tier" not in main
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_text("You are signed out.").wait_for()
    await page.goto(path(ticket))
    await page.get_by_role("button", name="Send me a code").wait_for()


async def test_it_works_without_a_script(site, ticket):
    """Plain forms: JavaScript is off from the number to the message."""
    page = await site.page(path=path(ticket), java_script_enabled=False)
    await sign_in(site, ticket, page)
    await page.get_by_label("Write to us").fill("hello")
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("Your message was sent.").wait_for()
    [said] = await all_rows(site.desk.seeded.database, "SELECT author_kind, text FROM comments")
    assert (said.author_kind, said.text) == ("CLIENT", "hello")


async def test_the_cookie_of_the_session(site, ticket):
    """No script reads it, no other site's form carries it, no other page of ours gets it; half an hour."""
    page = await sign_in(site, ticket)
    cookie = await cookie_of(page)
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/track")
    assert 1700 < cookie["expires"] - datetime.now(UTC).timestamp() < 1801


async def test_wrong_codes_and_too_many(site, ticket):
    """One line each; after five tries the right code is dead; the sixth code of an hour is not sent."""
    page = await site.page(path=path(ticket))
    await page.get_by_role("button", name="Send me a code").click()
    code = await newest_code(site)
    for typed in (*[wrong(code)] * 5, code, "x", "<script>"):
        await page.get_by_label("Six digits").fill(typed)
        await page.get_by_role("button", name="Show my request").click()
        assert "The code is not right" in await page.get_by_role("status").inner_text()
    for _ in range(7):
        await page.get_by_role("button", name="Send me a code").click()
        await page.get_by_text("If there is such a request").wait_for()
    assert len(await all_rows(site.desk.seeded.database, "SELECT 1 FROM one_time_codes")) == 5
    # the browser writes each answer of 403 into its console
    site.forgive_statuses()


async def test_an_unknown_number_looks_like_a_known_one(site, ticket):
    """Byte for byte, but for the number: before a code, after asking, after a wrong one."""
    async with site.client() as client:
        for method, rest, data in (
            ("GET", "", None),
            ("POST", "/code", {}),
            ("POST", "/session", {"code": "000000"}),
            ("POST", "/messages", {"text": "x"}),
        ):
            known, unknown = [
                await client.request(method, f"/track/{number}{rest}", data=data)
                for number in (ticket.request.track_number, UNKNOWN)
            ]
            assert known.status_code == unknown.status_code
            number = ticket.request.track_number
            assert like(known, number) == like(unknown, UNKNOWN)


@pytest.mark.parametrize("number", ["x", "MK-short", "..%2f..", "%00", "<script>", "MK-AAAAAAAAAA%0A", "💩"])
async def test_what_is_no_number_is_told(site, number):
    """Back to where one types it, with how one looks; nothing of it is run."""
    async with site.client() as client:
        answer = await client.get(f"/track/{number}", follow_redirects=True)
    assert answer.status_code in (400, 404)
    assert "<script>" not in answer.text


async def test_markup_in_messages_and_names_is_shown_as_text(site, ticket):
    """From the client, from the desk, in a file's name and in the reason: no script runs, no image loads."""
    page = await sign_in(site, ticket)
    page.on("dialog", lambda _: pytest.fail("a script ran"))
    await page.get_by_label("Write to us").fill(XSS)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_label("Hand a document in").set_input_files(
        {"name": "<b>bad<b>.pdf", "mimeType": "application/pdf", "buffer": PDF}
    )
    await page.get_by_role("button", name="Hand in").click()
    await page.get_by_text("was handed in").wait_for()
    record = await site.desk.record(ticket)
    await say(site.desk.seeded.database, record, author="alice", said=XSS, message_id="ms_2")
    await page.reload()
    assert await page.get_by_text(XSS).count() >= 2
    await expect(page.get_by_role("link", name="bad")).to_have_count(1)
    await expect(page.locator("main img, main script")).to_have_count(0)


async def test_bad_documents_are_told(site, ticket):
    """A wrong kind, other bytes than the name says, nothing chosen: one line, and nothing is stored."""
    page = await sign_in(site, ticket)
    for name, content, words in (
        ("page.html", b"<html>", "documents may be"),
        ("invoice.pdf", b"no pdf at all", "is no application/pdf"),
        ("invoice.pdf", b"", "has 0 bytes"),
    ):
        await page.get_by_label("Hand a document in").set_input_files(
            {"name": name, "mimeType": "application/pdf", "buffer": content}
        )
        await page.get_by_role("button", name="Hand in").click()
        assert words in await page.get_by_role("status").inner_text()
    assert await all_rows(site.desk.seeded.database, "SELECT 1 FROM attachments WHERE state = 'stored'") == []
    site.forgive_statuses()


async def test_a_session_is_good_for_one_request_only(site, ticket):
    """On another track number it shows the form for a code, sends nothing and gets no document."""
    other = await site.desk.submit(requester="rita")
    await site.desk.until_status(other, MintStatus.PENDING)
    page = await sign_in(site, ticket)
    await page.goto(path(other))
    await page.get_by_role("button", name="Send me a code").wait_for()
    cookie = await cookie_of(page)
    async with site.client() as client:
        client.cookies.set(COOKIE, cookie["value"])
        sent = await client.post(path(other, "/messages"), data={"text": "hello"})
        assert sent.status_code == 403
        assert "hello" in sent.text
        assert (await client.get(path(other, "/documents/att_1"))).status_code == 403
        assert (await client.get("/requests", follow_redirects=False)).status_code in (303, 401)
    assert await all_rows(site.desk.seeded.database, "SELECT 1 FROM comments") == []


async def test_a_session_that_is_over(site, ticket):
    """Told so, and what was typed is not lost."""
    page = await sign_in(site, ticket)
    await page.get_by_label("Write to us").fill("a long story")
    past = issue_pass(SECRET, PassPurpose.TRACK, ticket.id, datetime.now(UTC) - timedelta(seconds=1))
    cookie = await cookie_of(page)
    await page.context.add_cookies([{**cookie, "value": past}])
    await page.get_by_role("button", name="Send").click()
    assert "expired" in await page.get_by_role("status").inner_text()
    assert await page.get_by_label("What you wrote was not sent").input_value() == "a long story"
    await page.goto(path(ticket))
    assert "half hour is over" in await page.get_by_role("status").inner_text()
    site.forgive_statuses()


async def test_forms_of_others_do_nothing(site, ticket):
    """Without the page's own token, with another session's, or from another site: 403, nothing is said."""
    page = await sign_in(site, ticket)
    cookie = (await cookie_of(page))["value"]
    token = await page.locator("input[name=csrf]").first.get_attribute("value")
    async with site.client() as client:
        client.cookies.set(COOKIE, cookie)
        for csrf, headers in (
            ("", {}),
            ("x" * 43, {}),
            (token, {"Sec-Fetch-Site": "cross-site"}),
            (token, {"Sec-Fetch-Site": "same-site"}),
            (token, {"Origin": "https://evil.example"}),
        ):
            form = {"csrf": csrf, "text": "hello"}
            for rest in ("/messages", "/sign-out"):
                answer = await client.post(path(ticket, rest), data=form, headers=headers)
                assert answer.status_code == 403, (csrf, headers, rest)
            for rest in ("/code", "/session") if headers else ():
                assert (await client.post(path(ticket, rest), data=form, headers=headers)).status_code == 403
    assert await all_rows(site.desk.seeded.database, "SELECT 1 FROM comments") == []
    assert len(await all_rows(site.desk.seeded.database, "SELECT 1 FROM one_time_codes")) == 1


async def test_a_form_sent_twice_is_one_message(site, ticket):
    """A doubled click, or a page that is loaded again."""
    page = await sign_in(site, ticket)
    cookie = (await cookie_of(page))["value"]
    hidden = {
        name: await page.locator(f"form[action$=messages] input[name={name}]").get_attribute("value")
        for name in ("csrf", "key")
    }
    async with site.client() as client:
        client.cookies.set(COOKIE, cookie)
        form = {**hidden, "text": "once"}
        answers = await asyncio.gather(*(client.post(path(ticket, "/messages"), data=form) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {303}
    assert len(await all_rows(site.desk.seeded.database, "SELECT 1 FROM comments")) == 1


async def test_too_large_a_document_is_not_read(site, ticket):
    """Refused by its length, before anything comes."""
    page = await sign_in(site, ticket)
    cookie = (await cookie_of(page))["value"]
    host, _, port = site.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {path(ticket, '/documents')} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {COOKIE}={cookie}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000000000\r\n\r\n--x"
    )
    writer.write(head.encode())
    assert b" 400 " in await reader.readline()
    writer.close()


async def test_who_has_left_sees_nothing(site, ticket):
    """Their session ends with them."""
    page = await sign_in(site, ticket)
    await run(site.desk.seeded.database, "UPDATE users SET active = false WHERE name = 'rita'")
    await page.goto(path(ticket))
    await page.get_by_role("button", name="Send me a code").wait_for()
    assert "EURT" not in await page.content()


async def test_a_closed_database_tells_clients_no_address(site, ticket):
    """A client reads that it can't be done now, not which host is down."""
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("ALTER TABLE users RENAME TO users_gone"))
    async with site.client() as client:
        answer = await client.get(path(ticket), headers={"Accept": "text/html"})
    async with site.desk.seeded.database.transaction() as tx:
        await tx.run(text("ALTER TABLE users_gone RENAME TO users"))
    assert answer.status_code in (500, 503)
    assert "users" not in answer.text


async def test_a_requester_who_is_signed_in_needs_no_code(site, ticket):
    """The link in their mail leads to their request; whoever else is signed in sees the form for a code."""
    address = f"/track/{ticket.request.track_number}"
    mine = await site.page("rita", address)
    assert mine.url.endswith(f"/requests/{ticket.id}")
    for name in ("alice", "adam", None):
        page = await site.page(name, address)
        assert page.url.endswith(address)
        assert ticket.id not in await page.content()
