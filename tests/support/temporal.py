"""Real Temporal servers for tests: one with the wall clock, one with a clock per workflow."""

import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from workflows import search_attributes

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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_server() -> AsyncIterator[WorkflowEnvironment]:
    """A real dev server; timers run on the wall clock, so scale the SLA or do not wait for them."""
    async with await WorkflowEnvironment.start_local(**server_options()) as env:
        yield env


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A real server with one virtual clock per workflow.

    Nothing skips by itself: a test moves a workflow's clock with `env.fast_forward(handle, delta)`,
    so a decision can be sent before the expiry comes.
    """
    env = await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        dev_server_extra_args=["--dynamic-config-value", TIME_SKIPPING_FLAG],
        **server_options(),
    )
    async with env:
        yield env
