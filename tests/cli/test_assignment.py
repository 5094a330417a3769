"""Assigning by the command line: by hand as ever, by the sweep, and what it would do and why."""

import asyncio
from datetime import UTC, datetime, timedelta

from typer.testing import CliRunner

from cli import app
from domain.steps import MAINTENANCE_QUEUE
from starter.temporal import worker_polls
from tests.cli.conftest import submit_arguments
from tests.db.factories import a_request, open_one
from tests.support.sweeping import away, claim, hire, one_pass, only, run
from worker import maintenance_worker

NOW = datetime.now(UTC)


async def opened(seeded, **changes):
    """A request that was asked for two hours ago."""
    await run(seeded.database, "UPDATE topics SET auto_assign_after_hours = 1")
    async with seeded.database.transaction() as tx:
        return (await open_one(tx, at=NOW - timedelta(hours=2), **changes)).request.id


async def test_assign_takes_a_request_as_its_first_word_as_ever(desk, worker):
    """With or without the verb, options before or after the id, by id or track number."""
    async with worker():
        request = (await desk(*submit_arguments())).json
        spellings = [
            ["assign", request["id"], "--to", "bob", "--as", "adam", "--json"],
            ["assign", "--json", "--to", "alice", "--as", "adam", request["track_number"]],
            ["assign", "request", request["id"], "--as", "adam", "--to", "bob", "--json"],
        ]
        for words, expected in zip(spellings, ("bob", "alice", "bob"), strict=True):
            done = await desk(*words)
            assert (done.code, done.json["assignee"]) == (0, expected), done.err
        shown = await desk("show", request["id"])
        document = (await desk("show", request["id"], "--json")).json
    assert "bob since" in shown.out
    assert (document["assigned_automatically"], document["unassigned_since"]) == (False, None)


def test_wrong_usage_of_assign_is_told_and_exits_2(in_process):
    """No verb, no id, an unknown option, an id without its options."""
    for words in (["assign"], ["assign", "mr_X"], ["assign", "--frobnicate"], ["assign", "explain"]):
        assert in_process(*words).code == 2, words
    shown = CliRunner().invoke(app, ["assign", "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(verb in shown.stdout for verb in ("run", "explain", "load", "--to USER"))


async def test_only_an_approver_can_be_given_a_request(desk, worker):
    """The refusal is one clear line with its code."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        stranger = await desk("assign", request_id, "--to", "adam", "--as", "adam", "--json")
        claimed = await desk("claim", request_id, "--as", "adam", "--json")
    assert (stranger.code, stranger.error["code"]) == (1, "invalid_input")
    assert "adam is no approver" in stranger.error["message"]
    assert claimed.error["code"] == "invalid_input"


async def test_a_sweep_on_demand_assigns_and_says_what_it_did(desk, seeded, temporal_server):
    """`assign run` waits for the report; a second one finds nothing to do."""
    await only(seeded.database, "alice", "rita")
    request_id = await opened(seeded)
    async with maintenance_worker(temporal_server.client, seeded.database), asyncio.timeout(60):
        while not await worker_polls(temporal_server.client, MAINTENANCE_QUEUE):
            await asyncio.sleep(0.05)
        first = await desk("assign", "run", "--json")
        again = await desk("assign", "run")
    assert first.code == 0, first.err
    assert (first.json["looked_at"], first.json["assigned"], first.json["missing"]) == (1, 1, 1)
    assert first.json["given"] == [{"request_id": request_id, "assignee": "alice"}]
    assert "nothing was assigned" in again.out
    shown = await desk("show", request_id)
    assert "by the sweep" in shown.out


async def test_a_sweep_without_temporal_is_one_clear_line(cli):
    """Exit code 1, nothing but the error."""
    done = await cli("assign", "run", "--json")
    assert (done.code, done.error["code"]) == (1, "unavailable")


async def test_explain_names_everybody_with_rank_or_reason(desk, seeded):
    """Who would get it first; the others with every reason, by id and by track number."""
    await hire(seeded.database, "abel", max_load=1)
    await away(seeded.database, "bob", NOW - timedelta(days=1), NOW + timedelta(days=1))
    busy = await opened(seeded)
    await claim(seeded.database, busy, "abel", NOW)
    request = a_request()
    request_id = await opened(seeded, request=request)
    document = (await desk("assign", "explain", request_id, "--json")).json
    assert document == (await desk("assign", "explain", request.track_number, "--json")).json
    assert (document["id"], document["would_get"], document["assignee"]) == (request_id, "alice", None)
    since, due_at = (datetime.fromisoformat(document[name]) for name in ("unassigned_since", "due_at"))
    assert due_at - since == timedelta(hours=1)
    places = {
        one["name"]: (one["rank"], [each["code"] for each in one["reasons"]]) for one in document["approvers"]
    }
    assert places == {
        "alice": (1, []),
        "abel": (None, ["at_max_load"]),
        "bob": (None, ["out_of_office"]),
        "carol": (None, ["tier_not_eligible"]),
        "dave": (None, ["tier_not_eligible"]),
    }
    shown = (await desk("assign", "explain", request_id)).out
    assert "would give it to alice" in shown
    assert "out of office until" in shown


async def test_explain_of_what_somebody_has_says_so(desk, seeded):
    """The sweep leaves it alone; the places are shown all the same."""
    request_id = await opened(seeded)
    await one_pass(seeded.database, NOW)
    swept = await desk("assign", "explain", request_id)
    assert "by the sweep; whoever claims it gets it" in swept.out
    await claim(seeded.database, request_id, "alice", NOW)
    held = await desk("assign", "explain", request_id)
    assert "with alice, by a person" in held.out
    assert "the sweep leaves it alone" in held.out
    assert (await desk("assign", "explain", "mr_X", "--json")).error["code"] == "not_found"


async def test_explain_when_nobody_fits(desk, seeded):
    """It says that nobody is found, and why each can't."""
    await only(seeded.database, "rita")
    shown = await desk("assign", "explain", await opened(seeded))
    assert "would find nobody" in shown.out
    assert "is not active" in shown.out


async def test_load_shows_open_requests_and_limits(desk, seeded):
    """The fullest first, a bar each, limits and absences; an unknown tenant is no empty list."""
    await only(seeded.database, "alice", "carol", "rita")
    await hire(seeded.database, "abel", max_load=3)
    await away(seeded.database, "carol", NOW - timedelta(days=1), NOW + timedelta(days=1))
    for _ in range(2):
        await claim(seeded.database, await opened(seeded), "abel", NOW)
    loads = (await desk("assign", "load", "--tenant", "acme", "--json")).json["approvers"]
    assert [(one["name"], one["open_requests"], one["max_load"]) for one in loads] == [
        ("abel", 2, 3),
        ("alice", 0, None),
        ("carol", 0, None),
    ]
    assert loads[2]["absent_until"]
    shown = (await desk("assign", "load", "--tenant", "acme")).out
    assert "2 of 3" in shown
    assert "█" in shown
    assert (await desk("assign", "load", "--tenant", "nobody", "--json")).error["code"] == "not_found"
