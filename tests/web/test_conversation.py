"""The desk's side over HTTP: comments and documents by signed commands, uploads by a pass."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from db.writes import dictionaries
from domain.commands import CommandAction
from domain.passes import PassPurpose, issue_pass
from settings import Settings
from tests.db.acts import expire
from tests.support.commands import a_command
from tests.support.documents import PDF, a_pending
from tests.support.talk import SECRET, SECRET_TEXT, all_rows, an_open, held, say
from tests.support.tokens import client_of
from tests.web.test_acks import running
from tests.web.test_track import problem

COMMENT, ATTACH = CommandAction.REQUEST_COMMENT, CommandAction.REQUEST_ATTACH


@pytest.fixture
async def web(seeded, temporal_server, tmp_path, monkeypatch):
    """An approver's client of a real web server, with Temporal behind it."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    settings = Settings(
        database_url=seeded.url,
        session_secret=SECRET_TEXT,
        storage_url=(tmp_path / "documents").as_uri(),
    )
    async for url in running(settings):
        async with client_of(seeded, url, "alice") as client:
            yield client


def signed(desk, request_id, action=COMMENT, by="alice", body=None, **changes):
    """The body of a POST."""
    envelope = a_command(
        desk, request_id, by, action, body={"text": "seen"} if body is None else body, **changes
    )
    return envelope.model_dump(mode="json", by_alias=True)


async def comment(web, desk, request_id, **changes):
    """Post a comment."""
    return await web.post(f"/api/requests/{request_id}/comments", json=signed(desk, request_id, **changes))


async def test_a_comment_is_left_with_the_workflow_once(web, desk, pending):
    """202, activity, and the same command again is the same comment."""
    body = signed(desk, pending.id)
    before = await desk.record(pending)
    for _ in range(3):
        answer = await web.post(f"/api/requests/{pending.id}/comments", json=body)
        assert (answer.status_code, answer.json()["sent"]) == (202, "signal")
    await desk.until(pending, lambda record: record.last_activity_at > before.last_activity_at)
    shown = (await web.get(f"/api/requests/{pending.id}/conversation")).json()
    assert [(one["author"], one["text"]) for one in shown["messages"]] == [("alice", "seen")]


async def test_the_requester_s_comment_is_the_client_s(web, desk, pending):
    """Written at once, past the workflow, and no activity."""
    before = await desk.record(pending)
    answer = await comment(web, desk, pending.id, by="rita")
    assert answer.json()["sent"] == "stored"
    assert (await desk.record(pending)).last_activity_at == before.last_activity_at


async def test_after_the_end_a_comment_is_written_at_once(web, desk, seeded):
    """There is no workflow any more, and the conversation goes on."""
    record = await an_open(seeded.database)
    async with seeded.database.transaction() as tx:
        await expire(tx, await held(tx, record), datetime.now(UTC) + timedelta(days=1))
    assert (await comment(web, desk, record.request.id)).json()["sent"] == "stored"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key_of": "rita"}, 403, "command_refused"),
        ({"action": CommandAction.CANCEL_ESCALATION}, 403, "command_refused"),
        ({"target": "mr_00000000000000000000000000"}, 403, "command_refused"),
        ({"tenant": "other"}, 403, "command_refused"),
        ({"issued_at": datetime(2026, 1, 1, tzinfo=UTC)}, 403, "command_refused"),
        ({"body": {}}, 400, "invalid_input"),
        ({"body": {"text": "a\x00"}}, 400, "invalid_input"),
        ({"body": {"text": ["x"]}}, 400, "invalid_input"),
    ],
)
async def test_what_is_not_to_be_believed_says_nothing(web, desk, seeded, changes, status, code):
    """Forged, for something else, too old, or without words."""
    record = await an_open(seeded.database)
    body = signed(desk, record.request.id, **changes)
    problem(await web.post(f"/api/requests/{record.request.id}/comments", json=body), status, code)
    assert await all_rows(seeded.database, "SELECT 1 FROM comments") == []


