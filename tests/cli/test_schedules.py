"""`schedules` as operators use it: applied, listed, paused, resumed, run."""

import pytest

from tests.support.schedules import forget_schedules

IDS = [
    "audit-pending",
    "sla-check",
    "auto-assign-unclaimed",
    "cleanup-expired-otps",
    "cleanup-stale-uploads",
]


@pytest.fixture
async def schedules(cli, temporal_server):
    """The CLI with a Temporal server; the schedules are gone after the test, and what they started."""
    client = temporal_server.client
    address = client.service_client.config.target_host

    async def run(*arguments, **environment):
        return await cli("schedules", *arguments, TEMPORAL_ADDRESS=address, **environment)

    await forget_schedules(client)
    yield run
    await forget_schedules(client)


async def test_the_list_is_complete_before_and_after_apply(schedules):
    """What is missing is shown with what to do; what is there with a link, for people and machines."""
    before = (await schedules("list", "--json")).json["schedules"]
    assert [(line["id"], line["missing"]) for line in before] == [(id_, True) for id_ in IDS]
    assert "missing: run 'mintkeeper schedules apply'" in (await schedules("list")).out
    assert (await schedules("apply")).code == 0
    web_ui = {"MINTKEEPER_TEMPORAL_UI_URL": "http://127.0.0.1:8233/"}
    listed = await schedules("list", "--json", **web_ui)
    [audit, *_] = listed.json["schedules"]
    assert audit["url"] == "http://127.0.0.1:8233/namespaces/default/schedules/audit-pending"
    assert (audit["every"], audit["paused"], audit["missing"]) == ("30 min", False, False)
    assert audit["outcome"]["state"] in ("none yet", "running")
    shown = (await schedules("list", **web_ui)).out
    assert all(f"/schedules/{id_}" in shown for id_ in IDS)


async def test_pause_resume_and_run(schedules):
    """Each answers in one line; the reason of a pause is in the list."""
    await schedules("apply")
    assert (await schedules("pause", "sla-check", "--reason", "provider down")).out == "sla-check is paused\n"
    [line] = [
        one for one in (await schedules("list", "--json")).json["schedules"] if one["id"] == "sla-check"
    ]
    assert (line["paused"], line["note"], line["next_run"]) == (True, "provider down", None)
    assert (await schedules("resume", "sla-check", "--json")).json == {"id": "sla-check", "paused": False}
    await schedules("pause", "cleanup-stale-uploads")
    started = await schedules("run", "cleanup-stale-uploads", "--json")
    assert started.json["started"] is True


@pytest.mark.parametrize("verb", ["pause", "resume", "run"])
async def test_an_unknown_schedule_is_refused_in_one_line(schedules, verb):
    """With the names that there are."""
    result = await schedules(verb, "nonsense", "--json")
    assert (result.code, result.error["code"]) == (1, "not_found")
    assert all(id_ in result.error["message"] for id_ in IDS)


async def test_without_a_server_every_one_says_so(cli):
    """Temporal is down: one line with what to do."""
    for arguments in (("list",), ("apply",), ("run", "sla-check")):
        result = await cli("schedules", *arguments, "--json")
        assert (result.code, result.error["code"]) == (1, "unavailable")
