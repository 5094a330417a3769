"""Plain calls to Temporal, which the SDK repeats only where it is told to."""

import ast
import asyncio
from datetime import timedelta
from pathlib import Path

from starter.schedules import apply
from starter.temporal import missing_search_attributes, worker_polls
from tests.support.temporal import restless_server

ROOT = Path(__file__).parents[2]
PACKAGES = ("starter", "web", "commands", "activities", "benchmarks")
SERVICES = ("workflow_service", "operator_service")

CALLERS = 16
CALLS = 60
"""Of these 960 calls some eight are cancelled where nobody repeats them."""


async def test_a_connection_that_the_server_ends_refuses_nobody():
    """A server ends its connections from time to time: whoever calls just then is answered all the same."""

    async def ask_on(client):
        for _ in range(CALLS):
            assert not await worker_polls(client)

    async with restless_server(timedelta(milliseconds=50)) as env:
        await asyncio.gather(*(ask_on(env.client) for _ in range(CALLERS)))
        for _ in range(3):
            assert await missing_search_attributes(env.client) == []
            await apply(env.client)


def test_every_plain_call_says_whether_it_is_repeated():
    """The SDK's default is not to, which nobody notices before a connection ends."""
    calls = [
        call
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Attribute) and call.func.value.attr in SERVICES
    ]
    assert {call.func.attr for call in calls} >= {"describe_task_queue", "add_search_attributes"}
    silent = [ast.unparse(call) for call in calls if "retry" not in {word.arg for word in call.keywords}]
    assert silent == []
