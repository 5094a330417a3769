"""Deliveries and in-app messages by the CLI."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.notifications.outcome import Outcome
from activities.notifications.recorder import Recorder
from db.writes import deliveries
from domain.records import DeliveryState
from tests.cli.conftest import submit_arguments


async def test_messages_are_listed_and_a_dead_delivery_is_tried_again(desk, worker, seeded):
    """What went out to whom; only what is dead can be tried again, named by how its id begins."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        await desk("reject", request_id, "--as", "bob", "--reason", "wrong desk")
    listed = (await desk("deliveries", "list", "--request", request_id, "--json")).json["deliveries"]
    assert {"in-app", "slack-mint"} <= {delivery["channel"] for delivery in listed}
    # due an hour after everything was: claimed as the relay does, and given up
    async with seeded.database.transaction() as tx:
        later = datetime.now(UTC) + timedelta(hours=1)
        job = (await deliveries.claim_due(tx, limit=1, lease_seconds=60, now=later))[0]
        await deliveries.dead(tx, id=job.id, error="the address does not exist")
    dead = (await desk("deliveries", "list", "--state", "dead", "--json")).json["deliveries"]
    assert [(delivery["id"], delivery["error"]) for delivery in dead] == [
        (job.id, "the address does not exist")
    ]
    retried = await desk("deliveries", "retry", job.id[:12], "--json")
    assert (retried.code, retried.json["id"]) == (0, job.id)
    again = await desk("deliveries", "retry", job.id[:12], "--json")
    assert (again.code, again.error["code"]) == (1, "refused")
    states = {
        found["id"]: found["state"]
        for found in (await desk("deliveries", "list", "--json")).json["deliveries"]
    }
    assert states[job.id] == DeliveryState.PENDING
    messages = (await desk("notifications", "list", "--for", "rita", "--json")).json["notifications"]
    assert [message["request_id"] for message in messages] == [request_id]


def test_an_unknown_delivery_or_state_is_said(admin):
    """Nothing begins so; there is no such state."""
    missing = admin("deliveries", "retry", "ffff", "--json")
    assert (missing.code, missing.error["code"]) == (1, "not_found")
    odd = admin("deliveries", "list", "--state", "lost", "--json")
    assert (odd.code, odd.error["field"]) == (1, "state")
    assert "no messages for rita" in admin("notifications", "list", "--for", "rita").out


async def dead_delivery(seeded, error="the channel does not exist"):
    """A message to Slack that a relay has given up, with what was sent in its place."""
    async with seeded.database.transaction() as tx:
        later = datetime.now(UTC) + timedelta(hours=1)
        job = (await deliveries.claim_due(tx, limit=1, lease_seconds=60, now=later))[0]
    recorder = Recorder(seeded.database)
    recorder.add(Outcome(job, DeliveryState.DEAD, later, error))
    await recorder.flush()
    return job


async def test_what_was_given_up_and_what_went_instead_can_be_read_and_tried_again(desk, worker, seeded):
    """`list` filters and names the fallback, `show` has every attempt, `retry --all-dead` revives all."""
    async with worker():
        await desk(*submit_arguments())
    job = await dead_delivery(seeded)
    options = ("--channel", "email", "--recipient", "alice", "--json")
    [instead] = (await desk("deliveries", "list", *options)).json["deliveries"]
    assert instead["fallback_of"] == job.id
    assert instead["note"] == "fallback for #mint over slack-mint (the channel does not exist)"
    table = (await desk("deliveries", "list", "--state", "pending", COLUMNS="400")).out
    assert job.id[:12] in table
    assert "fallback for #mint" in table
    later = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    since = (await desk("deliveries", "list", "--since", later, "--json")).json["deliveries"]
    assert {one["recipient"] for one in since} == {"alice", "bob"}
    shown = (await desk("deliveries", "show", job.id[:12], "--json")).json
    assert [(one["attempt"], one["outcome"]) for one in shown["attempts"]] == [(1, "dead")]
    assert {(one["channel"], one["recipient"]) for one in shown["fallbacks"]} == {
        ("email", "alice"),
        ("email", "bob"),
    }
    assert (shown["state"], shown["receipts"]) == ("dead", [])
    assert "the channel does not exist" in (await desk("deliveries", "show", job.id)).out
    none = await desk("deliveries", "retry", "--all-dead", "--channel", "email", "--tenant", "acme", "--json")
    assert none.json["ids"] == []
    all_dead = await desk("deliveries", "retry", "--all-dead", "--tenant", "acme", "--json")
    assert all_dead.json["ids"] == [job.id]
    assert (await desk("deliveries", "show", job.id, "--json")).json["state"] == "pending"


@pytest.mark.parametrize("arguments", [(), ("abc", "--all-dead"), ("abc", "--channel", "email")])
def test_a_retry_names_one_or_says_all(admin, arguments):
    """Anything between is refused."""
    refused = admin("deliveries", "retry", *arguments, "--json")
    assert (refused.code, refused.error["code"]) == (1, "invalid_input")


def test_a_time_that_is_none_is_said(admin):
    """`--since` takes a moment."""
    assert admin("deliveries", "list", "--since", "yesterday", "--json").error["field"] == "since"


def test_channels_for_machines_are_set_with_references(admin):
    """Secrets stay out of the database, and a rate must be one."""
    options = ("--tenant", "acme", "--as", "adam", "--json")
    hook = ("channel", "set", "hook", "--kind", "webhook", "--setting", "url=https://hooks.example/x")
    plain = admin(*hook, "--setting", "secret=whsec_abc", *options)
    assert "must be a reference" in plain.error["message"]
    assert admin(*hook, "--setting", "secret=env:HOOK", *options).code == 0
    pager = ("channel", "set", "ops", "--kind", "pagerduty", "--setting", "severity=error")
    assert admin(*pager, "--setting", "per_minute=60", "--setting", "burst=x", *options).code == 1
    assert admin(*pager, "--setting", "per_minute=60", "--setting", "burst=5", *options).code == 0
    shown = admin("channel", "show", "ops", *options[:2], "--json").json
    assert shown["settings"] == {"severity": "error", "per_minute": 60, "burst": 5}
