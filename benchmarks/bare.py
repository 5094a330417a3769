"""The baseline: a bare workflow of the same shape, whose activities do nothing.

One signal wait, three local and two regular activities; the regular ones on a queue of their own,
as submission is. Run as a process: `python -m benchmarks.bare`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.worker import Worker

BARE_QUEUE = "bare"
BARE_ACTIVITY_QUEUE = "bare-activities"
_LIMIT = timedelta(seconds=30)


@activity.defn
async def nothing(_: str) -> str:
    """Do nothing."""
    return "done"


@workflow.defn(name="Bare")
class BareWorkflow:
    """Waits for one signal between activities that do nothing."""

    def __init__(self) -> None:
        self._told = False

    @workflow.run
    async def run(self, text: str) -> str:
        """The same steps as a plain mint: open, wait, decide, submit, settle, record."""
        await workflow.execute_local_activity(nothing, text, start_to_close_timeout=_LIMIT)
        await workflow.wait_condition(lambda: self._told)
        await workflow.execute_local_activity(nothing, text, start_to_close_timeout=_LIMIT)
        for _ in range(2):
            await workflow.execute_activity(
                nothing, text, task_queue=BARE_ACTIVITY_QUEUE, start_to_close_timeout=_LIMIT
            )
        return await workflow.execute_local_activity(nothing, text, start_to_close_timeout=_LIMIT)

    @workflow.signal
    def go(self, _: str) -> None:
        """What it waits for."""
        self._told = True


async def main() -> None:
    """Serve until the process is ended."""
    from starter.temporal import connect

    client = await connect()
    workflows = Worker(client, task_queue=BARE_QUEUE, workflows=[BareWorkflow], activities=[nothing])
    activities = Worker(client, task_queue=BARE_ACTIVITY_QUEUE, activities=[nothing])
    async with workflows, activities:
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
