"""Schedules on the server that all tests of a process share."""

import asyncio
from contextlib import suppress

from temporalio.client import Client
from temporalio.service import RPCError

from starter.schedules import TASKS


async def forget_schedules(client: Client) -> None:
    """Delete every schedule and end what they have started, so that none works in a later test's worker."""
    # the list may still have what is gone, and lack what has just come
    listed = [found.id async for found in await client.list_schedules()]
    for schedule_id in {*listed, *(task.id for task in TASKS)}:
        handle = client.get_schedule_handle(schedule_id)
        with suppress(RPCError):
            await handle.delete()
            async with asyncio.timeout(10):
                while await handle.describe():
                    await asyncio.sleep(0.1)
    async for left in client.list_workflows("ExecutionStatus = 'Running'"):
        with suppress(RPCError):
            await client.get_workflow_handle(left.id).terminate()
