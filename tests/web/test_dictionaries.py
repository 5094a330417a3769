"""`/api/dictionaries` and `/api/config` of the web server: what everybody reads, what an admin changes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from ulid import ULID

from db.reads.entries import entries
from db.writes import dictionaries
from domain.commands import Command, sign_command
from domain.configuration import CONTACTS, HIDDEN
from domain.entry import Kind
from tests.db.factories import START
from tests.support.tokens import bearer, client_of
from tests.web.test_acks import running, settings_of

WAY = "treasury-eu:PENDING->REJECTED"


@pytest.fixture
async def web(seeded):
    """An approver's client of a real web server over the seeded database."""
    async for url in running(settings_of(seeded, authority="")):
        async with client_of(seeded, url, "alice") as client:
            yield client


def a_command(action="dictionary.set", **changes):
    """A command of the admin that sets a transition."""
    values = {
        "tenant": "acme",
        "actor": "adam",
        "action": action,
        "target": "acme" if action == "config.apply" else f"transition:{WAY}",
        "body": {"sla_hours": 6} if action == "dictionary.set" else {},
        "id": f"cm_{ULID()}",
        "issued_at": datetime.now(UTC),
    }
    return Command(**(values | changes))


async def send(web, seeded, command, path="/api/dictionaries/transition", key=None):
    """Sign a command and post it."""
    envelope = sign_command(command, key or seeded.keys[command.actor])
    return await web.post(path, content=envelope.model_dump_json(by_alias=True))


async def topic(web, seeded, code, body, action="dictionary.set"):
    """A command about a topic."""
    return await send(
        web, seeded, a_command(action, target=f"topic:{code}", body=body), "/api/dictionaries/topic"
    )


async def stored(seeded, kind=Kind.TRANSITION):
    """What the database holds."""
    async with seeded.database.transaction() as tx:
        return await entries(tx, "acme", kind)


async def used(seeded):
    """How many commands are used up."""
    async with seeded.database.transaction() as tx:
        return await tx.value(text("SELECT count(*) FROM signed_commands"))


def problem(answer, status, code):
    """The problem document."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code
    return answer.json()


@pytest.mark.parametrize("kind", list(Kind))
async def test_every_dictionary_is_read_without_contacts(web, seeded, kind):
    """Addresses and channels' settings are in no answer to an approver."""
    answer = await web.get(f"/api/dictionaries/{kind}", params={"tenant": "acme"})
    assert (answer.status_code, answer.json()["kind"]) == (200, kind)
    for fields in answer.json()["entries"].values():
        assert CONTACTS.isdisjoint(fields)
    assert "acme.example" not in answer.text
    assert "#mint" not in answer.text
    assert bool(answer.json()["entries"]) == (kind not in (Kind.CALENDAR, Kind.EVENT_RULE))


async def test_the_whole_is_read_without_contacts(web, seeded):
    """As the export has it, less what is nobody's business."""
    answer = await web.get("/api/config", params={"tenant": "acme"})
    document = answer.json()
    assert document["transitions"]["treasury-eu:PENDING->APPROVED"] == {"sla_hours": 12}
    assert document["users"]["alice"]["tier"] == 1
    assert "acme.example" not in answer.text
    assert "settings" not in answer.text


async def test_admins_read_contacts(web, seeded):
    """Whoever may change them; the same paths, another answer."""
    me = await bearer(seeded, "adam")
    users = (await web.get("/api/dictionaries/user", headers=me)).json()["entries"]
    assert users["alice"]["email"].endswith("acme.example")
    assert "acme.example" in (await web.get("/api/config", headers=me)).text


async def test_what_there_is_not_is_said(web, seeded):
    """An unknown dictionary or tenant."""
    for path, params in (
        ("/api/dictionaries/keys", {"tenant": "acme"}),
        ("/api/dictionaries/topic", {"tenant": "acne"}),
        ("/api/config", {"tenant": "acne"}),
    ):
        problem(await web.get(path, params=params), 404, "not_found")
    assert (await web.get("/api/dictionaries/topic")).json()["tenant"] == "acme"
    problem(await send(web, seeded, a_command(), "/api/dictionaries/keys"), 404, "not_found")


async def test_statuses_are_all_ten(web, seeded):
    """With what holds where the tenant says nothing."""
    found = (await web.get("/api/dictionaries/status", params={"tenant": "acme"})).json()["entries"]
    assert len(found) == 10
    assert found["ANOMALY"]["sla_hours"] == 4


