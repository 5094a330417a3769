"""`/api/policies` of the real web server: what may be read, and which signed commands take effect."""

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from ulid import ULID

from db.reads.catalogue import policies
from db.seed import POLICY
from db.writes import dictionaries, publication
from domain.commands import COMMAND_TYPE, Command, sign_command
from domain.dsse import sign
from tests.db.factories import open_one
from tests.support.tokens import client_of
from tests.web.test_acks import running, settings_of


@pytest.fixture
async def web(seeded):
    """An approver's client of a real web server over the seeded database."""
    async for url in running(settings_of(seeded, authority="")):
        async with client_of(seeded, url, "alice") as client:
            yield client


def content(**changes):
    """The demo policy's JSON under another id."""
    return {**POLICY.model_dump(mode="json", by_alias=True), "id": "acme-mint-2", **changes}


def a_command(action="policy.publish", **changes):
    """A command of the admin that is right for publishing."""
    values = {
        "tenant": "acme",
        "actor": "adam",
        "action": action,
        "target": "acme-mint-2",
        "body": content() if action == "policy.publish" else {},
        "id": f"cm_{ULID()}",
        "issued_at": datetime.now(UTC),
    }
    return Command(**(values | changes))


def signed(seeded, command, key=None):
    """The HTTP body of a command, signed by its actor's key or another."""
    envelope = sign_command(command, key or seeded.keys[command.actor])
    return envelope.model_dump_json(by_alias=True)


async def send(web, seeded, command, path="/api/policies", method="POST", key=None):
    """Send a command and return the answer."""
    return await web.request(method, path, content=signed(seeded, command, key))


def refusal(answer, status, reason):
    """Check that an answer is that problem document."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    document = answer.json()
    assert (document["status"], document["code"], document["reason"]) == (status, "command_refused", reason)
    return document["detail"]


async def published(seeded):
    """The ids that are published and not deleted."""
    async with seeded.database.transaction() as tx:
        return {policy.id: policy.current for policy in await policies(tx, "acme")}


async def used(seeded):
    """How many commands are used up."""
    async with seeded.database.transaction() as tx:
        return await tx.value(text("SELECT count(*) FROM signed_commands"))


async def test_a_policy_lives_and_dies_over_http(web, seeded):
    """Publish, read, switch, switch back, delete: each by one signed command, audited by its actor."""
    made = await send(web, seeded, a_command())
    assert made.status_code == 201
    assert (made.json()["publishedBy"], made.json()["current"]) == ("adam", False)
    assert (await web.get("/api/policies/acme-mint-2")).json() == made.json()
    switched = await send(web, seeded, a_command("policy.switch"), "/api/policies/acme-mint-2/switch")
    assert (switched.status_code, switched.json()["current"]) == (200, True)
    back = a_command("policy.switch", target=POLICY.id)
    assert (await send(web, seeded, back, f"/api/policies/{POLICY.id}/switch")).status_code == 200
    gone = await send(web, seeded, a_command("policy.delete"), "/api/policies/acme-mint-2", "DELETE")
    assert (gone.status_code, gone.json()["deletedBy"]) == (200, "adam")
    listed = (await web.get("/api/policies", params={"tenant": "acme"})).json()["policies"]
    assert [policy["id"] for policy in listed] == [POLICY.id]
    everything = (await web.get("/api/policies?deleted=true")).json()["policies"]
    assert [policy["id"] for policy in everything] == [POLICY.id, "acme-mint-2"]
    assert await used(seeded) == 4


async def test_an_unknown_policy_is_a_404(web):
    """As a problem document like every other error."""
    answer = await web.get("/api/policies/none")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"payload": "", "payloadType": "x", "signatures": []}', b"\xff\xfe"]
)
async def test_garbage_is_malformed(web, body):
    """400, whatever it is."""
    refusal(await web.post("/api/policies", content=body), 400, "malformed")


async def test_an_envelope_without_a_command_is_malformed(web, seeded):
    """A true signature under something else is no command."""
    envelope = sign(b'{"hello": 1}', COMMAND_TYPE, seeded.keys["adam"])
    answer = await web.post("/api/policies", content=envelope.model_dump_json(by_alias=True))
    refusal(answer, 400, "malformed")


async def test_an_endless_body_is_cut_off(web):
    """Nobody fills the server's memory."""
    answer = await web.post("/api/policies", content=b" " * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_another_payload_type_is_refused(web, seeded):
    """A signature for something else can't be passed off as a command."""
    payload = a_command().model_dump_json(by_alias=True).encode()
    envelope = sign(payload, "application/vnd.mintkeeper.decision+json", seeded.keys["adam"])
    answer = await web.post("/api/policies", content=envelope.model_dump_json(by_alias=True))
    assert "payload type" in refusal(answer, 403, "bad_signature")


async def test_a_changed_payload_is_refused(web, seeded):
    """The signature covers every byte."""
    envelope = json.loads(signed(seeded, a_command()))
    other = json.loads(signed(seeded, a_command(body=content(autoCloseMinutes=5000))))
    answer = await web.post("/api/policies", content=json.dumps(envelope | {"payload": other["payload"]}))
    refusal(answer, 403, "bad_signature")


@pytest.mark.parametrize("key", ["stranger", "rita"])
async def test_only_the_actors_own_key_signs(web, seeded, key):
    """Neither a stranger's nor a colleague's."""
    forged = await send(web, seeded, a_command(), key=seeded.keys.get(key) or Ed25519PrivateKey.generate())
    refusal(forged, 403, "bad_signature")
    assert (await published(seeded), await used(seeded)) == ({POLICY.id: True}, 0)


async def test_a_revoked_key_signs_nothing(web, seeded):
    """From the moment of its revocation."""
    async with seeded.database.transaction() as tx:
        await tx.execute(text("UPDATE approver_keys SET revoked_at = now() WHERE user_name = 'adam'"))
    refusal(await send(web, seeded, a_command()), 403, "bad_signature")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"actor": "alice"}, "not_entitled"),
        ({"actor": "lena"}, "not_entitled"),
        ({"issued_at": datetime.now(UTC) - timedelta(hours=1)}, "stale"),
        ({"issued_at": datetime.now(UTC) + timedelta(hours=1)}, "stale"),
        ({"action": "policy.switch"}, "wrong_action"),
        ({"action": "escalation.cancel"}, "wrong_action"),
        ({"target": "acme-mint-3"}, "wrong_target"),
    ],
)
async def test_a_command_that_is_not_for_this_changes_nothing(web, seeded, changes, reason):
    """Not an admin, too old, from the future, for something else."""
    refusal(await send(web, seeded, a_command(**changes)), 403, reason)
    assert (await published(seeded), await used(seeded)) == ({POLICY.id: True}, 0)


