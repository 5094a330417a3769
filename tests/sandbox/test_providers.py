"""The provider console: what it records, how it fails on demand, what it shows."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
import pytest
from aiohttp import web

from domain.errors import Unavailable
from sandbox.providers import running_providers, serve
from sandbox.providers.webhook import SECRET

SLACK = {"Authorization": "Bearer xoxb-local"}
SENDGRID = {"Authorization": "Bearer SG.local"}
MAIL = {
    "personalizations": [{"to": [{"email": "carol@acme.test"}], "custom_args": {"delivery_id": "d-2"}}],
    "from": {"email": "mint@acme.test"},
    "subject": "Approve",
    "content": [{"type": "text/plain", "value": "as text"}, {"type": "text/html", "value": "<p>as html</p>"}],
}
EVENT = {
    "routing_key": "R1",
    "event_action": "trigger",
    "payload": {"summary": "stuck", "source": "mintkeeper", "severity": "critical"},
}


@pytest.fixture
async def http():
    """A session to a console of its own."""
    async with running_providers() as url, aiohttp.ClientSession(url) as session:
        yield session


async def post_slack(http, **body):
    """Status, headers and body of one `chat.postMessage`."""
    async with http.post("/slack/api/chat.postMessage", json=body, headers=SLACK) as response:
        body = await response.json() if response.content_type == "application/json" else {}
        return response.status, response.headers, body


async def add_fault(http, **fault):
    """Status and body of one `POST /faults`."""
    async with http.post("/faults", json=fault) as response:
        return response.status, await response.json()


async def listed(http, path="/messages"):
    """What the console lists."""
    async with http.get(path) as response:
        return await response.json()


async def test_records_all_four_providers_in_order_of_arrival(http):
    """`GET /messages` lists what each provider received, oldest first, with an ISO time."""
    await post_slack(http, channel="#mint", text="first\nmore")
    async with http.post("/sendgrid/v3/mail/send", json=MAIL, headers=SENDGRID) as response:
        assert response.status == 202
        assert response.headers["X-Message-Id"]
        assert await response.text() == ""
    telegram = {"chat_id": "-1001", "text": "third"}
    async with http.post("/telegram/bot12:abc/sendMessage", json=telegram) as response:
        answer = await response.json()
        assert answer["ok"]
        assert answer["result"]["message_id"] == 1
    async with http.post("/pagerduty/v2/enqueue", json=EVENT | {"dedup_key": "k"}) as response:
        assert response.status == 202
        assert await response.json() == {"status": "success", "message": "Event processed", "dedup_key": "k"}
    messages = await listed(http)
    assert [(m["provider"], m["to"], m["subject"], m["text"]) for m in messages] == [
        ("slack", "#mint", "first", "first\nmore"),
        ("sendgrid", "carol@acme.test", "Approve", "as text"),
        ("telegram", "-1001", "third", "third"),
        ("pagerduty", "R1", "trigger: stuck", "stuck"),
    ]
    assert messages[1]["delivery_id"] == "d-2"
    assert all(datetime.fromisoformat(m["at"]).utcoffset() is not None for m in messages)


async def test_slack_takes_forms_as_well_as_json(http):
    """slack-sdk may send either encoding, with the token in the header or in the form."""
    form = {"token": "xoxb-local", "channel": "C0123456789", "text": "by form"}
    async with http.post("/slack/api/chat.postMessage", data=form) as response:
        answer = await response.json()
    assert answer["ok"]
    assert answer["channel"] == "C0123456789"
    assert [m["text"] for m in await listed(http)] == ["by form"]


async def test_slack_update_edits_a_posted_message_only(http):
    """`chat.update` needs the channel and ts of a message that was posted."""
    _, _, posted = await post_slack(http, channel="#mint", text="open")
    update = {"channel": posted["channel"], "ts": posted["ts"], "text": "approved"}
    async with http.post("/slack/api/chat.update", json=update, headers=SLACK) as response:
        assert (await response.json())["ts"] == posted["ts"]
    async with http.post("/slack/api/chat.update", json=update | {"ts": "1.2"}, headers=SLACK) as response:
        assert await response.json() == {"ok": False, "error": "message_not_found"}
    original, edit = await listed(http)
    assert (original["updates"], edit["updates"]) == ("", posted["ts"])
    assert (original["text"], original["reads_now"]) == ("open", "approved")
    async with http.get("/") as response:
        assert "edited since" in await response.text()


async def test_a_webhook_is_believed_by_its_signature(http):
    """The example of the specification's own check: id, time and body; a changed body is refused."""
    body, at = b'{"type": "x", "data": {"text": "hello"}}', str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, f"m1.{at}.".encode() + body, hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "m1", "webhook-timestamp": at, "webhook-signature": f"v2,x v1,{mac}"}
    answers = []
    for sent, said in ((body, headers), (body + b" ", headers), (body, {})):
        async with http.post("/webhook/in", data=sent, headers=said) as response:
            answers.append(response.status)
    stale = headers | {"webhook-timestamp": str(int(at) - 3600)}
    async with http.post("/webhook/in", data=body, headers=stale) as response:
        answers.append(response.status)
    assert answers == [204, 401, 401, 401]
    assert [(m["provider"], m["to"], m["text"], m["delivery_id"]) for m in await listed(http)] == [
        ("webhook", "in", "hello", "m1")
    ]


