"""`POST /slack/interactions`: what is not Slack's, not theirs, or no interaction at all changes nothing."""

import asyncio
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.mint_request import MintStatus
from domain.slack import APPROVE, REASON
from sandbox.providers.presses import signed
from tests.support.slack import (
    PATH,
    SECRET,
    body_of,
    notes,
    payload,
    post,
    press,
)


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
