"""Real Temporal servers for tests: one with the wall clock, one with a clock per workflow."""

import asyncio
import random
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from workflows import search_attributes

STARTS = 10
"""So often a server is started before the tests give up."""

SPREAD_SECONDS = 5.0
"""So long at most until the next try: the test processes all begin in the same second."""

TIME_SKIPPING_FLAG = "frontend.WorkflowTimeSkippingEnabled=true"


def temporal_binary() -> str:
    """The `temporal` program that the `local` extra puts beside this interpreter."""
    return str(Path(sysconfig.get_path("scripts")) / "temporal")


def server_options() -> dict:
    """What both servers share: no download, no Web UI, our search attributes, our data converter."""
    return {
        "dev_server_existing_path": temporal_binary(),
        "dev_server_log_level": "error",
        "search_attributes": search_attributes.ALL,
        "data_converter": pydantic_data_converter,
        "ui": False,
    }


async def _started(start: Callable[[], Awaitable[WorkflowEnvironment]]) -> WorkflowEnvironment:
    """A server that has come up: the SDK gives it five seconds, which a machine with much to do may take."""
    for _ in range(STARTS - 1):
        try:
            return await start()
        except RuntimeError as error:
            if "did not start" not in str(error):
                raise
            await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))
    return await start()


@asynccontextmanager
async def restless_server(connection_age: timedelta) -> AsyncIterator[WorkflowEnvironment]:
    """A dev server that ends each connection at that age, as every server does after five minutes."""
    age = f'frontend.keepAliveMaxConnectionAge="{connection_age.total_seconds()}s"'
    options = {**server_options(), "dev_server_extra_args": ["--dynamic-config-value", age]}
    async with await _started(lambda: WorkflowEnvironment.start_local(**options)) as env:
        yield env


@asynccontextmanager
async def lasting_server(file: Path) -> AsyncIterator[WorkflowEnvironment]:
    """A dev server whose workflows are in the file; started anew, it knows of no worker that came before."""
    options = {**server_options(), "dev_server_database_filename": str(file)}
    async with await _started(lambda: WorkflowEnvironment.start_local(**options)) as env:
        yield env


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_server() -> AsyncIterator[WorkflowEnvironment]:
    """A real dev server; timers run on the wall clock, so scale the SLA or do not wait for them."""
    async with await _started(lambda: WorkflowEnvironment.start_local(**server_options())) as env:
        yield env


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A real server with one virtual clock per workflow.

    Nothing skips by itself: a test moves a workflow's clock with `env.fast_forward(handle, delta)`,
    so a decision can be sent before the expiry comes.
    """

    async def start() -> WorkflowEnvironment:
        return await WorkflowEnvironment.start_time_skipping_v2(
            ts_config=TimeSkippingConfig(enabled=False),
            dev_server_extra_args=["--dynamic-config-value", TIME_SKIPPING_FLAG],
            **server_options(),
        )

    async with await _started(start) as env:
        yield env