async def test_an_entry_is_set_and_removed_by_an_admin(web, seeded):
    """By one signed command each; the answer has no contacts either."""
    made = await send(web, seeded, a_command())
    assert (made.status_code, made.json()) == (
        200, {"kind": "transition", "code": WAY, "fields": {"sla_hours": 6}, "warnings": []},
    )  # fmt: skip
    assert (await stored(seeded))[WAY] == {"sla_hours": 6}
    removed = await send(web, seeded, a_command("dictionary.remove"))
    assert removed.json() == {"kind": "transition", "code": WAY, "done": "removed"}
    assert WAY not in await stored(seeded)
    problem(await send(web, seeded, a_command("dictionary.remove")), 404, "not_found")
    closed = await topic(web, seeded, "treasury-us", {}, "dictionary.remove")
    assert closed.json()["done"] == "deactivated"
    user = a_command(target="user:erik", body={"email": "e@x.example"})
    assert "example" not in (await send(web, seeded, user, "/api/dictionaries/user")).text


async def test_wrong_fields_are_told_one_by_one(web, seeded):
    """The same messages as the CLI's, in `fields`; the command is unused, nothing is written."""
    command = a_command(target="transition:mars:PENDING->PENDING", body={"sla_hours": True, "x": 1})
    told = problem(await send(web, seeded, command), 400, "invalid_input")
    assert told["fields"].keys() == {"topic", "to", "sla_hours", "x"}
    assert all(words in told["detail"] for words in told["fields"].values())
    told = problem(await topic(web, seeded, "t", {"department": "none"}), 404, "not_found")
    assert told["fields"].keys() == {"department"}
    assert await used(seeded) == 0


@pytest.mark.parametrize(
    "body", [{"sla_hours": "4h"}, {"sla_hours": 1.5}, {"sla_hours": 0}, {"sla_hours": -1}]
)
async def test_hours_that_cannot_be_are_refused(web, seeded, body):
    """As everywhere."""
    told = problem(await send(web, seeded, a_command(body=body)), 400, "invalid_input")
    assert told["fields"].keys() == {"sla_hours"}


async def test_what_is_needed_stays(web, seeded):
    """A calendar that a topic counts by is refused, with the topic's name."""
    body = {"time_zone": "UTC", "hours": {}}
    path = "/api/dictionaries/calendar"
    assert (await send(web, seeded, a_command(target="calendar:c", body=body), path)).status_code == 200
    assert (await topic(web, seeded, "treasury-eu", {"calendar": "c"})).status_code == 200
    answer = await send(web, seeded, a_command("dictionary.remove", target="calendar:c"), path)
    assert "treasury-eu" in problem(answer, 409, "refused")["detail"]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"actor": "alice"}, 403, "not_entitled"),
        ({"actor": "lena"}, 403, "not_entitled"),
        ({"tenant": "other"}, 403, "unknown_actor"),
        ({"action": "policy.delete"}, 403, "wrong_action"),
        ({"action": "config.apply", "target": f"transition:{WAY}"}, 403, "wrong_action"),
        ({"target": "topic:treasury-eu"}, 403, "wrong_target"),
        ({"target": WAY}, 403, "wrong_target"),
        ({"issued_at": datetime.now(UTC) - timedelta(minutes=6)}, 403, "stale"),
    ],
)
async def test_a_command_that_is_not_for_this_is_refused(web, seeded, changes, status, reason):
    """Another person, tenant, action or dictionary, or an old one: nothing is written or used up."""
    answer = await send(web, seeded, a_command(**changes))
    assert problem(answer, status, "command_refused")["reason"] == reason
    assert WAY not in await stored(seeded)
    assert await used(seeded) == 0


async def test_a_forged_command_is_refused(web, seeded):
    """A stranger's key, another's key, garbage, no signature."""
    for key in (Ed25519PrivateKey.generate(), seeded.keys["alice"]):
        answer = await send(web, seeded, a_command(), key=key)
        assert problem(answer, 403, "command_refused")["reason"] == "bad_signature"
    for body in (b"", b"{}", b"\x00", json.dumps({"sla_hours": 4}).encode()):
        answer = await web.post("/api/dictionaries/transition", content=body)
        assert problem(answer, 400, "command_refused")["reason"] == "malformed"
        assert (await web.post("/api/config", content=body)).status_code == 400
    problem(await web.post("/api/config", content=b"x" * 70_000), 400, "invalid_input")
    assert WAY not in await stored(seeded)


