"""Asking for work on the channel accounts: one that spends at a time, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError
from ulid import ULID

from domain.channel_accounts import (
    CREATE_WORKFLOW,
    FUNDING_ID,
    LOOK_WORKFLOW,
    TOP_UP_WORKFLOW,
    CreateOrder,
    CreateReport,
    LiveAccounts,
    Progress,
    TopUpOrder,
    TopUpReport,
)
from domain.errors import Unavailable
from domain.steps import MAINTENANCE_QUEUE, STELLAR_QUEUE
from starter.failures import domain_error
from starter.temporal import worker_polls

LOOK_PATIENCE = timedelta(seconds=15)
"""So long `list` waits for balances before it shows what the database knows."""

_POLL_SECONDS = 0.2
_WORKER_LOOKS = 15
_QUERY_PATIENCE = timedelta(seconds=2)

Report = TypeVar("Report", CreateReport, TopUpReport)
Tell = Callable[[str], None]
Show = Callable[[Progress], None]


def _silent(_: object) -> None:
    """For callers whom progress does not concern."""


async def create_channels(
    client: Client, order: CreateOrder, *, tell: Tell = _silent, show: Show = _silent
) -> CreateReport:
    """Create channel accounts and wait until they can be used.

    While other work on the funding account goes on, this waits for it first. `tell` hears of that and of
    trouble that passes, such as a Horizon out of reach; `show` hears the progress. Raises the workflow's
    refusal as one of our errors, Unavailable when no worker serves the queues, and RPCError.
    """
    return await _spend(client, CREATE_WORKFLOW, order, CreateReport, tell, show)


async def top_up_channels(
    client: Client, order: TopUpOrder, *, tell: Tell = _silent, show: Show = _silent
) -> TopUpReport:
    """Top channel accounts up and wait for the end; as `create_channels`."""
    return await _spend(client, TOP_UP_WORKFLOW, order, TopUpReport, tell, show)


async def look_at_channels(client: Client) -> LiveAccounts:
    """Every channel account as the ledger has it now; raises Unavailable or the worker's refusal."""
    await _check_workers(client)
    try:
        accounts: LiveAccounts = await client.execute_workflow(
            LOOK_WORKFLOW,
            id=f"channel-balances-{ULID()}",
            task_queue=MAINTENANCE_QUEUE,
            result_type=LiveAccounts,
            execution_timeout=LOOK_PATIENCE,
        )
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error
    return accounts


async def _spend(
    client: Client, workflow: str, order: Any, result: type[Report], tell: Tell, show: Show
) -> Report:
    await _check_workers(client)
    handle = await _start(client, workflow, order, result, tell)
    following = asyncio.create_task(_follow(handle, tell, show))
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        raise domain_error(error.cause) from error
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _start(
    client: Client, workflow: str, order: Any, result: type[Report], tell: Tell
) -> WorkflowHandle[Any, Report]:
    """Start it as soon as nothing else spends from the funding account."""
    while True:
        try:
            return await client.start_workflow(
                workflow,
                order,
                id=FUNDING_ID,
                task_queue=MAINTENANCE_QUEUE,
                result_type=result,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
        except WorkflowAlreadyStartedError:
            tell(f"the funding account is in use: waiting for workflow {FUNDING_ID} to end")
        # how the other one ends is for whoever asked for it
        with suppress(WorkflowFailureError):
            await client.get_workflow_handle(FUNDING_ID).result()


async def _follow(handle: WorkflowHandle[Any, Any], tell: Tell, show: Show) -> None:
    """Tell progress and trouble until cancelled; a worker that is away for a while has none to tell."""
    told = ""
    while True:
        with suppress(RPCError):
            show(await handle.query("progress", result_type=Progress, rpc_timeout=_QUERY_PATIENCE))
            trouble = await _trouble(handle)
            if trouble not in ("", told):
                tell(f"{trouble}: trying again")
                told = trouble
        await asyncio.sleep(_POLL_SECONDS)


async def _trouble(handle: WorkflowHandle[Any, Any]) -> str:
    """Why the running activity had to be tried again; empty if it had not."""
    description = await handle.describe()
    pending = description.raw_description.pending_activities
    return next((activity.last_failure.message for activity in pending if activity.attempt > 1), "")


async def _check_workers(client: Client) -> None:
    """Raise Unavailable for a queue that nobody serves; a worker that is just starting is waited for."""
    for queue in (MAINTENANCE_QUEUE, STELLAR_QUEUE):
        for _ in range(_WORKER_LOOKS):
            if await worker_polls(client, queue):
                break
            await asyncio.sleep(_POLL_SECONDS)
        else:
            raise Unavailable(f"nobody serves the queue {queue}: run 'mintkeeper worker --queues {queue}'")
