"""Submitting and following requests with the real CLI, database, Temporal server and worker."""

import asyncio
from datetime import datetime, timedelta

from domain.mint_request import request_id_for_key, workflow_id
from tests.cli.conftest import ROOT, submit_arguments, write_stack

SHOWN = {
    *("id", "track_number", "status", "asset", "amount", "destination", "requester", "topic", "tenant"),
    *("assignee", "created_at", "expires_at", "approvals", "eligible_tiers", "escalation_level"),
    *("next_timer", "submission", "resubmission_of", "resubmitted_as", "timeline", "digest"),
}


async def test_a_submission_is_answered_shown_and_listed(desk, worker):
    """What `submit` answers is what `show` and `list` find, with every promised key."""
    async with worker():
        submitted = await desk(*submit_arguments())
        assert submitted.code == 0, submitted.err
        receipt = submitted.json
        assert receipt["status"] == "PENDING"
        assert receipt["opened"] is True
        assert receipt["workflow_id"] == workflow_id(receipt["id"])
        shown, by_number, listed = await asyncio.gather(
            desk("show", receipt["id"], "--json"),
            desk("show", receipt["track_number"].lower(), "--json"),
            desk("list", "--mine", "alice", "--json"),
        )
    document = shown.json
    assert set(document) >= SHOWN
    assert document["amount"] == "2500.0000000"
    assert document["eligible_tiers"] == [1]
    assert document["next_timer"]["name"] == "reminder due"
    assert document["submission"] is None
    assert document["timeline"][0]["kind"] == "request.opened"
    assert by_number.json["id"] == receipt["id"]
    assert [request["id"] for request in listed.json["requests"]] == [receipt["id"]]


async def test_a_name_that_nobody_has_is_no_empty_list(desk):
    """A typing mistake must not hide work: who or what is unknown is said."""
    tenant, user, chain = await asyncio.gather(
        desk("list", "--tenant", "amce", "--json"),
        desk("list", "--mine", "alise", "--json"),
        desk("audit", "verify", "--tenant", "amce", "--json"),
    )
    assert [result.code for result in (tenant, user, chain)] == [1, 1, 1]
    assert "there are acme" in tenant.error["message"]
    assert "mintkeeper user list" in user.error["message"]
    assert "there are acme" in chain.error["message"]


async def test_a_deadline_travels_with_a_resubmission(desk, worker):
    """It was part of what approvers signed; only the requester's word changes it, never into the past."""
    deadline = "2099-12-01T17:00:00Z"
    async with worker():
        first = await desk(*submit_arguments(), "--deadline", deadline)
        await desk("cancel", first.json["id"], "--as", "rita", "--json")
        again = await desk("resubmit", first.json["id"], "--as", "rita", "--json")
        await desk("cancel", again.json["id"], "--as", "rita", "--json")
        late = await desk(
            "resubmit", again.json["id"], "--as", "rita", "--deadline", "2020-01-01T00:00:00Z", "--json"
        )
        past = await desk(*submit_arguments(), "--deadline", "2020-12-01T17:00:00Z")
        shown = await desk("show", again.json["id"])
    assert again.code == 0, again.err
    assert "2099-12-01T17:00:00Z" in shown.out
    for refused in (late, past):
        assert (refused.code, refused.error["field"]) == (1, "deadline")
        assert "--deadline" in refused.error["message"]


async def test_people_see_who_is_awaited_and_when_time_runs_out(desk, worker):
    """`show` and `list` without --json carry the facts, and a link where a Web UI is configured."""
    async with worker():
        receipt = (await desk(*submit_arguments())).json
        shown = await desk("show", receipt["id"], MINTKEEPER_TEMPORAL_UI_URL="http://127.0.0.1:8233")
        listed = await desk("list")
    for words in ("2500.0000000", "1 more approval", "reminder due in 3 h 59 min", receipt["track_number"]):
        assert words in shown.out
    assert f"http://127.0.0.1:8233/namespaces/default/workflows/{receipt['workflow_id']}" in shown.out
    assert receipt["id"] in listed.out
    assert "in 23 h 59 min" in listed.out


async def test_one_key_is_one_request(desk, worker):
    """The same key with the same content answers the first request; with other content it is refused."""
    async with worker():
        first = await desk(*submit_arguments(key="invoice-7"))
        again = await desk(*submit_arguments(key="invoice-7"))
        other = await desk(*submit_arguments(key="invoice-7", amount="2501"))
    assert first.json["id"] == again.json["id"] == request_id_for_key("acme", "invoice-7")
    assert (other.code, other.error["code"]) == (1, "idempotency_conflict")


