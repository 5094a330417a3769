"""`POST /slack/interactions`: buttons below a message decide, for a linked approver, as the browser would."""

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.approvals import SignedDecision, Verdict
from domain.dsse import unverified_payload
from domain.mint_request import MintStatus
from domain.slack import ACKNOWLEDGE, APPROVE, REASON, REJECT
from sandbox.providers import running_providers
from sandbox.providers.presses import signed
from tests.support.acks import AUTHORITY, KEY
from tests.support.outbox import Outbox
from tests.web.test_acks import running, settings_of

PATH = "/slack/interactions"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PUBLIC = "http://127.0.0.1:8080"
STEP_UP = "UPDATE approval_rules SET step_up_above_stroops = 1 WHERE tenant = 'acme'"


@pytest.fixture
async def outbox(seeded):
    """An outbox with Slack behind it."""
    async with running_providers(slack_secret=SECRET) as url, aiohttp.ClientSession(url) as http:
        opened = Outbox(seeded, url, http)
        yield opened
        await opened.close()


@asynccontextmanager
async def hearing(seeded, outbox, temporal, monkeypatch):
    """A client of a real web server that hears of Slack's interactions; it has stopped when this ends."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("ACK_TEST_KEY", pem)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    changes = {
        "slack_bot_token": "xoxb-local",
        "slack_signing_secret": SECRET,
        "slack_base_url": outbox.slack_url,
        "public_url": PUBLIC,
    }
    async for url in running(settings_of(seeded).model_copy(update=changes)):
        async with outbox.http.post("/slack/webhook", json={"url": f"{url}{PATH}"}) as answer:
            assert answer.status == 200
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


@pytest.fixture
async def web(seeded, outbox, temporal_server, monkeypatch):
    """A client of a real web server that hears of Slack's interactions."""
    async with hearing(seeded, outbox, temporal_server.client, monkeypatch) as client:
        yield client


def relay(outbox):
    """A relay whose messages have buttons."""
    return outbox.relay(outbox.channels(slack_signing_secret=SECRET), authority=AUTHORITY)


async def until_posted(outbox):
    """The first message in Slack."""
    async with asyncio.timeout(30):
        while not (found := await outbox.received()):
            await asyncio.sleep(0.05)
    return found[0]


@pytest.fixture
async def posted(desk, outbox, web):
    """A request whose message is in Slack, and that message; relay and worker keep running."""
    async with desk.worker(), relay(outbox).running():
        ticket = await desk.submit()
        yield ticket, await until_posted(outbox)


@pytest.fixture
async def big(desk, outbox, web):
    """The same of an amount that needs two approvals, one of tier 2."""
    async with desk.worker(), relay(outbox).running():
        ticket = await desk.submit(amount=20_000 * 10**7)
        yield ticket, await until_posted(outbox)


async def press(outbox, message, action, user="U0ALICE"):
    """Press a button in the provider console; where it leads to."""
    number = [one["action_id"] for one in message["buttons"]].index(action)
    form = {"user": user, "button": str(number)}
    async with outbox.http.post(f"/press/{message['id']}", data=form, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]


async def type_reason(outbox, view, reason):
    """Send the modal off; where it leads to, or what it shows then."""
    async with outbox.http.post(view, data={"typed": reason}, allow_redirects=False) as answer:
        return answer.headers["Location"] if answer.status == 303 else await answer.text()


async def notes(outbox, to="U0ALICE", count=1):
    """What that user alone was shown, once it is so many notes."""
    async with asyncio.timeout(30):
        while True:
            found = [m for m in await outbox.received() if m["subject"] == "chat.postEphemeral"]
            if len(found) >= count:
                assert {m["to"] for m in found} == {to}
                return [m["text"] for m in found]
            await asyncio.sleep(0.05)


async def until_reads(outbox, words):
    """The message once it says that."""
    async with asyncio.timeout(30):
        while words not in (message := (await outbox.received())[0])["reads_now"]:
            await asyncio.sleep(0.05)
    return message


def payload(ticket, action=APPROVE, user="U0ALICE", value=None, **changes):
    """An interaction as Slack sends it, of our own making."""
    return {
        "type": "block_actions",
        "user": {"id": user, "team_id": "T1"},
        "team": {"id": "T1"},
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "C1"},
        "trigger_id": "1.2.x",
        "actions": [{"type": "button", "action_id": action, "value": value or ticket.id, "action_ts": "1"}],
    } | changes