async def announce(web, desk, request_id, **changes):
    """Announce a document as alice."""
    body = {"filename": "proof.pdf", "size": len(PDF)} | changes.pop("body", {})
    document = signed(desk, request_id, action=ATTACH, body=body, **changes)
    return await web.post(f"/api/requests/{request_id}/attachments", json=document)


async def test_a_document_is_announced_sent_and_handed_out(web, desk, seeded):
    """The pass of the announcement is enough for its bytes, and for nothing else."""
    record = await an_open(seeded.database)
    announced = (await announce(web, desk, record.request.id)).json()
    me = {"Authorization": f"Bearer {announced['token']}"}
    problem(await web.get(announced["upload"]), 404, "not_found")
    assert (await web.put(announced["upload"], content=PDF, headers=me)).json()["state"] == "stored"
    assert (await web.get(announced["upload"])).content == PDF
    other = await a_pending(seeded.database, record, author="bob")
    problem(await web.put(f"/api/attachments/{other.id}", content=PDF, headers=me), 403)
    problem(await web.get(f"/api/track/{record.request.track_number}", headers=me), 403)


async def test_bytes_need_the_pass_of_their_announcement(web, desk, seeded):
    """None, an expired one, and a client's are refused."""
    record = await an_open(seeded.database)
    pending = await a_pending(seeded.database, record, author="alice")
    past, soon = datetime.now(UTC), datetime.now(UTC) + timedelta(minutes=1)
    cases = [
        ("", 401),
        (issue_pass(SECRET, PassPurpose.UPLOAD, pending.id, past), 401),
        (issue_pass(SECRET, PassPurpose.TRACK, pending.id, soon), 403),
    ]
    for token, status in cases:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        problem(await web.put(f"/api/attachments/{pending.id}", content=PDF, headers=headers), status)


async def test_an_announcement_is_good_once(web, desk, seeded):
    """Replayed it is refused, and leaves one pending upload."""
    record = await an_open(seeded.database)
    body = signed(desk, record.request.id, action=ATTACH, body={"filename": "a.pdf", "size": 1})
    answers = [await web.post(f"/api/requests/{record.request.id}/attachments", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert len(await all_rows(seeded.database, "SELECT 1 FROM attachments")) == 1


async def test_a_refused_announcement_leaves_the_command_unused(web, desk, seeded):
    """What may not be handed in uses nothing up."""
    record = await an_open(seeded.database)
    answer = await announce(web, desk, record.request.id, body={"filename": "a.html"})
    problem(answer, 400, "invalid_input")
    assert await all_rows(seeded.database, "SELECT 1 FROM signed_commands") == []


async def test_another_tenant_s_request_is_absent(web, desk, seeded):
    """A user of one tenant neither comments on nor attaches to a request of another."""
    db = seeded.database
    record = await an_open(db)
    public_key, at = desk.seeded.keys["alice"].public_key().public_bytes_raw(), datetime.now(UTC)
    async with db.transaction() as tx:
        await dictionaries.set_tenant(tx, tenant="other", name="Other", actor="t", at=at)
        await dictionaries.set_user(
            tx, tenant="other", name="alice", roles=("admin",), tier=None, email=None, time_zone="UTC",
            primary_topic=None, topics=(), actor="t", at=at,
        )  # fmt: skip
        await dictionaries.register_key(
            tx, tenant="other", user="alice", public_key=public_key, actor="t", at=at
        )
    for action, rest in ((COMMENT, "comments"), (ATTACH, "attachments")):
        body = signed(desk, record.request.id, action=action, tenant="other")
        problem(await web.post(f"/api/requests/{record.request.id}/{rest}", json=body), 404, "not_found")


async def test_what_show_gives_has_messages_and_attachments(web, desk, seeded):
    """The request's document tells the conversation too."""
    record = await an_open(seeded.database)
    await say(seeded.database, record, said="hello")
    await a_pending(seeded.database, record)
    shown = (await web.get(f"/api/requests/{record.request.id}")).json()
    assert [one["text"] for one in shown["messages"]] == ["hello"]
    assert [one["state"] for one in shown["attachments"]] == ["pending"]
    assert not {"storage_key", "tenant"} & shown["attachments"][0].keys()