async def test_a_key_is_taken_before_the_request_is_written(desk, worker):
    """A request that was started while no worker ran holds its key; nothing is lost, and it opens later."""
    first = await desk(*submit_arguments(key="invoice-8"))
    again = await desk(*submit_arguments(key="invoice-8"))
    other = await desk(*submit_arguments(key="invoice-8", amount="2501"))
    assert first.json["id"] == again.json["id"]
    assert (first.json["status"], first.json["opened"]) == ("PENDING", False)
    assert (other.code, other.error["code"]) == (1, "idempotency_conflict")
    async with worker():
        opened = await desk(*submit_arguments(key="invoice-8"))
    assert (opened.json["id"], opened.json["opened"]) == (first.json["id"], True)


async def test_without_a_worker_the_submitter_is_told(desk):
    """Accepted and durable is not the same as opened."""
    arguments = [argument for argument in submit_arguments() if argument != "--json"]
    result = await desk(*arguments)
    assert result.code == 0
    assert "it will be opened when a worker runs" in result.out


async def test_unknown_names_are_refused_before_anything_starts(desk):
    """Tenant, topic and user must exist; the message says what there is."""
    tenant, topic, user = await asyncio.gather(
        desk(*submit_arguments(tenant="nobody")),
        desk(*submit_arguments(topic="treasury-mars")),
        desk(*submit_arguments(requester="mallory")),
    )
    for result, words in ((tenant, "unknown tenant"), (topic, "unknown topic"), (user, "unknown user")):
        assert (result.code, result.error["code"]) == (1, "not_found")
        assert words in result.error["message"]
    assert "treasury-eu" in topic.error["message"]


async def test_a_mint_that_no_rule_allows_is_refused(desk):
    """The last rule denies."""
    result = await desk(*submit_arguments(amount="1000000.0000001"))
    assert (result.code, result.error["code"]) == (1, "refused")
    assert "no approval rule" in result.error["message"]


async def test_a_file_with_bad_rows(desk, worker, tmp_path):
    """The good rows go through, each bad one is reported with its line, and the exit code says so."""
    file = tmp_path / "requests.csv"
    file.write_text(
        "amount,memo,topic\n"
        "10,first,\n"
        "1e5,second,\n"
        '20,"two\nlines",\n'
        "\n"
        "30,unknown desk,treasury-mars\n"
        "40\n"
        "50,last,treasury-us\n"
    )
    arguments = [argument for argument in submit_arguments() if not argument.startswith("--amount")]
    async with worker():
        result = await desk(*arguments, "--file", str(file))
        listed = await desk("list", "--json")
    assert result.code == 1
    rows = {row["line"]: row for row in result.json["results"]}
    assert {line for line, row in rows.items() if "error" not in row} == {2, 4, 9}
    assert {line: row["error"]["code"] for line, row in rows.items() if "error" in row} == {
        3: "invalid_input",
        7: "not_found",
        8: "invalid_input",
    }
    assert (result.json["submitted"], result.json["refused"]) == (3, 3)
    assert result.error == {"code": "rows_refused", "message": "3 of 6 rows were refused: lines 3, 7, 8"}
    assert {request["amount"] for request in listed.json["requests"]} == {
        "10.0000000",
        "20.0000000",
        "50.0000000",
    }


async def test_what_does_not_exist_is_not_found(desk):
    """An id, a track number or a state that does not exist gets its own clear line."""
    by_id, by_number, by_state = await asyncio.gather(
        desk("show", "mr_" + "0" * 26, "--json"),
        desk("show", "MK-AAAAAAAAAA", "--json"),
        desk("list", "--status", "LOST", "--json"),
    )
    assert by_id.error["code"] == by_number.error["code"] == "not_found"
    assert (by_state.error["code"], by_state.error["field"]) == ("invalid_input", "status")


async def test_a_local_stack_fills_in_its_demo_tenant(desk, worker, tmp_path):
    """With a running stack, tenant, asset and destination may be left out, and its addresses count."""
    write_stack(
        tmp_path,
        temporal_address=desk.environment["TEMPORAL_ADDRESS"],
        database_url=desk.environment["MINTKEEPER_DATABASE_URL"],
        sla_scale=1000,
    )
    async with worker():
        result = await desk(
            "submit", "--amount=5", "--topic=treasury-eu", "--requester=rita", "--json",
            MINTKEEPER_DATABASE_URL="", TEMPORAL_ADDRESS="127.0.0.1:9", MINTKEEPER_NETWORK_PASSPHRASE="",
        )  # fmt: skip
        assert result.code == 0, result.err
        shown = (await desk("show", result.json["id"], "--json")).json
        example = await desk("submit", "--file", str(ROOT / "examples" / "mint_requests.csv"), "--json")
    assert (example.code, example.json["submitted"]) == (0, 6)
    assert shown["tenant"] == "acme"
    assert shown["asset"].startswith("EURT:")
    lifetime = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    # 24 h divided by the stack's scale, and whole seconds
    assert timedelta(seconds=85) < lifetime < timedelta(seconds=88)