def body_of(document):
    """The form that Slack posts."""
    return urlencode({"payload": json.dumps(document)}).encode()


async def post(web, body, at=None, secret=SECRET, **headers):
    """Post a body as Slack would."""
    return await web.post(PATH, content=body, headers=signed(body, int(at or time.time()), secret) | headers)


async def test_a_waiting_message_has_buttons_that_say_what_they_do(posted):
    """The confirmation names amount, asset and destination; values are worth nothing by themselves."""
    ticket, message = posted
    approve, reject, acknowledge = message["buttons"]
    assert [b["action_id"] for b in message["buttons"]] == [APPROVE, REJECT, ACKNOWLEDGE]
    asks = approve["confirm"]["text"]["text"]
    assert "2500.0000000 EURT" in asks
    assert ticket.request.destination in asks
    assert {b["value"] for b in (approve, reject, acknowledge)} == {ticket.id}


async def test_without_a_signing_secret_there_is_neither_address_nor_button(desk, outbox, seeded):
    """Nobody could be believed, so nobody is asked to press."""
    async for url in running(settings_of(seeded, authority="")):
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await post(client, b"payload=%7B%7D")).status_code == 404
    async with desk.worker(), outbox.relay(outbox.channels(), authority=AUTHORITY).running():
        await desk.submit()
        assert (await until_posted(outbox))["buttons"] == []


async def test_approving_decides_and_the_message_says_who(desk, posted, outbox):
    """Signed by the server with how alice was known; the buttons vanish."""
    ticket, message = posted
    assert await press(outbox, message, APPROVE) == "/"
    await desk.until(ticket, lambda record: record.status is not MintStatus.PENDING)
    [said] = await notes(outbox)
    assert said.startswith("Approved by alice: 2500.0000000 EURT")
    [event] = [event for event in await desk.audit(ticket) if event["kind"] == "decision.approve"]
    assert event["actor"] == "alice"
    signed_by_us = unverified_payload(SignedDecision.model_validate(event["details"]["envelope"]))
    assert json.loads(signed_by_us)["amr"] == ["slack"]
    message = await until_reads(outbox, "approved by alice")
    assert message["buttons"] == []


async def test_a_first_of_two_approvals_leaves_the_buttons(desk, big, outbox):
    """The message says who has approved and what is missing, and can still be pressed."""
    _, message = big
    await press(outbox, message, APPROVE)
    message = await until_reads(outbox, "approved by alice, 1 more approval, one of tier 2 or above needed")
    assert [b["action_id"] for b in message["buttons"]] == [APPROVE, REJECT, ACKNOWLEDGE]
    assert "still awaited" in (await notes(outbox))[0]


async def test_rejecting_asks_for_a_reason_in_a_modal(desk, posted, outbox):
    """Empty and too long are said in the modal; with one it is rejected, and the message says by whom."""
    ticket, message = posted
    view = await press(outbox, message, REJECT)
    assert view.startswith("/views/")
    assert "needs a reason" in await type_reason(outbox, view, "  ")
    assert "at most 2000" in await type_reason(outbox, view, "x" * 2001)
    assert await type_reason(outbox, view, "wrong <b>account</b> & more") == "/"
    record = await desk.until_status(ticket, MintStatus.REJECTED)
    assert record.reason == "wrong <b>account</b> & more"
    assert (await until_reads(outbox, "rejected by alice"))["buttons"] == []


async def test_a_modal_that_comes_too_late_says_so(desk, posted, outbox):
    """Approved meanwhile: the modal stays open with what has happened."""
    ticket, message = posted
    view = await press(outbox, message, REJECT)
    await desk.decide(ticket, "bob")
    assert "Not recorded" in await type_reason(outbox, view, "too late")


async def test_acknowledging_is_in_ones_own_name_and_leaves_the_others(desk, posted, outbox):
    """It approves nothing: Approve and Reject stay."""
    ticket, message = posted
    await press(outbox, message, ACKNOWLEDGE, "U0CAROL")
    assert (await notes(outbox, "U0CAROL"))[0] == "carol is on it. This approves nothing."
    assert (await desk.record(ticket)).acknowledged_by == "carol"
    message = await until_reads(outbox, "carol is on it since")
    assert [b["action_id"] for b in message["buttons"]] == [APPROVE, REJECT]


