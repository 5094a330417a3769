"""`mintkeeper escalation` and `event-rule`: what runs, who was told, and how to stop it."""

from tests.cli.conftest import submit_arguments

ACME = ("--tenant", "acme")


async def test_a_run_is_listed_shown_cancelled_and_resumed(desk, worker):
    """By the request's id or its track number; the answer of a cancel shows in the run and the request."""
    async with worker():
        asked = (await desk(*submit_arguments())).json
        [run] = (await desk("escalation", "list", "--tenant", "acme", "--json")).json["escalations"]
        assert (run["id"], run["event_kind"], run["state"]) == (asked["id"], "request.opened", "running")
        told = await desk(
            "escalation", "cancel", asked["id"], "--as", "adam", "--reason", "by phone", "--json"
        )
        assert (told.code, told.json["by"]) == (0, "adam")
        shown = (await desk("escalation", "show", asked["track_number"], "--json")).json
        assert (shown["state"], shown["ended_by"]) == ("cancelled", "adam")
        again = await desk("escalation", "cancel", asked["id"], "--as", "adam", "--reason", "twice", "--json")
        assert (again.code, again.error["message"]) == (1, "adam has cancelled it already")
        resumed = await desk("escalation", "resume", asked["id"], "--as", "alice", "--reason", "go on")
        assert "run again" in resumed.out
        request = (await desk("show", asked["id"], "--json")).json
    assert request["status"] == "PENDING"
    kinds = [entry["kind"] for entry in request["timeline"]]
    assert {"escalation.cancelled", "escalation.resumed"} <= set(kinds)


async def test_the_ledger_of_a_run_names_every_message(desk, worker):
    """Stages, messages with their attempts, and who acknowledged; as a page for people too."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        shown = (await desk("escalation", "show", request_id, "--json")).json
        page = await desk("escalation", "show", request_id)
    assert [stage["stage"] for stage in shown["stages"]] == [0]
    assert {message["channel"] for message in shown["deliveries"]} >= {"in-app", "slack-mint"}
    assert shown["acks"] == []
    assert "slack-mint" in page.out
    assert "nobody has acknowledged" in page.out


async def test_whoever_may_not_stops_nothing(desk, worker):
    """A requester is neither admin nor approver; garbage names no run."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        refused = await desk("escalation", "cancel", request_id, "--as", "rita", "--reason", "x", "--json")
        unknown = await desk("escalation", "cancel", "esc_1", "--as", "adam", "--reason", "x", "--json")
        empty = await desk("escalation", "cancel", request_id, "--as", "adam", "--reason", " ", "--json")
    assert (refused.code, refused.error["code"], refused.error["reason"]) == (
        1,
        "command_refused",
        "not_entitled",
    )
    assert (unknown.code, unknown.error["code"]) == (1, "not_found")
    assert "a reason is needed" in empty.error["message"]


def test_event_rules_are_set_shown_and_removed(admin):
    """A policy goes with `escalate` and only with it; without a rule the leads are informed."""
    assert "the leads are informed" in admin("event-rule", "list", *ACME).out
    policy = admin("policy", "list", *ACME, "--json").json["policies"][0]["id"]
    anomaly = ("request.anomaly",)
    done = admin("event-rule", "set", *anomaly, "--action", "escalate", "--policy", policy, *ACME, "--json")
    assert done.json["urgent"] is True
    assert admin("event-rule", "show", *anomaly, *ACME, "--json").json["policy_id"] == policy
    quiet = admin("event-rule", "set", *anomaly, "--action", "inform", "--not-urgent", *ACME, "--json")
    assert (quiet.json["policy_id"], quiet.json["urgent"]) == (None, False)
    assert admin("event-rule", "remove", *anomaly, *ACME).code == 0
    assert admin("event-rule", "remove", *anomaly, *ACME, "--json").error["code"] == "not_found"


def test_an_event_rule_that_can_not_be_is_refused(admin):
    """Unknown events, actions and policies, and a policy without `escalate`."""
    for arguments, code in (
        (("sun.set", "--action", "inform"), "invalid_input"),
        (("sla.overdue", "--action", "shout"), "invalid_input"),
        (("sla.overdue", "--action", "escalate"), "invalid_input"),
        (("sla.overdue", "--action", "inform", "--policy", "p"), "invalid_input"),
        (("sla.overdue", "--action", "escalate", "--policy", "nobody-published"), "not_found"),
    ):
        result = admin("event-rule", "set", *arguments, *ACME, "--json")
        assert (result.code, result.error["code"]) == (1, code), arguments