async def test_a_command_for_another_policy_is_refused(web, seeded):
    """The route's policy counts, not the command's."""
    command = a_command("policy.switch", target=POLICY.id)
    refusal(await send(web, seeded, command, "/api/policies/acme-mint-2/switch"), 403, "wrong_target")
    command = a_command("policy.delete", target=POLICY.id)
    refusal(await send(web, seeded, command, "/api/policies/acme-mint-2", "DELETE"), 403, "wrong_target")


async def test_an_inactive_or_unknown_actor_is_refused(web, seeded):
    """Who has left commands nothing, and who never was even less."""
    async with seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(tx, tenant="acme", name="adam", actor="x", at=datetime.now(UTC))
    refusal(await send(web, seeded, a_command()), 403, "inactive_actor")
    stranger = a_command(actor="nobody")
    refusal(await send(web, seeded, stranger, key=seeded.keys["adam"]), 403, "unknown_actor")


@pytest.fixture
async def other_admin(seeded):
    """An admin of another tenant, with a key."""
    by, key = {"actor": "setup", "at": datetime.now(UTC)}, Ed25519PrivateKey.generate()
    async with seeded.database.transaction() as tx:
        await dictionaries.set_tenant(tx, tenant="other", name="Other", **by)
        await dictionaries.set_user(tx, tenant="other", name="adam", roles=["admin"], **by)
        public = key.public_key().public_bytes_raw()
        await dictionaries.register_key(tx, tenant="other", user="adam", public_key=public, **by)
    return key