async def test_refuses_as_the_providers_do(http):
    """Bad credentials and unknown targets get each provider's own error, and nothing is recorded."""
    async with http.post("/slack/api/auth.test") as response:
        assert (response.status, await response.json()) == (200, {"ok": False, "error": "not_authed"})
    assert (await post_slack(http, channel="#unknown", text="x"))[2]["error"] == "channel_not_found"
    assert (await post_slack(http, channel="#mint"))[2]["error"] == "no_text"
    revoked = {"Authorization": "Bearer SG.revoked"}
    async with http.post("/sendgrid/v3/mail/send", json=MAIL, headers=revoked) as response:
        assert response.status == 401
        assert (await response.json())["errors"][0]["field"] is None
    async with http.post("/sendgrid/v3/mail/send", data="{broken", headers=SENDGRID) as response:
        assert (await response.json())["errors"][0]["field"] == "personalizations"
    async with http.post("/telegram/bot1:revoked/sendMessage", json={"chat_id": 1, "text": "x"}) as response:
        assert (await response.json())["error_code"] == 401
    async with http.post(
        "/telegram/bot1:a/sendMessage", json={"chat_id": 1, "text": "😀" * 2049}
    ) as response:
        assert (await response.json())["description"] == "Bad Request: message is too long"
    async with http.post("/pagerduty/v2/enqueue", json={"event_action": "trigger"}) as response:
        assert response.status == 400
        assert "'routing_key' is missing or blank" in (await response.json())["errors"]
    assert await listed(http) == []


async def test_auth_test_answers_who_the_bot_is(http):
    """`auth.test` with a good token names team and bot."""
    async with http.post("/slack/api/auth.test", headers=SLACK) as response:
        answer = await response.json()
    assert answer["ok"]
    assert answer["team"] == "acme"


async def test_rate_limit_says_when_to_come_back(http):
    """429 carries Retry-After; Telegram has the seconds in the body and SendGrid its reset time as well."""
    for provider in ("slack", "sendgrid", "telegram"):
        await add_fault(http, provider=provider, kind="429", retry_after=7)
    status, headers, body = await post_slack(http, channel="#mint", text="x")
    assert (status, headers["Retry-After"], body["error"]) == (429, "7", "ratelimited")
    async with http.post("/sendgrid/v3/mail/send", json=MAIL, headers=SENDGRID) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
        assert int(response.headers["X-RateLimit-Reset"]) > 0
    async with http.post("/telegram/bot1:a/sendMessage", json={"chat_id": 1, "text": "x"}) as response:
        assert (await response.json())["parameters"] == {"retry_after": 7}
    assert await listed(http) == []


async def test_faults_hit_their_own_provider_and_end_after_their_count(http):
    """A fault is counted down by the calls of its provider only; then all is well again."""
    status, fault = await add_fault(http, provider="slack", kind="500", count=2)
    assert (status, fault["count"]) == (201, 2)
    async with http.post("/telegram/bot1:a/sendMessage", json={"chat_id": 1, "text": "x"}) as response:
        assert response.status == 200
    assert (await post_slack(http, channel="#mint", text="a"))[0] == 500
    assert [f["count"] for f in await listed(http, "/faults")] == [1]
    assert (await post_slack(http, channel="#mint", text="b"))[0] == 500
    assert (await post_slack(http, channel="#mint", text="c"))[0] == 200
    assert [m["text"] for m in await listed(http)] == ["x", "c"]


@pytest.mark.parametrize("after_accept", [False, True])
async def test_drop_closes_the_connection_before_or_after_the_message_is_taken(http, after_accept):
    """The caller of a dropped call gets no answer; `after_accept` decides whether the message counts."""
    await add_fault(http, provider="slack", kind="drop", after_accept=after_accept)
    with pytest.raises(aiohttp.ClientConnectionError):
        await post_slack(http, channel="#mint", text="gone?")
    assert len(await listed(http)) == int(after_accept)


