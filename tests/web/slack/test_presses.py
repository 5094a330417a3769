"""`POST /slack/interactions`: buttons below a message decide, for a linked approver, as the browser would."""

import asyncio
import json

import httpx
import pytest

from domain.approvals import SignedDecision, Verdict
from domain.dsse import unverified_payload
from domain.mint_request import MintStatus
from domain.slack import ACKNOWLEDGE, APPROVE, REASON, REJECT
from tests.support.acks import AUTHORITY
from tests.support.slack import (
    PUBLIC,
    STEP_UP,
    body_of,
    hearing,
    notes,
    payload,
    post,
    press,
    relay,
    type_reason,
    until_posted,
    until_reads,
)
from tests.web.test_acks import running, settings_of


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
