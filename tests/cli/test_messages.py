"""Deliveries and in-app messages by the CLI."""

from datetime import UTC, datetime, timedelta

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
