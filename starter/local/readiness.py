"""Whether a part really serves: asked over its own protocol, not guessed from an open port."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from domain.steps import MAINTENANCE_QUEUE, MINT_QUEUE, STELLAR_QUEUE
from starter.local.process import Ready

NAMESPACE = "default"
_PATIENCE = timedelta(seconds=2)
_QUEUES = (
    (MINT_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
    (MAINTENANCE_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
    (STELLAR_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
)


def http_ready(url: str) -> Ready:
    """Ready when a GET answers 200."""

    async def ready(_pid: int) -> bool:
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE.total_seconds(), trust_env=False) as client:
                return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    return ready


def temporal_ready(address: str) -> Ready:
    """Ready when the namespace can be described: the port opens a little before that."""

    async def ready(_pid: int) -> bool:
        try:
            client = await asyncio.wait_for(Client.connect(address), _PATIENCE.total_seconds())
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=NAMESPACE), retry=False, timeout=_PATIENCE
            )
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return True

    return ready


def worker_ready(address: str) -> Ready:
    """Ready when Temporal has seen this very process poll every queue that it has for it."""

    async def ready(pid: int) -> bool:
        client = await Client.connect(address, lazy=True)
        try:
            polled = [await _polls(client, pid, queue, kind) for queue, kind in _QUEUES]
        except RPCError:
            return False
        return all(polled)

    return ready


async def _polls(client: Client, pid: int, queue: str, kind: TaskQueueType.ValueType) -> bool:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=queue), task_queue_type=kind),
        retry=False,
        timeout=_PATIENCE,
    )
    return any(poller.identity.startswith(f"{pid}@") for poller in described.pollers)


async def set_retention(address: str, days: int) -> None:
    """How long closed histories stay readable; a dev server starts with one day."""
    client = await Client.connect(address)
    request = UpdateNamespaceRequest(namespace=NAMESPACE)
    request.config.workflow_execution_retention_ttl.FromTimedelta(timedelta(days=days))
    await client.workflow_service.update_namespace(request, retry=True)
