"""Workflows started by hand with forged input: they open nothing, and move nothing that is open."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy

from domain.errors import MintkeeperError
from domain.mint_request import MintStatus, workflow_id
from domain.steps import MINT_QUEUE
from starter.failures import domain_error
from tests.support.desk import PATIENCE, Ticket

HOUR = timedelta(hours=1)


async def start_raw(desk, order, id_=None):
    """Start the workflow as anybody with access to the namespace can."""
    return await desk.client.start_workflow(
        "MintRequest",
        order,
        id=id_ or workflow_id(order.request.id),
        task_queue=MINT_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )


async def refusal(handle) -> MintkeeperError:
    """Why the workflow failed."""
    with pytest.raises(WorkflowFailureError) as failed:
        async with asyncio.timeout(PATIENCE):
            await handle.result()
    return domain_error(failed.value.cause)


async def test_a_workflow_under_another_id_can_not_take_a_request_over(desk, pending):
    """The workflow `mint-<request id>` is the only arbiter of its request."""
    order = await desk.order(id=pending.id)
    handle = await start_raw(desk, order, "mint-" + "mr_" + "Z" * 26)
    assert (await refusal(handle)).code == "refused"
    assert await desk.kinds(pending) == ["request.opened", "stage.opened"]


@pytest.mark.parametrize("hours", [-13, 13])
async def test_a_lost_workflow_can_not_be_restarted_with_another_age(desk, pending, hours):
    """A forged `created_at` would grant tiers early, or put the expiry off: the recorded one holds."""
    before = await desk.record(pending)
    await pending.handle.terminate("lost")
    order = await desk.order(id=pending.id, created_at=before.created_at + hours * HOUR)
    handle = await start_raw(desk, order)
    assert (await refusal(handle)).code == "idempotency_conflict"
    assert await desk.record(pending) == before


async def test_a_lost_workflow_can_not_be_restarted_under_a_faster_clock(desk, pending):
    """A forged SLA scale would expire the request at once, or grant tier 3 within seconds."""
    before = await desk.record(pending)
    await pending.handle.terminate("lost")
    order = await desk.order(id=pending.id, created_at=before.created_at, sla_scale=40_000)
    handle = await start_raw(desk, order)
    assert (await refusal(handle)).code == "idempotency_conflict"
    assert await desk.record(pending) == before


async def test_a_lost_workflow_can_not_be_restarted_with_a_weaker_rule(desk):
    """The rule that counts is the one the request was opened with."""
    async with desk.worker():
        ticket = await desk.submit(amount=200_000_000_000)
        before = await desk.until_status(ticket, MintStatus.PENDING)
        await ticket.handle.terminate("lost")
        order = await desk.order(id=ticket.id, amount=200_000_000_000, created_at=before.created_at)
        weaker = order.model_copy(update={"rule": order.rule.model_copy(update={"approvals": 1})})
        handle = await start_raw(desk, weaker)
        assert (await refusal(handle)).code == "idempotency_conflict"
    assert await desk.record(ticket) == before


async def test_a_request_can_not_be_born_in_the_future(desk):
    """Its deadline would be as far away as its author likes."""
    async with desk.worker():
        ticket = await desk.start(await desk.order(created_at=datetime.now(UTC) + 1000 * HOUR))
        record = await desk.until_status(ticket, MintStatus.PENDING)
        assert record.expires_at < datetime.now(UTC) + 25 * HOUR
        assert (await desk.view(ticket)).expires_at == record.expires_at


@pytest.mark.parametrize(
    "change", [{"amount": 1}, {"memo": "mine"}, {"tenant": "other"}, {"requester": "alice"}]
)
async def test_the_id_of_an_open_request_never_carries_other_content(desk, pending, change):
    """Restarted with an edited amount, memo, tenant or requester it is refused; the record stays."""
    before = await desk.record(pending)
    await pending.handle.terminate("lost")
    order = await desk.order(id=pending.id, created_at=before.created_at)
    edited = order.model_copy(update={"request": order.request.model_copy(update=change)})
    handle = await start_raw(desk, edited)
    assert (await refusal(handle)).code == "idempotency_conflict"
    assert await desk.record(pending) == before


UNPUBLISHED = {
    "a policy nobody published": lambda o: {"policy": o.policy.model_copy(update={"id": "mine"})},
    "a published policy, edited": lambda o: {
        "policy": o.policy.model_copy(update={"auto_close_minutes": 90_000})
    },
    "a rule of its own": lambda o: {"rule": o.rule.model_copy(update={"min_tier": 3})},
    "no cap": lambda o: {"rule": o.rule.model_copy(update={"position": 99})},
    "a destination that is no account": lambda o: {
        "request": o.request.model_copy(update={"destination": "G" + "A" * 55})
    },
    "the issuer as destination": lambda o: {
        "request": o.request.model_copy(update={"destination": o.request.asset.issuer})
    },
    "an unknown topic": lambda o: {"request": o.request.model_copy(update={"topic": "nowhere"})},
    "an unknown requester": lambda o: {"request": o.request.model_copy(update={"requester": "Rita"})},
    "a parent that does not exist": lambda o: {
        "request": o.request.model_copy(update={"resubmission_of": "mr_" + "Z" * 26})
    },
    "a scale below one": lambda o: {"sla_scale": -5},
    "a scale of nothing": lambda o: {"sla_scale": 0},
}


@pytest.mark.parametrize("forge", UNPUBLISHED.values(), ids=UNPUBLISHED)
async def test_terms_that_nobody_published_open_nothing(desk, forge):
    """The workflow fails and no request exists, whatever starts it."""
    order = await desk.order()
    async with desk.worker():
        handle = await start_raw(desk, order.model_copy(update=forge(order)))
        await refusal(handle)
    assert await desk.record(Ticket(order.request, handle)) is None


async def test_a_pending_request_can_not_be_re_submitted(desk, pending):
    """Not even by a raw start: only an end without a mint frees the content for a new request."""
    again = await desk.start(await desk.order(resubmission_of=pending.id))
    assert "only a request that ended without a mint" in (await refusal(again.handle)).message
    assert await desk.record(again) is None
