"""Creating and topping up as workflows: one at a time, told how far, and ended with a clear line."""

import asyncio

import pytest
import pytest_asyncio
from stellar_sdk import Asset as LedgerAsset
from stellar_sdk import Keypair, Payment
from temporalio.client import WorkflowFailureError

from domain.amounts import STROOPS_PER_UNIT
from domain.channel_accounts import (
    CREATE_WORKFLOW,
    FUNDING_ID,
    ChannelState,
    CreateOrder,
    Progress,
    TopUpOrder,
)
from domain.errors import Refused, Unavailable
from domain.steps import MAINTENANCE_QUEUE
from starter.channel_accounts import create_channels, look_at_channels, top_up_channels
from tests.support.channels import crew_of, family_on


@pytest_asyncio.fixture(loop_scope="session")
async def family(seeded):
    """A funded family on a ledger that closes as soon as something waits."""
    async with family_on(seeded, interval=0) as running:
        yield running


@pytest.fixture
def client(temporal_server):
    """A client of the real server."""
    return temporal_server.client


async def test_created_accounts_are_reported_with_progress(family, client):
    """The report names every account; whoever watches sees the count grow to the whole."""
    seen: list[Progress] = []
    async with crew_of(family, client):
        report = await create_channels(client, CreateOrder(count=20), show=seen.append)
    assert [key.index for key in report.channels] == list(range(20))
    assert set((await family.states()).values()) == {ChannelState.FREE}
    assert all(said.done <= said.total == 20 for said in seen if said.total)


async def test_two_orders_at_once_wait_for_each_other(family, client):
    """The funding account's sequence has one user: both succeed, the second after the first."""
    told: list[str] = []
    async with crew_of(family, client):
        orders = [CreateOrder(count=3), CreateOrder(count=2)]
        reports = await asyncio.gather(
            *(create_channels(client, order, tell=told.append) for order in orders)
        )
    made = sorted(key.index for report in reports for key in report.channels)
    assert made == list(range(5))
    assert any(FUNDING_ID in line for line in told)


async def test_a_funding_account_that_runs_dry_says_what_is_left(family, client):
    """What is made stays; the line says what to fund and which command makes the rest."""
    rich = 300 * STROOPS_PER_UNIT
    async with crew_of(family, client):
        with pytest.raises(Refused, match=r"fund it with at least.*\(19 of 40.*channels create 21"):
            await create_channels(client, CreateOrder(count=40, balance=rich))
        await family.ledger.pay(family.ledger.holder, family.funder, "9000")
        report = await create_channels(client, CreateOrder(count=21))
    assert [key.index for key in report.channels] == list(range(19, 40))
    assert len(await family.states()) == 40


async def test_a_run_that_was_ended_by_hand_is_taken_up(family, client):
    """Terminated at any moment in the Web UI: asking again makes the same accounts, none twice."""
    async with crew_of(family, client):
        handle = await client.start_workflow(
            CREATE_WORKFLOW, CreateOrder(count=25), id=FUNDING_ID, task_queue=MAINTENANCE_QUEUE
        )
        async with asyncio.timeout(30):
            while not await family.channels():
                await asyncio.sleep(0.01)
        await handle.terminate("by hand")
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        made = sum(state is ChannelState.FREE for state in (await family.states()).values())
        await create_channels(client, CreateOrder(count=25 - made))
    assert await family.states() == dict.fromkeys(range(25), ChannelState.FREE)
    assert (await family.on_ledger(family.funder.public_key))["num_sponsoring"] == 50


async def test_topping_up_reports_what_was_paid(family, client):
    """To the mark, and nothing the second time."""
    order = TopUpOrder()
    async with crew_of(family, client):
        await create_channels(client, CreateOrder(count=2))
        key = Keypair.from_mnemonic_phrase(family.phrase, index=0)
        gift = Payment(family.ledger.holder.public_key, LedgerAsset.native(), "4")
        await family.ledger.run(key, gift)
        report = await top_up_channels(client, order)
        again = await top_up_channels(client, order)
        live = await look_at_channels(client)
    assert [payment.account for payment in report.payments] == [key.public_key]
    assert again.payments == ()
    assert {account.balance for account in live.channels} == {order.to}


async def test_without_a_worker_nothing_is_started(client):
    """The line names the queue that nobody serves."""
    with pytest.raises(Unavailable, match="nobody serves the queue"):
        await _on_a_fresh_namespace(client)


async def _on_a_fresh_namespace(client):
    """Other tests' workers have polled the queues of the usual namespace a moment ago."""
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
    from temporalio.client import Client
    from temporalio.contrib.pydantic import pydantic_data_converter
    from ulid import ULID

    name = f"empty-{ULID()}"
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        ),
        retry=True,
    )
    address = client.service_client.config.target_host
    other = await Client.connect(address, namespace=name, data_converter=pydantic_data_converter)
    async with asyncio.timeout(30):
        while True:
            try:
                return await create_channels(other, CreateOrder(count=1))
            except Exception as error:
                # a new namespace is known to the frontend only after a while
                if "not found" not in str(error).lower():
                    raise
                await asyncio.sleep(0.2)


async def test_trouble_that_passes_is_told_and_waited_for(family, client):
    """Horizon is away for a while: whoever waits hears why, and gets the accounts in the end."""
    told: list[str] = []
    await family.ledger.fault("unavailable", count=3)
    async with crew_of(family, client):
        report = await create_channels(client, CreateOrder(count=1), tell=told.append)
    assert len(report.channels) == 1
    assert any("answered 503" in line for line in told), told
