"""`mintkeeper deliveries revoke`: a leaked link is worthless everywhere, and the audit says who did it."""

from sqlalchemy import text

from domain.ack import AckOutcome
from domain.mint_request import workflow_id
from tests.cli.conftest import submit_arguments
from tests.cli.test_acks import authority as authority
from tests.cli.test_acks import worker as worker
from tests.support.acks import claim_for, envelope_for, token_for


async def events(seeded, kind):
    """The audit's events of a kind: who."""
    async with seeded.database.transaction() as tx:
        found = await tx.execute(text("SELECT actor FROM audit_events WHERE kind = :kind"), {"kind": kind})
        return list(found.scalars())


async def test_a_revoked_link_is_worthless_to_everybody(desk, worker, seeded, authority, temporal_server):
    """By CLI with the key and without, and told to the workflow past all checks; other links work."""
    async with worker():
        request_id = (await desk(*submit_arguments())).json["id"]
        token = await token_for(seeded.database, request_id)
        delivery = (await claim_for(seeded.database, request_id)).delivery_id
        for _ in range(2):
            revoked = await desk("deliveries", "revoke", delivery[:16], "--as", "adam", "--json")
            assert (revoked.code, revoked.json) == (0, {"id": delivery, "ack_revoked": True})
        for environment in (authority, {}):
            refused = await desk("ack", token, "--json", **environment)
            assert (refused.code, refused.error["reason"]) == (1, "revoked")
            assert "was revoked" in refused.error["message"]
        handle = temporal_server.client.get_workflow_handle(workflow_id(request_id))
        envelope = await envelope_for(seeded.database, request_id)
        said = await handle.execute_update("acknowledge", envelope, result_type=AckOutcome)
        assert (said.receipt, said.reason) == (None, "revoked")
        other = await desk("ack", await token_for(seeded.database, request_id, recipient="alice"), "--json")
        assert (other.code, other.json["acknowledged_by"]) == (0, "alice")
    assert await events(seeded, "ack.revoked") == ["adam"]


def test_a_delivery_that_nobody_knows_is_said(admin):
    """Nothing begins so."""
    missing = admin("deliveries", "revoke", "ffff", "--json")
    assert (missing.code, missing.error["code"]) == (1, "not_found")
