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

from domain.steps import MINT_QUEUE
from starter.local.process import Ready

NAMESPACE = "default"
_PATIENCE = timedelta(seconds=2)


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
                DescribeNamespaceRequest(namespace=NAMESPACE), timeout=_PATIENCE
            )
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return True

    return ready


def worker_ready(address: str) -> Ready:
    """Ready when Temporal has seen this very process poll for workflow tasks."""

    async def ready(pid: int) -> bool:
        client = await Client.connect(address, lazy=True)
        try:
            queue = await client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=NAMESPACE,
                    task_queue=TaskQueue(name=MINT_QUEUE),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                ),
                timeout=_PATIENCE,
            )
        except RPCError:
            return False
        return any(poller.identity.startswith(f"{pid}@") for poller in queue.pollers)

    return ready


async def set_retention(address: str, days: int) -> None:
    """How long closed histories stay readable; a dev server starts with one day."""
    client = await Client.connect(address)
    request = UpdateNamespaceRequest(namespace=NAMESPACE)
    request.config.workflow_execution_retention_ttl.FromTimedelta(timedelta(days=days))
    await client.workflow_service.update_namespace(request)