async def test_who_is_no_admin_any_more_changes_nothing(web, seeded):
    """Deactivated, or without the role."""
    async with seeded.database.transaction() as tx:
        await dictionaries.deactivate_user(tx, tenant="acme", name="adam", actor="x", at=START)
    answer = await send(web, seeded, a_command())
    assert problem(answer, 403, "command_refused")["reason"] == "inactive_actor"


async def test_a_command_is_good_for_once(web, seeded):
    """Ten times at once: one effect, nine replays; what it set is not set again later."""
    command = a_command()
    answers = await asyncio.gather(*(send(web, seeded, command) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 9]
    await send(web, seeded, a_command(body={"sla_hours": 9}))
    assert problem(await send(web, seeded, command), 409, "command_refused")["reason"] == "replayed"
    assert (await stored(seeded))[WAY] == {"sla_hours": 9}


async def test_an_admin_of_another_tenant_changes_nothing_here(web, seeded):
    """The command's tenant is the only one that it reaches."""
    key = Ed25519PrivateKey.generate()
    who = {"tenant": "other", "actor": "setup", "at": START}
    async with seeded.database.transaction() as tx:
        await dictionaries.set_tenant(tx, **who, name="Other")
        await dictionaries.set_user(tx, **who, name="olga", roles=["admin"])
        await dictionaries.register_key(
            tx, **who, user="olga", public_key=key.public_key().public_bytes_raw()
        )
    theirs = {"tenant": "other", "actor": "olga"}
    answer = await send(web, seeded, a_command(**theirs), key=key)
    assert problem(answer, 404, "not_found")["fields"].keys() == {"topic"}
    answer = await send(web, seeded, a_command("config.apply", **theirs), "/api/config", key=key)
    assert problem(answer, 403, "command_refused")["reason"] == "wrong_target"
    tenant = a_command(**theirs, target="tenant:acme", body={"name": "Mine"})
    problem(await send(web, seeded, tenant, "/api/dictionaries/tenant", key=key), 404, "not_found")
    assert (await stored(seeded, Kind.TENANT))["acme"]["name"] == "Acme"


async def test_a_configuration_is_applied_after_a_dry_run_of_the_same_command(web, seeded):
    """The dry run leaves the command unused and writes nothing; contacts are hidden in both answers."""
    body = {
        "users": {"bob": {"email": "b@x.example", "max_load": 3}},
        "topics": {"asia": {"department": "treasury"}},
    }
    command = a_command("config.apply", body=body)
    before = await stored(seeded, Kind.USER)
    tried = await send(web, seeded, command, "/api/config?dry_run=true")
    assert tried.status_code == 200
    assert await stored(seeded, Kind.USER) == before
    assert await used(seeded) == 0
    applied = await send(web, seeded, command, "/api/config")
    assert {**applied.json(), "dry_run": True} == tried.json()
    changes = {change["path"]: change for change in applied.json()["changes"]}
    assert changes["users.bob.email"]["after"] == HIDDEN
    assert changes["users.bob.max_load"] == {"path": "users.bob.max_load", "before": None, "after": 3}
    assert (await stored(seeded, Kind.USER))["bob"]["email"] == "b@x.example"
    again = await send(web, seeded, command, "/api/config")
    assert problem(again, 409, "command_refused")["reason"] == "replayed"


async def test_a_configuration_that_cannot_be_is_told_by_path(web, seeded):
    """As in the CLI; nothing is written and the command is unused."""
    body = {"topics": {"asia": {"department": "none"}}, "userz": {}, "users": {"zoe": {"max_load": 0}}}
    answer = await send(web, seeded, a_command("config.apply", body=body), "/api/config")
    assert problem(answer, 400, "invalid_input")["fields"].keys() == {"userz"}
    del body["userz"]
    answer = await send(web, seeded, a_command("config.apply", body=body), "/api/config")
    assert problem(answer, 400, "invalid_input")["fields"].keys() == {
        "topics.asia.department", "users.zoe.max_load",
    }  # fmt: skip
    assert await used(seeded) == 0


async def test_the_api_describes_itself(web, seeded):
    """Every path has a description in the OpenAPI document."""
    paths = (await web.get("/openapi.json")).json()["paths"]
    for path in ("/api/dictionaries/{kind}", "/api/config"):
        for method in ("get", "post"):
            assert paths[path][method]["description"]