async def test_another_tenants_admin_reaches_nothing_here(web, seeded, other_admin):
    """Not by a policy of ours in the body, and not by naming one of ours."""
    refusal(await send(web, seeded, a_command(tenant="other"), key=other_admin), 403, "wrong_tenant")
    for action, path, method in (
        ("policy.switch", f"/api/policies/{POLICY.id}/switch", "POST"),
        ("policy.delete", f"/api/policies/{POLICY.id}", "DELETE"),
    ):
        command = a_command(action, tenant="other", target=POLICY.id)
        answer = await send(web, seeded, command, path, method, other_admin)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    # the same name in both tenants is two people
    refusal(await send(web, seeded, a_command(), key=other_admin), 403, "bad_signature")
    assert (await published(seeded), await used(seeded)) == ({POLICY.id: True}, 0)


async def test_a_command_is_good_once(web, seeded):
    """The second time it is a 409 and changes nothing, even where the effect would be wanted again."""
    command = a_command("policy.switch", target=POLICY.id)
    path = f"/api/policies/{POLICY.id}/switch"
    assert (await send(web, seeded, command, path)).status_code == 200
    newer = POLICY.model_copy(update={"id": "acme-mint-2"})
    async with seeded.database.transaction() as tx:
        by = {"actor": "adam", "at": datetime.now(UTC)}
        await publication.publish_policy(tx, policy=newer, **by)
        await publication.switch_policy(tx, tenant="acme", policy_id=newer.id, **by)
    refusal(await send(web, seeded, command, path), 409, "replayed")
    assert (await published(seeded))[newer.id] is True


async def test_the_same_command_twice_at_once_takes_effect_once(web, seeded):
    """The second waits for the first, and is then a replay."""
    body = signed(seeded, a_command())
    answers = await asyncio.gather(*(web.post("/api/policies", content=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert await used(seeded) == 1


async def test_a_refused_effect_leaves_the_command_unused(web, seeded):
    """Who mends the cause within five minutes may send the same command again."""
    policy = POLICY.model_copy(update={"id": "acme-mint-2"})
    async with seeded.database.transaction() as tx:
        await publication.publish_policy(tx, policy=policy, actor="adam", at=datetime.now(UTC))
        record = await open_one(tx, policy=policy)
    command = a_command("policy.delete")
    answer = await send(web, seeded, command, "/api/policies/acme-mint-2", "DELETE")
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert record.request.id in answer.json()["detail"]
    assert await used(seeded) == 0
    async with seeded.database.transaction() as tx:
        await tx.execute(
            text("""UPDATE mint_requests SET escalation_cancelled_by = 'adam',
                escalation_cancelled_at = now(), version = version + 1""")
        )
    again = await send(web, seeded, command, "/api/policies/acme-mint-2", "DELETE")
    assert (again.status_code, await used(seeded)) == (200, 1)


async def test_a_policy_that_fails_its_checks_is_a_problem(web, seeded):
    """400 where it can't be read, 409 where the people who exist can't live up to it."""
    unread = a_command(body=content(stages=[]))
    answer = await send(web, seeded, unread)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    stages = [{"delaySeconds": 0, "channels": ["pigeon"]}]
    answer = await send(web, seeded, a_command(body=content(stages=stages)))
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert "no channel pigeon" in answer.json()["detail"]


START = {"start": "2026-03-28T18:00:00+00:00"}


async def test_a_simulation_is_read_as_json_or_as_a_picture(web):
    """By the Accept header or by the name; the picture's own style is the only one it allows."""
    path = f"/api/policies/{POLICY.id}/simulation"
    document = (await web.get(path, params=START)).json()
    assert document["expires_at"] == "2026-03-29T18:00:00Z"
    named = await web.get(f"{path}.svg", params=START)
    accepted = await web.get(path, params=START, headers={"Accept": "image/svg+xml"})
    assert named.headers["content-type"].startswith("image/svg+xml")
    assert named.text == accepted.text
    style = named.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in named.headers["content-security-policy"]
    assert named.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("policy", "changes", "status"),
    [
        ("none", {}, 404),
        (POLICY.id, {"start": "today"}, 400),
        (POLICY.id, {"topic": "mars"}, 404),
        (POLICY.id, {"requester": "nobody"}, 404),
        (POLICY.id, {"sla_scale": 0}, 422),
    ],
)
async def test_a_simulation_of_nothing_is_refused(web, policy, changes, status):
    """What is unknown or makes no sense."""
    for suffix in ("", ".svg"):
        answer = await web.get(f"/api/policies/{policy}/simulation{suffix}", params=START | changes)
        assert answer.status_code == status