async def test_slow_waits_and_then_answers_as_usual(http):
    """`slow` delays the answer by `seconds`, and the message is taken."""
    await add_fault(http, provider="slack", kind="slow", seconds=0.2)
    began = time.monotonic()
    status, _, _ = await post_slack(http, channel="#mint", text="late")
    assert status == 200
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"provider": "fax", "kind": "500"}, "provider must be one of"),
        ({"provider": "slack"}, "kind must be one of"),
        ({"provider": "slack", "kind": "500", "count": 0}, "count must be a whole number"),
        ({"provider": "slack", "kind": "500", "count": True}, "count must be a whole number"),
        ({"provider": "slack", "kind": "slow", "seconds": -1}, "seconds must be a number"),
        ({"provider": "slack", "kind": "429", "retry_after": "soon"}, "retry_after must be"),
        ({"provider": "slack", "kind": "500", "after_accept": True}, "after_accept belongs to"),
        ({"provider": "slack", "kind": "500", "tries": 3}, "unknown field 'tries'"),
        (["slack"], "must be a JSON object"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_with_its_reason(http, fault, complaint):
    """Bad input is 400 with the field that is wrong, and no fault is added."""
    async with http.post("/faults", json=fault) as response:
        assert response.status == 400
        assert complaint in (await response.json())["error"]["message"]
    assert await listed(http, "/faults") == []


async def test_garbage_as_a_fault_is_refused(http):
    """A body that is not JSON is 400 and says so."""
    async with http.post("/faults", data=b"\xff{") as response:
        assert response.status == 400
        assert (await response.json())["error"]["message"] == "the body is not JSON"


async def test_messages_and_faults_can_be_cleared(http):
    """DELETE answers how many there were and leaves none."""
    await post_slack(http, channel="#mint", text="x")
    await add_fault(http, provider="slack", kind="500")
    for path in ("/messages", "/faults"):
        async with http.delete(path) as response:
            assert await response.json() == {"deleted": 1}
        assert await listed(http, path) == []


async def test_the_page_shows_newest_first_and_runs_nothing_it_is_sent(http):
    """What was sent is shown as text; the page has no script and names no other host."""
    await post_slack(http, channel="#mint", text="older")
    await post_slack(http, channel="#mint", text="<script>alert(1)</script>")
    async with http.get("/") as response:
        html = await response.text()
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert html.index("&lt;script&gt;") < html.index("older")
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html
    async with http.get("/style.css") as response:
        assert "prefers-color-scheme: dark" in await response.text()


async def test_a_thousand_messages_in_a_burst_are_all_recorded(http):
    """The console keeps up with the reminder benchmark: nothing of a burst is lost."""
    gate = asyncio.Semaphore(50)

    async def send(number):
        async with gate:
            return (await post_slack(http, channel="#mint", text=str(number)))[0]

    assert set(await asyncio.gather(*map(send, range(1000)))) == {200}
    assert {m["text"] for m in await listed(http)} == {str(n) for n in range(1000)}


async def test_serve_says_when_it_is_ready_and_stops_when_told():
    """`serve` calls back with its URL once, ends with the event, and frees the port."""
    stop, ready = asyncio.Event(), asyncio.Queue()
    task = asyncio.create_task(serve(0, ready.put_nowait, stop))
    url = await ready.get()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/messages") as response:
        assert await response.json() == []
    stop.set()
    await task
    assert ready.empty()


async def test_a_taken_port_is_a_clear_error():
    """Two consoles on one port: the second says so and how to go on."""
    async with running_providers() as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(Unavailable, match=f"port {port}.*--port"):
            await serve(port, lambda _: None, asyncio.Event())


WAITING = {
    "channel": "#mint",
    "text": "rita asks",
    "blocks": [
        {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "action_id": "approve",
                    "value": "mr_1",
                    "text": {"type": "plain_text", "text": "Approve <b>"},
                }
            ],
        }
    ],
}
FIELD = {"type": "plain_text_input", "action_id": "why", "multiline": True}
MODAL = {
    "type": "modal",
    "callback_id": "reject",
    "private_metadata": "kept",
    "title": {"type": "plain_text", "text": "Reject"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {"type": "input", "block_id": "why", "label": {"type": "plain_text", "text": "Why"}, "element": FIELD}
    ],
}


