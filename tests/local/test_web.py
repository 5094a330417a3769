"""The web server of a running stack: to read, and to acknowledge."""

import re

import httpx
import pytest

from tests.local.stacks import mintkeeper, signed_in, until

SIGNED_IN = ("decisions", "cancel", "claim", "release", "assign", "resubmit")
MEMO = "<script>alert('mint')</script> & more"


@pytest.fixture(scope="module")
def submitted(up):
    """A pending request whose memo and comment try to break out of the page."""
    document = mintkeeper(
        *("submit", "--amount", "31.5", "--topic", "treasury-eu", "--requester", "rita", "--memo", MEMO),
        data_dir=up.data_dir,
    )
    mintkeeper("comment", document["id"], "--as", "alice", MEMO, data_dir=up.data_dir)
    return document


@pytest.fixture(scope="module")
def alice(up):
    """An approver's API token, as a header."""
    return signed_in(up, "alice")


@pytest.fixture
def web(up, alice):
    """An approver's API client on this machine."""
    with httpx.Client(base_url=up.document()["web_url"], headers=alice) as client:
        yield client


def test_api_gives_what_show_gives(up, web, submitted):
    """API and command line speak of a request in the same words, by id or by track number."""
    shown = mintkeeper("show", submitted["id"], data_dir=up.data_dir)
    by_id = web.get(f"/api/requests/{submitted['id']}").json()
    by_track_number = web.get(f"/api/requests/{submitted['track_number']}").json()
    assert {key: value for key, value in by_id.items() if key != "timeline"} == {
        key: value for key, value in shown.items() if key != "timeline"
    }
    assert by_id.keys() == shown.keys() == by_track_number.keys()


def test_api_lists_by_state(web, submitted):
    """The list can be narrowed to one state."""
    pending = web.get("/api/requests", params={"status": "PENDING"}).json()["requests"]
    assert submitted["id"] in {request["id"] for request in pending}
    assert {request["status"] for request in pending} == {"PENDING"}
    assert web.get("/api/requests", params={"status": "DONE"}).status_code == 422


def test_unknown_request_is_a_problem_document(web):
    """The API's errors are RFC 9457 documents with the CLI's code."""
    answer = web.get("/api/requests/mr_00000000000000000000000000")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"
    assert answer.json()["status"] == 404


def test_pages_show_and_escape(web, submitted):
    """The pages show a request; what people typed stays text."""
    listed = web.get("/requests", params={"status": "PENDING"}).text
    page = web.get(f"/requests/{submitted['id']}").text
    assert submitted["track_number"] in listed
    assert submitted["id"] in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert web.get("/requests/nothing").status_code == 404


def test_every_answer_forbids_foreign_scripts(web, submitted):
    """The content policy of every answer allows nothing but our own files, and nothing inline."""
    for path in ("/", f"/requests/{submitted['id']}", "/healthz", "/static/style.css", "/nowhere"):
        policy = web.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy


def test_foreign_host_names_are_refused(web):
    """A site that points its own name at this machine learns nothing."""
    assert web.get("/api/requests", headers={"Host": "evil.example"}).status_code == 400


def test_nothing_can_be_changed_without_a_proof(web, submitted):
    """What acts over HTTP carries its own: a message's token, a signed command, a signature, a pass.

    Else somebody has to be signed in, and a token alone decides nothing.
    """
    paths = web.get("/openapi.json").json()["paths"]
    acting = {path for path, operations in paths.items() if set(operations) != {"get"}}
    assert acting == {
        "/acks/{token}",
        "/api/absences",
        "/api/absences/{absence_id}/end",
        "/api/config",
        "/api/dictionaries/{kind}",
        "/api/policies",
        "/api/policies/{policy_id}",
        "/api/policies/{policy_id}/switch",
        "/escalations/{run_id}/cancel",
        "/escalations/{run_id}/resume",
        "/sendgrid/events",
        "/slack/interactions",
        "/telegram/updates",
        "/api/requests/{request_id}/comments",
        "/api/requests/{request_id}/attachments",
        "/api/requests",
        *(f"/api/requests/{{name}}/{verb}" for verb in SIGNED_IN),
        "/api/attachments/{attachment_id}",
        "/api/track/{track_number}/code",
        "/api/track/{track_number}/session",
        "/api/track/{track_number}/messages",
        "/api/track/{track_number}/attachments",
        "/api/track/{track_number}/attachments/{attachment_id}",
    }
    for provider in ("/sendgrid/events", "/telegram/updates"):
        assert web.post(provider, json=[]).status_code == 403
    decision = {"verdict": "approve"}
    path = f"/api/requests/{submitted['id']}"
    assert web.post(f"{path}/decisions", json=decision).status_code == 403
    for verb in (*SIGNED_IN, "comments", "attachments"):
        assert httpx.post(f"{web.base_url}{path}/{verb}", json={}).status_code == 401


def test_the_link_in_a_message_acknowledges(up, web, submitted):
    """From the provider's message to the receipt: by browser, by command line, and in no log."""

    def link():
        messages = httpx.get(f"{up.document()['providers_url']}/messages").json()
        text = "".join(message["text"] for message in messages if submitted["id"] in message["text"])
        return re.search(r"http://\S+/acks/([A-Za-z0-9_-]+)", text)

    found = until(link, "the first notice is with its provider")
    assert found[0].startswith(up.document()["web_url"])
    assert web.get(found[0]).status_code == 200
    receipt = web.post(found[0])
    assert receipt.status_code == 200
    assert mintkeeper("ack", found[0], data_dir=up.data_dir) == receipt.json()
    shown = mintkeeper("show", submitted["id"], data_dir=up.data_dir)
    assert shown["acknowledged"]["by"] == "#mint"
    assert shown["next_timer"]["name"] == "expiry"
    for log in (up.data_dir / "logs").iterdir():
        assert found[1] not in log.read_text(errors="replace"), log.name


def test_metrics_are_prometheus_text(web):
    """Prometheus finds what it expects."""
    answer = web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "process_cpu_seconds_total" in answer.text
    assert "notify_escalation_started_total{" in answer.text


def test_a_mail_that_arrived_is_delivered(up, submitted):
    """The console's SendGrid reports back with its signature, and the delivery says so."""
    rejected = mintkeeper(
        *("submit", "--amount", "1", "--topic", "treasury-eu", "--requester", "rita"), data_dir=up.data_dir
    )
    mintkeeper("reject", rejected["id"], "--as", "bob", "--reason", "a test", data_dir=up.data_dir)

    def states():
        listed = mintkeeper("deliveries", "list", "--request", rejected["id"], data_dir=up.data_dir)
        mails = [one["state"] for one in listed["deliveries"] if one["channel_kind"] == "email"]
        return mails if mails and set(mails) == {"delivered"} else None

    assert until(states, "the mail to the requester is delivered")


def test_the_authority_key_rotates_under_the_running_stack(up, submitted):
    """Its file is the stack's own; the doctor finds it well."""
    rotated = mintkeeper("keys", "rotate", data_dir=up.data_dir)
    assert rotated["file"] == str(up.data_dir / "keys" / "authority.seeds")
    assert len(rotated["keys"]) == 2
    checks = {check["name"]: check["state"] for check in mintkeeper("doctor", data_dir=up.data_dir)["checks"]}
    assert (checks["authority key"], checks["clock"]) == ("ok", "ok")
