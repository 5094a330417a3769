"""Connecting to Temporal: one function for client, worker and tools, so that they can't differ.

Address, namespace, TLS and API key come from Temporal's own environment configuration
(`TEMPORAL_*`, `temporal.toml`), unless a local stack says where its server is.

A server ends every connection after five minutes (`frontend.keepAliveMaxConnectionAge`), and a call that
begins just then is cancelled. The SDK's own methods repeat it; plain calls do so only with `retry=True`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ConfigurationError, Unavailable
from domain.steps import MINT_QUEUE, STELLAR_QUEUE
from workflows.search_attributes import ALL

CONNECT_SECONDS = 5.0
DEFAULT_ADDRESS = "localhost:7233"
POLL_SECONDS = 75.0
"""A worker's poll lasts up to 60 s; one that has not asked for longer than this is gone."""

_TASKS = {STELLAR_QUEUE: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY}
"""Queues without workflows; their workers never ask for workflow tasks."""

_GONE = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)


async def connect(*, address: str = "", namespace: str = "") -> Client:
    """Connect to the given server, else to the one that Temporal's environment names.

    With an address nothing is taken from the environment, so that a profile's TLS or API key
    can't leak to a local server. Raises Unavailable, or ConfigurationError for a broken profile.
    """
    if address:
        config = ClientConnectConfig(target_host=address)
    else:
        try:
            config = ClientConfig.load_client_connect_config()
        except (RuntimeError, ValueError, KeyError) as error:
            raise ConfigurationError(f"Temporal's environment configuration is not valid: {error}") from error
    if namespace:
        config["namespace"] = namespace
    target = config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await Client.connect(**config, data_converter=pydantic_data_converter)
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise unreachable(target) from error


@asynccontextmanager
async def reachable(client: Client) -> AsyncIterator[Client]:
    """Use the client; a server that went away meanwhile, or lets us in no further, raises Unavailable."""
    address = client.service_client.config.target_host
    try:
        yield client
    except RPCError as error:
        if error.status in _GONE:
            raise unreachable(address) from error
        raise Unavailable(f"mintkeeper: Temporal at {address} refused: {error.message}") from error


def unreachable(address: str) -> Unavailable:
    """The error of a Temporal server that does not answer."""
    return Unavailable(f"mintkeeper: cannot reach Temporal at {address}: start it with 'mintkeeper up'")


async def worker_polls(client: Client, queue: str = MINT_QUEUE) -> bool:
    """Tell whether a worker has asked for tasks of `queue` lately; raises RPCError."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=_TASKS.get(queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
        ),
        retry=True,
    )
    oldest = datetime.now(UTC) - timedelta(seconds=POLL_SECONDS)
    return any(poller.last_access_time.ToDatetime(tzinfo=UTC) >= oldest for poller in answer.pollers)


async def missing_search_attributes(client: Client) -> list[str]:
    """Names of our search attributes that the namespace lacks; raises RPCError."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), retry=True
    )
    return [key.name for key in ALL if key.name not in answer.custom_attributes]


async def register_search_attributes(client: Client) -> list[str]:
    """Register what the namespace lacks, and answer which; raises RPCError."""
    missing = set(await missing_search_attributes(client))
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    key.name: IndexedValueType.ValueType(int(key.indexed_value_type))
                    for key in ALL
                    if key.name in missing
                },
            ),
            retry=True,
        )
    return sorted(missing)
