"""The whole life, ledger included: real server, real database, sandbox ledger."""

from domain.approvals import Verdict
from domain.mint_request import MintStatus
from tests.support.anomalies import desk_loses_a_sequence, look

MAX_EVENTS = 40
MAX_BYTES = 24 * 1024


async def test_an_approved_request_is_confirmed_on_the_ledger_exactly_once(minting_desk):
    """From submission to a payment that carries the request's digest as its memo."""
    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit()
        assert (await desk.decide(ticket, "alice")).accepted
        result = await ticket.handle.result()
    assert result.status is MintStatus.CONFIRMED
    assert await desk.ledger.balance() == ticket.request.amount
    [payment] = await desk.ledger.payments()
    assert payment["transaction_hash"] == result.hash
    record = await desk.record(ticket)
    assert record.result.ledger == result.ledger
    assert record.submission.hash == result.hash


async def test_the_plain_path_stays_within_its_history_budget(minting_desk):
    """At most 40 events and 24 KiB (lifecycle.md)."""
    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        await desk.decide(ticket, "alice")
        await ticket.handle.result()
    history = await ticket.handle.fetch_history()
    assert len(history.events) <= MAX_EVENTS
    assert sum(event.ByteSize() for event in history.events) <= MAX_BYTES


async def test_nothing_secret_stands_in_the_history(minting_desk):
    """No seed and no private key ever reaches Temporal."""
    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        await ticket.handle.result()
    text = (await ticket.handle.fetch_history()).to_json()
    for account in (desk.ledger.issuer, *desk.ledger.channels):
        assert account.secret not in text
    assert "PRIVATE KEY" not in text


async def test_a_destination_that_is_not_ready_fails_before_anything_is_signed(minting_desk):
    """No account on the ledger: FAILED with the reason in plain words, and no submission stored."""
    from stellar_sdk import Keypair

    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit(destination=Keypair.random().public_key)
        await desk.decide(ticket, "alice")
        result = await ticket.handle.result()
    assert result.status is MintStatus.FAILED
    assert "does not exist" in result.reason
    assert (await desk.record(ticket)).submission is None


async def test_timers_and_attributes_read_well_in_the_web_ui(minting_desk):
    """Timer summary, static summary, current details and typed search attributes tell the story."""
    from workflows import search_attributes

    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        view = await desk.view(ticket)
        metadata = await ticket.handle.describe()
        assert await metadata.static_summary() == ticket.request.summary
        details = await _current_details(desk, ticket)
        assert "**PENDING**" in details
        assert "1 more approval" in details
        assert "reminder due" in details
        await desk.decide(ticket, "alice")
        await ticket.handle.result()
    described = await ticket.handle.describe()
    attributes = described.typed_search_attributes
    assert attributes[search_attributes.STATUS] == "CONFIRMED"
    assert attributes[search_attributes.TENANT] == "acme"
    assert attributes[search_attributes.AMOUNT] == 2500.0
    assert abs((attributes[search_attributes.EXPIRES_AT] - view.expires_at).total_seconds()) < 60
    history = await ticket.handle.fetch_history()
    summaries = [event.user_metadata.summary.data.decode() for event in history.events]
    assert '"reminder due"' in summaries


async def _current_details(desk, ticket):
    from temporalio.api.sdk.v1 import WorkflowMetadata

    metadata = await ticket.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


async def test_a_lost_workflow_goes_on_where_the_database_stands(minting_desk):
    """Deleted after one of two approvals and started again: the approval counts, the old deadline holds."""
    from starter.workflows import RequestWorkflows

    desk = minting_desk
    async with desk.worker():
        ticket = await desk.submit(amount=200_000_000_000)
        await desk.decide(ticket, "alice")
        before = await desk.record(ticket)
        await ticket.handle.terminate("lost")
        await RequestWorkflows(desk.client).restart(before)
        assert (await desk.view(ticket)).expires_at == before.expires_at
        assert (await desk.decide(ticket, "carol")).accepted
        result = await desk.client.get_workflow_handle(ticket.handle.id).result()
    assert result["status"] == "CONFIRMED"
    assert len(await desk.ledger.payments()) == 1


async def test_a_workflow_lost_while_submitting_never_mints_twice(minting_desk):
    """Terminated with an envelope under way and started again: the same envelope, one payment."""
    from starter.workflows import RequestWorkflows

    desk = minting_desk
    await desk.ledger.fault("ingestion_lag", ledgers=3)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        submitting = await desk.until_status(ticket, MintStatus.SUBMITTING)
        await ticket.handle.terminate("lost")
        await RequestWorkflows(desk.client).restart(submitting)
        await desk.ledger.clear_faults()
        again = desk.client.get_workflow_handle(ticket.handle.id)
        result = await again.result()
    assert result["status"] == "CONFIRMED"
    assert result["hash"] == submitting.submission.hash
    assert len(await desk.ledger.payments()) == 1


async def test_a_forged_start_with_terms_nobody_published_opens_nothing(minting_desk):
    """A workflow started by hand with a rule of its own fails, and no request exists."""
    import pytest
    from temporalio.client import WorkflowFailureError

    desk = minting_desk
    order = await desk.order(amount=200_000_000_000)
    weaker = order.model_copy(update={"rule": order.rule.model_copy(update={"approvals": 1})})
    async with desk.worker():
        ticket = await desk.start(weaker)
        with pytest.raises(WorkflowFailureError):
            await ticket.handle.result()
    assert await desk.record(ticket) is None
    assert await desk.ledger.payments() == []


async def test_an_anomaly_waits_for_a_signed_resolution(minting_desk):
    """Somebody else used the channel's sequence: frozen, and only an admin's signature ends it."""
    desk = minting_desk
    desk.window_seconds = 5
    async with desk.worker():
        ticket = await desk_loses_a_sequence(desk)
        refused = await desk.decide(ticket, "alice", Verdict.FAILED)
        assert (refused.accepted, refused.reason) == (False, "not_entitled")
        seen = (await look(desk, ticket)).evidence
        word = {"reason": "the key was used by hand", "evidence": seen}
        assert (await desk.decide(ticket, "adam", Verdict.FAILED, **word)).accepted
        result = await ticket.handle.result()
    assert (result.status, result.reason) == (MintStatus.FAILED, "the key was used by hand")
    assert result.ledger == seen.newest.sequence
    assert await desk.ledger.payments() == []


async def test_what_the_ledger_never_took_is_proved_and_not_assumed(minting_desk):
    """A submission that every node dropped ends TIMEOUT_FAILED with all three steps of the proof."""
    desk = minting_desk
    desk.window_seconds = 5
    await desk.ledger.fault("timeout_never_land", count=1000)
    async with desk.worker():
        ticket = await desk.submit()
        await desk.decide(ticket, "alice")
        result = await ticket.handle.result()
    assert result.status is MintStatus.TIMEOUT_FAILED
    proof = (await desk.record(ticket)).result.proof
    assert proof.ledger_closed_at.timestamp() > proof.max_time
    assert proof.absent_hashes == (result.hash,)
    assert proof.account_sequence < proof.transaction_sequence
    assert proof.account_ledger >= proof.ledger
    assert await desk.ledger.payments() == []