async def test_a_doubled_press_is_one_decision(desk, big, outbox, web):
    """Five times at once, the very same bytes: one approval, and nothing refused."""
    ticket, _ = big
    body = body_of(payload(ticket))
    answers = await asyncio.gather(*(post(web, body) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    said = await notes(outbox, count=5)
    assert all(one.startswith("Approved by alice") for one in said)
    assert [a.approver for a in (await desk.record(ticket)).approvals] == ["alice"]
    assert await desk.refusals(ticket) == []


@pytest.mark.parametrize(
    ("user", "change", "words"),
    [
        ("U0STRANGER", "", "not linked to an approver"),
        ("U0ALICE", "UPDATE users SET active = false WHERE name = 'alice'", "not linked to an approver"),
        ("U0ALICE", "UPDATE users SET roles = '{auditor}' WHERE name = 'alice'", "not linked to an approver"),
        ("U0ALICE", "UPDATE users SET slack_user = NULL WHERE name = 'alice'", "not linked to an approver"),
        ("U0ALICE", "UPDATE tenants SET active = false", "not linked to an approver"),
        ("U0DAVE", "", "tier"),
        ("U0ALICE", STEP_UP, "takes effect"),
    ],
    ids=["stranger", "left", "no approver", "unlinked", "tenant gone", "tier", "rule of later"],
)
async def test_who_may_not_decide(desk, posted, outbox, user, change, words):
    """Told to them alone, with what to do; the workflow's own rules hold as everywhere."""
    ticket, message = posted
    if change:
        await outbox.run(change)
    await press(outbox, message, APPROVE, user)
    [said] = await notes(outbox, user)
    if words == "takes effect":
        # the rule that holds is the one at submission
        assert said.startswith("Approved by alice")
        return
    assert words in said
    assert (await desk.record(ticket)).status is MintStatus.PENDING


async def test_a_refused_one_can_try_again(desk, posted, outbox):
    """Once dave is of a tier that may decide, his next press on the same message is a new decision."""
    ticket, message = posted
    await press(outbox, message, APPROVE, "U0DAVE")
    await desk.until_refused(ticket)
    await outbox.run("UPDATE users SET tier = 1 WHERE name = 'dave'")
    await press(outbox, message, APPROVE, "U0DAVE")
    said = await notes(outbox, "U0DAVE", 2)
    assert said[1].startswith("Approved by dave")


async def test_four_eyes(desk, outbox, web):
    """The requester presses Approve: refused, though they are an approver, too."""
    async with desk.worker(), relay(outbox).running():
        ticket = await desk.submit(requester="alice")
        message = await until_posted(outbox)
        await press(outbox, message, APPROVE)
        assert "four eyes" in (await notes(outbox))[0]
        assert (await desk.record(ticket)).status is MintStatus.PENDING
        assert await desk.refusals(ticket) == ["self_approval"]


async def test_above_the_amount_for_a_second_factor_nothing_is_decided(desk, outbox, web):
    """A link to the browser instead; rejecting and acknowledging need no second factor."""
    await outbox.run(STEP_UP)
    async with desk.worker(), relay(outbox).running():
        ticket = await desk.submit()
        message = await until_posted(outbox)
        await press(outbox, message, APPROVE)
        assert f"{PUBLIC}/requests/{ticket.id}" in (await notes(outbox))[0]
        assert (await desk.record(ticket)).approvals == ()
        assert await desk.refusals(ticket) == []
        view = await press(outbox, message, REJECT)
        assert await type_reason(outbox, view, "wrong account") == "/"
        await desk.until_status(ticket, MintStatus.REJECTED)


async def test_after_the_decision(desk, posted, outbox, web):
    """Whatever is pressed then: what has happened, and nothing changes."""
    ticket, _ = posted
    await desk.decide(ticket, "bob", Verdict.REJECT, reason="wrong account")
    for number, action in enumerate((APPROVE, REJECT, ACKNOWLEDGE), start=1):
        assert (await post(web, body_of(payload(ticket, action)))).status_code == 200
        said = await notes(outbox, count=number)
        assert said[-1].startswith("Not recorded")
        assert "REJECTED" in said[-1]
    assert (await desk.record(ticket)).status is MintStatus.REJECTED


async def test_without_a_worker_the_press_is_kept(deserted, outbox, monkeypatch):
    """Told to the person; twice is once, and it takes effect as soon as a worker runs."""
    desk, ticket = deserted
    async with hearing(desk.seeded, outbox, desk.client, monkeypatch) as web:
        for _ in range(2):
            assert (await post(web, body_of(payload(ticket)))).status_code == 200
        assert await notes(outbox, count=2) == ["Received: it takes effect as soon as a worker runs."] * 2
        assert (await desk.record(ticket)).approvals == ()
        async with desk.worker():
            record = await desk.until_status(ticket, MintStatus.CONFIRMED)
    assert [one.approver for one in record.approvals] == ["alice"]


async def test_a_worker_that_has_just_gone(desk, outbox, web):
    """Slack is answered at once and the person later: it may still take effect; pressed again, it has."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
    assert (await post(web, body_of(payload(ticket)))).status_code == 200
    assert await outbox.received() == []
    [said] = await notes(outbox)
    assert "may still take effect" in said
    async with desk.worker():
        assert (await post(web, body_of(payload(ticket)))).status_code == 200
        await desk.until(ticket, lambda record: record.approvals != ())
    assert [one.approver for one in (await desk.record(ticket)).approvals] == ["alice"]
    assert (await desk.kinds(ticket)).count("decision.approve") == 1


async def test_a_server_that_stops_finishes_what_it_has_taken(
    desk, outbox, seeded, temporal_server, monkeypatch
):
    """Slack has its 200, and nobody sends the press again: what came of it is told before the end."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
    async with hearing(seeded, outbox, temporal_server.client, monkeypatch) as web:
        assert (await post(web, body_of(payload(ticket)))).status_code == 200
        assert await outbox.received() == []
    [note] = await outbox.received()
    assert (note["to"], "may still take effect" in note["text"]) == ("U0ALICE", True)


async def test_a_press_after_expiry(desk, outbox, web):
    """Nobody decides any more, by button or by modal, and nothing is minted late."""
    async with desk.worker():
        ticket = await desk.submit(sla_scale=100_000)
        await desk.until_status(ticket, MintStatus.EXPIRED)
        for number, action in enumerate((APPROVE, REJECT, ACKNOWLEDGE), start=1):
            assert (await post(web, body_of(payload(ticket, action)))).status_code == 200
            said = await notes(outbox, count=number)
            assert said[-1].startswith("Not recorded")
            assert "EXPIRED" in said[-1]
    record = await desk.record(ticket)
    assert (record.status, record.approvals, record.acknowledged_by) == (MintStatus.EXPIRED, (), None)


async def test_a_modal_s_origin_of_another_tenant_rejects_nothing(desk, posted, outbox, web):
    """What a modal carries along is worth nothing by itself: who presses is looked up in that tenant."""
    ticket, _ = posted
    await outbox.run("INSERT INTO tenants (code, name, active) VALUES ('globex', 'Globex', true)")
    await outbox.run(
        "INSERT INTO users (tenant, name, roles, tier, active, time_zone, slack_user) "
        "VALUES ('globex', 'gina', '{approver}', 3, true, 'UTC', 'U0GINA')"
    )
    view = {
        "callback_id": REASON,
        "private_metadata": json.dumps({"request_id": ticket.id, "channel": "C1", "message_ts": "1.2"}),
        "state": {"values": {REASON: {REASON: {"value": "mine now"}}}},
    }
    sent = {"type": "view_submission", "user": {"id": "U0GINA"}, "view": view}
    answer = await post(web, body_of(sent))
    assert "not linked" in answer.json()["errors"][REASON]
    assert (await desk.record(ticket)).status is MintStatus.PENDING
    assert await desk.refusals(ticket) == []


async def test_only_slack_is_believed(desk, posted, web):
    """Another secret, an altered body, too old, from the future, no header, garbage: 403, and nothing."""
    ticket, _ = posted
    body, now = body_of(payload(ticket)), time.time()
    good = signed(body, int(now), SECRET)
    attempts = [
        signed(body, int(now), "another secret"),
        signed(body, int(now - 301), SECRET),
        signed(body, int(now + 330), SECRET),
        signed(body + b" ", int(now), SECRET),
        {},
        good | {"X-Slack-Signature": "v0="},
        good | {"X-Slack-Request-Timestamp": str(int(now) + 1)},
        good | {"X-Slack-Request-Timestamp": "soon"},
        good | {"X-Slack-Request-Timestamp": "9" * 5000},
        good | {"X-Slack-Request-Timestamp": "-1"},
    ]
    for headers in attempts:
        assert (await web.post(PATH, content=body, headers=headers)).status_code == 403, headers
    altered = body.replace(b"U0ALICE", b"U0CAROL")
    assert (await web.post(PATH, content=altered, headers=good)).status_code == 403
    assert (await post(web, b"\xff\xfe")).status_code in (400, 403)
    assert (await desk.record(ticket)).status is MintStatus.PENDING
    assert await desk.refusals(ticket) == []


async def test_no_browser_session_is_needed_or_looked_at(posted, web):
    """Slack sends no cookie; a cross-site header changes nothing, since the signature says it all."""
    ticket, _ = posted
    body = body_of(payload(ticket, "something.else"))
    assert (await post(web, body, **{"Sec-Fetch-Site": "cross-site", "Cookie": "a=b"})).status_code == 200


async def test_another_tenants_request_is_out_of_reach(desk, posted, outbox, web):
    """A forged value with globex's request, by a user linked in acme only: told as a stranger."""
    await outbox.run("INSERT INTO tenants (code, name, active) VALUES ('globex', 'Globex', true)")
    await outbox.run("UPDATE users SET slack_user = 'U0GLOBEX' WHERE name = 'alice'")
    ticket, _ = posted
    await outbox.run(
        "INSERT INTO users (tenant, name, roles, tier, active, time_zone, slack_user) "
        "VALUES ('globex', 'gina', '{approver}', 3, true, 'UTC', 'U0GINA')"
    )
    assert (await post(web, body_of(payload(ticket, user="U0GINA")))).status_code == 200
    assert (await post(web, body_of(payload(ticket, user="U0GINA", value="mr_unknown")))).status_code == 200
    said = await notes(outbox, "U0GINA", 2)
    assert said[0] == said[1]
    assert "not linked" in said[0]
    assert (await desk.record(ticket)).status is MintStatus.PENDING


async def test_that_nobody_can_be_told_undoes_nothing(desk, posted, outbox, web):
    """Slack hangs up instead of taking the note: the approval stands."""
    ticket, message = posted
    await outbox.fault(provider="slack", kind="drop", count=1)
    await press(outbox, message, APPROVE)
    await desk.until(ticket, lambda record: record.status is not MintStatus.PENDING)


async def test_a_response_url_is_never_called(desk, posted, outbox, web):
    """It comes in the payload, and could lead anywhere."""
    called = asyncio.Event()
    server = await asyncio.start_server(lambda reader, writer: called.set(), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    ticket, _ = posted
    assert (await post(web, body_of(payload(ticket, response_url=address)))).status_code == 200
    await notes(outbox)
    assert not called.is_set()
    server.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"payload=",
        b"payload=%7B%7D",
        b"payload=[]",
        b"payload=nonsense",
        b"payload=%7B%7D&payload=%7B%7D",
        b"other=1",
        b"payload=" + b"%5B" * 50_000,
        body_of({"type": 7}),
        body_of({"type": "block_actions"}),
        body_of({"type": "block_actions", "user": {"id": "U1"}, "actions": []}),
        body_of({"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": REASON}}),
    ],
)
async def test_garbage_is_a_bad_request(web, body):
    """400, though Slack has signed it."""
    assert (await post(web, body)).status_code == 400


async def test_too_large_and_other_types(web):
    """413 beyond half a megabyte; what is none of our business is taken and ignored."""
    assert (await post(web, b"payload=" + b"x" * 600_000)).status_code == 413
    for other in ({"type": "view_closed"}, {"type": "shortcut", "user": {}}):
        assert (await post(web, body_of(other))).status_code == 200


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_fields = st.fixed_dictionaries(
    {"type": st.sampled_from(["block_actions", "view_submission", "x"])},
    optional=dict.fromkeys(("user", "container", "actions", "view", "trigger_id"), _json),
)


@given(document=_json | _fields)
@hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_garbage_is_ever_a_server_error(web, document):
    """Any JSON at all, signed."""
    assert (await post(web, body_of(document))).status_code in (200, 400)