@asynccontextmanager
async def an_app(answer):
    """An app that hears of presses: `answer` gets each payload, with the headers and the raw body."""
    heard = []

    async def hear(request):
        raw = await request.read()
        document = json.loads((await request.post())["payload"])
        heard.append((document, dict(request.headers), raw))
        return web.json_response(await answer(document))

    app = web.Application()
    app.router.add_post("/in", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/in", heard
    await runner.cleanup()


async def slack_call(http, method, **body):
    """The answer of a method of Slack's."""
    async with http.post(f"/slack/api/{method}", json=body, headers=SLACK) as response:
        return await response.json()


async def test_a_press_in_slack_is_signed_as_slack_signs():
    """Version, time and raw body under the secret; the payload says who pressed what, and where."""

    async def nothing(_):
        return {}

    async with (
        an_app(nothing) as (app_url, heard),
        running_providers(slack_interactions=app_url, slack_secret="s3cret") as url,
        aiohttp.ClientSession(url) as http,
    ):
        _, _, posted = await post_slack(http, **WAITING)
        async with http.get("/") as response:
            assert "Approve &lt;b&gt;" in await response.text()
        form = {"user": "U0ALICE", "button": "0"}
        async with http.post(f"/press/{posted['ts']}", data=form, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
        for bad in ({"user": "U0ALICE", "button": "7"}, {"user": "", "button": "0"}, {}):
            async with http.post(f"/press/{posted['ts']}", data=bad) as response:
                assert response.status == 400
        foreign = {"Sec-Fetch-Site": "cross-site"}
        async with http.post(f"/press/{posted['ts']}", data=form, headers=foreign) as response:
            assert response.status == 403
        async with http.get("/press/1.2") as response:
            assert response.status == 404
    [(payload, headers, raw)] = heard
    at = headers["X-Slack-Request-Timestamp"]
    mac = hmac.new(b"s3cret", b"v0:" + at.encode() + b":" + raw, hashlib.sha256).hexdigest()
    assert headers["X-Slack-Signature"] == f"v0={mac}"
    assert (payload["type"], payload["user"]["id"]) == ("block_actions", "U0ALICE")
    assert payload["container"]["message_ts"] == posted["ts"]
    assert payload["container"]["channel_id"] == posted["channel"]
    assert (payload["actions"][0]["action_id"], payload["actions"][0]["value"]) == ("approve", "mr_1")


async def test_a_modal_opens_for_a_press_and_shows_what_is_wrong():
    """A trigger is good once; what is sent off comes with the metadata, and errors keep the modal open."""
    console = []

    async def app_of(document):
        if document["type"] == "block_actions":
            for _ in range(2):
                console.append(
                    await slack_call(console[0], "views.open", trigger_id=document["trigger_id"], view=MODAL)
                )
            return {}
        typed = document["view"]["state"]["values"]["why"]["why"]["value"]
        return {} if typed else {"response_action": "errors", "errors": {"why": "say why"}}

    async with (
        an_app(app_of) as (app_url, heard),
        running_providers(slack_interactions=app_url, slack_secret="s3cret") as url,
        aiohttp.ClientSession(url) as http,
    ):
        console.append(http)
        _, _, posted = await post_slack(http, **WAITING)
        form = {"user": "U0ALICE", "button": "0"}
        async with http.post(f"/press/{posted['ts']}", data=form, allow_redirects=False) as response:
            view = response.headers["Location"]
        assert [answer.get("error") for answer in console[1:]] == [None, "invalid_trigger_id"]
        async with http.post(view, data={"typed": ""}) as response:
            assert "say why" in await response.text()
        async with http.post(view, data={"typed": "wrong"}, allow_redirects=False) as response:
            assert response.status == 303
        async with http.get(view) as response:
            assert response.status == 404
    assert heard[-1][0]["view"]["private_metadata"] == "kept"


async def test_slack_refuses_what_is_beyond_its_limits(http):
    """Blocks, buttons, confirmations and modals as Slack documents them; notes are for one person."""
    [row] = WAITING["blocks"]
    [button] = row["elements"]
    text = {"type": "plain_text", "text": "x"}
    confirm = {"title": text, "confirm": text, "deny": text, "text": {**text, "text": "x" * 301}}
    for wrong in (
        [row] * 51,
        [{"type": "actions", "elements": []}],
        [{"type": "actions", "elements": [button, button]}],
        [{"type": "actions", "elements": [{**button, "value": "x" * 2001}]}],
        [{"type": "actions", "elements": [{**button, "text": {"type": "plain_text", "text": "x" * 76}}]}],
        [{"type": "actions", "elements": [{**button, "confirm": confirm}]}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
        [{"type": "nonsense"}],
    ):
        answer = await slack_call(http, "chat.postMessage", channel="#mint", text="x", blocks=wrong)
        assert answer == {"ok": False, "error": "invalid_blocks"}
    assert (await slack_call(http, "views.open", trigger_id="x", view=MODAL))["error"] == "invalid_trigger_id"
    assert (await slack_call(http, "chat.postEphemeral", channel="#mint", user="U1", text="hello"))["ok"]
    assert [(m["to"], m["subject"], m["text"]) for m in await listed(http)] == [
        ("U1", "chat.postEphemeral", "hello")
    ]


async def test_a_press_that_nobody_hears_is_told(http):
    """No app, or no secret: the page says what is missing."""
    _, _, posted = await post_slack(http, **WAITING)
    async with http.post(f"/press/{posted['ts']}", data={"user": "U1", "button": "0"}) as response:
        assert response.status == 502
        assert "--slack-interactions" in await response.text()
